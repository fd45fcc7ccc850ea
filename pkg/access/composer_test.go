package access_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// composing is what a composer of a test says of itself.
type composing struct {
	owns      []handlers.OwnedKind
	reads     []handlers.Related
	patches   []handlers.PatchedKind
	finalizes bool
	marks     bool
}

// loadComposers loads controllers whose plugin "parts" makes composers.
func loadComposers(t *testing.T, c composing, text string) *config.Config {
	t.Helper()
	type settings struct{}
	registry, err := handlers.NewRegistry(handlers.Plugin[settings]{
		Name: "parts", Summary: "Composes", Schema: "#Config: {}",
		NewComposer: func(context.Context, handlers.Env, settings) (handlers.Composer, error) { return nil, os.ErrInvalid },
		Owns:        func(settings) []handlers.OwnedKind { return c.owns },
		Reads:       func(settings) []handlers.Related { return c.reads },
		Patches:     func(settings) []handlers.PatchedKind { return c.patches },
		Finalizes:   func(settings) bool { return c.finalizes },
		Marks:       func(settings) bool { return c.marks },
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "controllers.cue")
	if err := os.WriteFile(file, []byte("apiVersion: \"kooperd.dev/v1alpha1\"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// kept is a custom kind whose status may be patched.
func kept(kind, plural string, namespaced bool) kinds.Resource {
	return kinds.Resource{
		Group: "demo.io", Version: "v1", Name: plural, Kind: kind, Namespaced: namespaced,
		Verbs: []string{"get", "list", "watch", "patch"}, Subresources: map[string][]string{"status": {"get", "patch"}},
	}
}

const (
	sites    = `controllers: a: {watch: {apiVersion: "demo.io/v1", kind: "Site"}, handler: parts: {}}`
	sitesOfX = `controllers: a: {watch: {apiVersion: "demo.io/v1", kind: "Site", namespaces: ["x"]}, handler: parts: {}}`
	fleets   = `controllers: a: {watch: {apiVersion: "demo.io/v1", kind: "Fleet"}, handler: parts: {}}`
)

// The rules that composers of most kinds need.
const (
	childRules  = `{apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch", "create", "patch", "delete"]}`
	patchRules  = `{apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch", "patch"]}`
	eventRules  = `{apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"]}`
	siteRules   = `{apiGroups: ["demo.io"], resources: ["sites"], verbs: ["list", "watch"]}`
	keptRules   = `{apiGroups: ["demo.io"], resources: ["sites"], verbs: ["list", "watch", "patch"]}`
	statusRules = `{apiGroups: ["demo.io"], resources: ["sites/status"], verbs: ["patch"]}`
)

func TestGrantsOfComposers(t *testing.T) {
	owns := func(all ...handlers.OwnedKind) composing { return composing{owns: all} }
	reads := func(related handlers.Related) composing { return composing{reads: []handlers.Related{related}} }
	configMaps := handlers.OwnedKind{APIVersion: "v1", Kind: "ConfigMap"}
	tests := map[string]struct {
		composing composing
		config    string
		want      []string // without the records
	}{
		"whole cluster": {owns(configMaps), sites, []string{
			"* " + childRules, "* " + siteRules, "* " + statusRules, "* " + eventRules,
		}},
		"one namespace": {owns(configMaps), sitesOfX, []string{
			"x " + childRules, "x " + siteRules, "x " + statusRules, "x " + eventRules,
		}},
		"one parent": {
			composing{owns: []handlers.OwnedKind{configMaps}, finalizes: true},
			`controllers: a: {watch: {apiVersion: "demo.io/v1", kind: "Site", fieldSelector: "metadata.name=one"}, handler: parts: {}}`,
			[]string{
				"* " + childRules,
				`* {apiGroups: ["demo.io"], resources: ["sites"], resourceNames: ["one"], verbs: ["list", "watch", "patch"]}`,
				`* {apiGroups: ["demo.io"], resources: ["sites/status"], resourceNames: ["one"], verbs: ["patch"]}`,
				"* " + eventRules,
			},
		},
		"patches": {
			composing{patches: []handlers.PatchedKind{{APIVersion: "v1", Kind: "ConfigMap"}}}, sites,
			[]string{"* " + patchRules, "* " + keptRules, "* " + statusRules, "* " + eventRules},
		},
		"patches, parents in one namespace": {
			composing{patches: []handlers.PatchedKind{{APIVersion: "v1", Kind: "ConfigMap"}}}, sitesOfX,
			[]string{"* " + patchRules, "* " + keptRules, "x " + statusRules, "x " + eventRules},
		},
		"patches in any namespace, parents in one": {
			composing{patches: []handlers.PatchedKind{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}}}, sitesOfX,
			[]string{"* " + patchRules, "* " + keptRules, "x " + statusRules, "x " + eventRules},
		},
		"children in any namespace": {
			owns(handlers.OwnedKind{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}), sites,
			[]string{"* " + childRules, "* " + keptRules, "* " + statusRules, "* " + eventRules},
		},
		"children in any namespace, parents in one": {
			owns(handlers.OwnedKind{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}, handlers.OwnedKind{APIVersion: "v1", Kind: "Secret"}), sitesOfX,
			[]string{
				"* " + childRules,
				`* {apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"]}`,
				"* " + keptRules,
				`x {apiGroups: [""], resources: ["secrets"], verbs: ["get", "create", "patch", "delete"]}`,
				"x " + statusRules, "x " + eventRules,
			},
		},
		"cluster-scoped parents": {
			owns(handlers.OwnedKind{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}), fleets,
			[]string{
				"* " + childRules,
				`* {apiGroups: ["demo.io"], resources: ["fleets"], verbs: ["list", "watch"]}`,
				`* {apiGroups: ["demo.io"], resources: ["fleets/status"], verbs: ["patch"]}`,
				"default " + eventRules,
			},
		},
		"cluster-scoped children": {
			owns(handlers.OwnedKind{APIVersion: "demo.io/v1", Kind: "Fleet", BlockOwnerDeletion: true}), sitesOfX,
			[]string{
				`* {apiGroups: ["demo.io"], resources: ["fleets"], verbs: ["get", "list", "watch", "create", "patch", "delete"]}`,
				"* " + keptRules, "x " + statusRules, "x " + eventRules,
			},
		},
		"the composer finalizes": {
			composing{owns: []handlers.OwnedKind{configMaps}, finalizes: true}, sites,
			[]string{"* " + childRules, "* " + keptRules, "* " + statusRules, "* " + eventRules},
		},
		"the composer sets labels": {
			composing{owns: []handlers.OwnedKind{configMaps}, marks: true}, sitesOfX,
			[]string{"x " + childRules, "x " + keptRules, "x " + statusRules, "x " + eventRules},
		},
		"deletion is blocked": {
			owns(handlers.OwnedKind{APIVersion: "v1", Kind: "ConfigMap", BlockOwnerDeletion: true}), sitesOfX,
			[]string{
				"x " + childRules, "x " + siteRules,
				`x {apiGroups: ["demo.io"], resources: ["sites/finalizers"], verbs: ["update"]}`,
				"x " + statusRules, "x " + eventRules,
			},
		},
		"no status": {
			owns(configMaps), `controllers: a: {watch: {apiVersion: "demo.io/v1", kind: "Site", namespaces: ["x"]}, status: "none", handler: parts: {}}`,
			[]string{"x " + childRules, "x " + siteRules, "x " + eventRules},
		},
		"no status subresource": {
			owns(configMaps), `controllers: a: {watch: {apiVersion: "demo.io/v1", kind: "Plain"}, handler: parts: {}}`,
			[]string{"* " + childRules, `* {apiGroups: ["demo.io"], resources: ["plains"], verbs: ["list", "watch"]}`, "* " + eventRules},
		},
		"built-in parents": {
			owns(configMaps), `controllers: a: {watch: {apiVersion: "apps/v1", kind: "Deployment", namespaces: ["x"]}, handler: parts: {}}`,
			[]string{"x " + childRules, `x {apiGroups: ["apps"], resources: ["deployments"], verbs: ["list", "watch"]}`, "x " + eventRules},
		},
		"any roles": {
			owns(handlers.OwnedKind{APIVersion: rbacV1, Kind: "Role"}, handlers.OwnedKind{APIVersion: rbacV1, Kind: "RoleBinding"}), sitesOfX,
			[]string{
				"x " + siteRules, "x " + statusRules, "x " + eventRules,
				`x {apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterroles"], verbs: ["bind"]}`,
				`x {apiGroups: ["rbac.authorization.k8s.io"], resources: ["rolebindings"], verbs: ["get", "list", "watch", "create", "patch", "delete"]}`,
				`x {apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles"], verbs: ["get", "list", "watch", "create", "patch", "delete", "bind", "escalate"]}`,
			},
		},
		"named roles": {
			owns(
				handlers.OwnedKind{APIVersion: rbacV1, Kind: "Role", RoleNames: []string{"reader"}},
				handlers.OwnedKind{APIVersion: rbacV1, Kind: "RoleBinding", Binds: []handlers.RoleRef{
					{Kind: "Role", Name: "reader"}, {Kind: "ClusterRole", Name: "view"},
				}},
			), sitesOfX,
			[]string{
				"x " + siteRules, "x " + statusRules, "x " + eventRules,
				`x {apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterroles"], resourceNames: ["view"], verbs: ["bind"]}`,
				`x {apiGroups: ["rbac.authorization.k8s.io"], resources: ["rolebindings", "roles"], verbs: ["get", "list", "watch", "create", "patch", "delete"]}`,
				`x {apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles"], resourceNames: ["reader"], verbs: ["bind", "escalate"]}`,
			},
		},
		"cluster roles": {
			owns(
				handlers.OwnedKind{APIVersion: rbacV1, Kind: "ClusterRole", RoleNames: []string{"all"}},
				handlers.OwnedKind{APIVersion: rbacV1, Kind: "ClusterRoleBinding", Binds: []handlers.RoleRef{{Kind: "ClusterRole", Name: "all"}}},
			), fleets,
			[]string{
				`* {apiGroups: ["demo.io"], resources: ["fleets"], verbs: ["list", "watch"]}`,
				`* {apiGroups: ["demo.io"], resources: ["fleets/status"], verbs: ["patch"]}`,
				`* {apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterrolebindings", "clusterroles"], verbs: ["get", "list", "watch", "create", "patch", "delete"]}`,
				`* {apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterroles"], resourceNames: ["all"], verbs: ["bind", "escalate"]}`,
				"default " + eventRules,
			},
		},
		"reads a kind": {
			reads(handlers.Related{Name: "r", APIVersion: "v1", Kind: "Secret", SameNamespace: true}), sitesOfX,
			[]string{`x {apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"]}`, "x " + siteRules, "x " + statusRules, "x " + eventRules},
		},
		"reads one object elsewhere": {
			reads(handlers.Related{Name: "r", APIVersion: "v1", Kind: "Secret", Namespace: "y", ObjectName: "token"}), sitesOfX,
			[]string{
				"x " + siteRules, "x " + statusRules, "x " + eventRules,
				`y {apiGroups: [""], resources: ["secrets"], resourceNames: ["token"], verbs: ["list", "watch"]}`,
			},
		},
		"reads by names": {
			reads(handlers.Related{Name: "r", APIVersion: "v1", Kind: "Secret", ObjectNames: []string{"a", "b"}}), sitesOfX,
			[]string{`x {apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"]}`, "x " + siteRules, "x " + statusRules, "x " + eventRules},
		},
		"reads by the labels of namespaces": {
			reads(handlers.Related{Name: "r", APIVersion: "v1", Kind: "Secret", NamespaceSelector: &metav1.LabelSelector{}}), sitesOfX,
			[]string{
				`* {apiGroups: [""], resources: ["namespaces"], verbs: ["list", "watch"]}`,
				`x {apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"]}`, "x " + siteRules, "x " + statusRules, "x " + eventRules,
			},
		},
		"reads a cluster-scoped kind": {
			reads(handlers.Related{Name: "r", APIVersion: "v1", Kind: "Namespace", LabelSelector: &metav1.LabelSelector{}}), sitesOfX,
			[]string{`* {apiGroups: [""], resources: ["namespaces"], verbs: ["list", "watch"]}`, "x " + siteRules, "x " + statusRules, "x " + eventRules},
		},
	}
	plain := kept("Plain", "plains", true)
	plain.Subresources = nil
	finder := kinds.BuiltIn().With(kept("Site", "sites", true), kept("Fleet", "fleets", false), plain)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := loadComposers(t, tc.composing, disabled+tc.config)
			needs, err := access.OfConfig(t.Context(), cfg, access.ConfigSource{}, "lease", finder)
			if err != nil {
				t.Fatal(err)
			}
			needs = slices.DeleteFunc(needs, func(need access.Requirement) bool { return need.Definition == "" })
			if diff := cmp.Diff(sorted(tc.want), sorted(lines(access.Collect(needs)))); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			for _, need := range needs {
				if events := need.Rule.APIGroups[0] == "events.k8s.io"; need.Optional != events {
					t.Errorf("%s: optional is %t", need.Text(), need.Optional)
				}
			}
		})
	}
}

const rbacV1 = "rbac.authorization.k8s.io/v1"

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

func TestGrantsOfRecords(t *testing.T) {
	configMaps := composing{owns: []handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap"}}}
	tests := map[string]struct{ config, namespace, name string }{
		"beside the lease": {`leaderElection: {name: "one", namespace: "here"}` + "\n" + sitesOfX, "here", "one-definitions"},
		"default":          {sitesOfX, "platform", "kooperd-definitions"},
		"without a lease":  {disabled + sitesOfX, "platform", "kooperd-definitions"},
		"paused":           {strings.Replace(sitesOfX, "handler:", "paused: true, handler:", 1), "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := loadComposers(t, configMaps, tc.config)
			needs, err := access.OfConfig(t.Context(), cfg, access.ConfigSource{}, "platform", kinds.BuiltIn().With(kept("Site", "sites", true)))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if tc.name != "" {
				want = []string{
					fmt.Sprintf(`%s {apiGroups: [""], resources: ["configmaps"], verbs: ["create"]}`, tc.namespace),
					fmt.Sprintf(`%s {apiGroups: [""], resources: ["configmaps"], resourceNames: [%q], verbs: ["get", "update"]}`, tc.namespace, tc.name),
				}
			}
			needs = slices.DeleteFunc(needs, func(need access.Requirement) bool { return need.ConfigMap == "" })
			if diff := cmp.Diff(want, lines(access.Collect(needs))); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if needed := access.NeedsRecords(cfg); needed != (tc.name != "") {
				t.Errorf("NeedsRecords is %t", needed)
			}
		})
	}
}

// TestQuestionsOfComposers has kinds that are not known: each is asked for once.
func TestQuestionsOfComposers(t *testing.T) {
	c := composing{
		owns: []handlers.OwnedKind{
			{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "demo.io/v1", Kind: "Fleet"}, {APIVersion: "v1", Kind: "Confgmap"},
		},
		reads: []handlers.Related{{Name: "r", APIVersion: "demo.io/v1", Kind: "Ship"}, {Name: "s", APIVersion: "v1", Kind: "ComponentStatus"}},
	}
	cfg := loadComposers(t, c, disabled+sitesOfX)
	const ask = "? Give its CustomResourceDefinition with --crds, or ask the cluster with --live\n"
	const (
		parent   = "a: which resource is kind Site of demo.io/v1" + ask
		children = "a: a kind that the parts composer owns: which resource is kind Fleet of demo.io/v1" + ask
		others   = "a: a kind that the parts composer owns: Kubernetes has no kind Confgmap of v1\n" +
			"a: a kind that the parts composer reads: which resource is kind Ship of demo.io/v1" + ask +
			"a: a kind that the parts composer reads: kind ComponentStatus of v1 can be listed but not watched"
	)
	for name, tc := range map[string]struct {
		table *kinds.Table
		want  string
	}{
		"no CRDs":              {kinds.BuiltIn(), parent + children + others},
		"that of the parents":  {kinds.BuiltIn().With(kept("Site", "sites", true)), children + others},
		"those of both":        {kinds.BuiltIn().With(kept("Site", "sites", true), kept("Fleet", "fleets", false)), others},
		"that of the children": {kinds.BuiltIn().With(kept("Fleet", "fleets", false)), parent + others},
	} {
		t.Run(name, func(t *testing.T) {
			needs, err := access.OfConfig(t.Context(), cfg, access.ConfigSource{}, "lease", tc.table)
			if err == nil || err.Error() != tc.want {
				t.Errorf("error:\n%v\nwant:\n%s", err, tc.want)
			}
			if len(needs) < 2 {
				t.Errorf("needs %v, want those of the records at least", needs)
			}
		})
	}
}
