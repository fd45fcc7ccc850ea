package access_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/kinds"
)

// load loads the controllers and the leaderElection of a config, given in CUE.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
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

// lines writes grants as one line for each rule, "*" being the whole cluster.
func lines(g access.Grants) []string {
	var found []string
	add := func(where string, rules []rbacv1.PolicyRule) {
		for _, rule := range rules {
			found = append(found, where+" "+ruleText(rule))
		}
	}
	add("*", g.Cluster)
	for _, namespace := range slices.Sorted(maps.Keys(g.Namespaces)) {
		add(namespace, g.Namespaces[namespace])
	}
	return found
}

// table has the built-in kinds, Goose, and Pond, which is cluster-scoped.
func table() *kinds.Table {
	custom := func(kind, plural string, namespaced bool) kinds.Resource {
		return kinds.Resource{
			Group: "example.com", Version: "v1", Name: plural, Kind: kind, Namespaced: namespaced,
			Verbs: []string{"get", "list", "watch"}, Subresources: map[string][]string{"status": {"get"}},
		}
	}
	return kinds.BuiltIn().With(custom("Goose", "geese", true), custom("Pond", "ponds", false))
}

const (
	pods     = `watch: {apiVersion: "v1", kind: "Pod"}, handler: log: {}`
	disabled = `leaderElection: "disabled"` + "\n"
)

func TestGrants(t *testing.T) {
	tests := map[string]struct {
		config string
		want   []string
	}{
		"whole cluster": {
			disabled + `controllers: a: {` + pods + `}`,
			[]string{`* {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`},
		},
		"lease": {
			`leaderElection: {name: "one", namespace: "here"}` + "\n" + `controllers: a: {` + pods + `}`,
			[]string{
				`* {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`,
				`here {apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"]}`,
				`here {apiGroups: ["coordination.k8s.io"], resources: ["leases"], resourceNames: ["one"], verbs: ["get", "watch", "update"]}`,
				`here {apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"]}`,
			},
		},
		"lease in the daemon's namespace, as a ConfigMap": {
			`leaderElection: lock: "configMap"` + "\n" + `controllers: a: {` + pods + `}`,
			[]string{
				`* {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`,
				`platform {apiGroups: [""], resources: ["configmaps"], verbs: ["create"]}`,
				`platform {apiGroups: [""], resources: ["configmaps"], resourceNames: ["kooperd"], verbs: ["get", "watch", "update"]}`,
				`platform {apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"]}`,
			},
		},
		"no definition needs the lease": {
			`controllers: a: {` + pods + `, leaderElection: "disabled"}` + "\n" + `controllers: b: {` + pods + `, paused: true}`,
			[]string{`* {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`},
		},
		"paused": {
			disabled + `controllers: a: {` + pods + `, paused: true}`,
			nil,
		},
		"namespaces": {
			disabled + `controllers: a: {watch: {apiVersion: "v1", kind: "Pod", namespaces: ["x", "y"]}, handler: log: {}}` + "\n" +
				`controllers: b: {watch: {apiVersion: "apps/v1", kind: "Deployment", namespaces: ["y"]}, handler: log: {}}`,
			[]string{
				`x {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`,
				`y {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`,
				`y {apiGroups: ["apps"], resources: ["deployments"], verbs: ["list", "watch"]}`,
			},
		},
		"a namespace that the cluster's rules cover": {
			disabled + `controllers: a: {watch: {apiVersion: "v1", kind: "Pod", namespaces: ["x"]}, handler: log: {}}` + "\n" + `controllers: b: {` + pods + `}`,
			[]string{`* {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`},
		},
		"one object": {
			disabled + `controllers: a: {watch: {apiVersion: "v1", kind: "Secret", namespaces: ["x"], fieldSelector: "metadata.name=cert"}, handler: log: {}}` + "\n" +
				`controllers: b: {watch: {apiVersion: "v1", kind: "Secret", namespaces: ["x"], fieldSelector: "metadata.name=ca"}, handler: log: {}}`,
			[]string{`x {apiGroups: [""], resources: ["secrets"], resourceNames: ["ca", "cert"], verbs: ["list", "watch"]}`},
		},
		"custom kinds": {
			disabled + `controllers: a: {watch: {apiVersion: "example.com/v1", kind: "Goose"}, handler: log: {}}` + "\n" +
				`controllers: b: {watch: {apiVersion: "example.com/v1", kind: "Pond"}, handler: log: {}}`,
			[]string{`* {apiGroups: ["example.com"], resources: ["geese", "ponds"], verbs: ["list", "watch"]}`},
		},
		"a finalizer": {
			disabled + `controllers: a: {
				watch: {apiVersion: "v1", kind: "Pod", namespaces: ["x"]}
				finalizer: "example.com/a"
				handler: exec: {command: ["true"], finalize: command: ["true"]}
			}
			controllers: b: {
				watch: {apiVersion: "example.com/v1", kind: "Pond", fieldSelector: "metadata.name=one"}
				finalizer: "example.com/b"
				handler: exec: {command: ["true"], finalize: command: ["true"]}
			}
			controllers: c: {watch: {apiVersion: "v1", kind: "Pod", namespaces: ["y"]}, handler: log: {}}`,
			[]string{
				`* {apiGroups: ["example.com"], resources: ["ponds"], resourceNames: ["one"], verbs: ["list", "watch", "patch"]}`,
				`x {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch", "patch"]}`,
				`y {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`,
			},
		},
		"rules of a plugin": {
			disabled + `controllers: a: {
				watch: {apiVersion: "v1", kind: "Pod", namespaces: ["x"]}
				handler: exec: {command: ["true"], rules: [
					{apiGroups: ["", "apps"], resources: ["configmaps"], verbs: ["patch", "get"]},
					{apiGroups: [""], resources: ["configmaps"], resourceNames: ["one"], verbs: ["delete", "get"]},
					{apiGroups: [""], resources: ["nodes/status"], verbs: ["patch"]},
					{apiGroups: ["example.com"], resources: ["ponds"], verbs: ["get"]},
					{apiGroups: ["example.com"], resources: ["geese"], verbs: ["impersonate", "get"]},
					{nonResourceURLs: ["/version", "/healthz"], verbs: ["get"]},
				]}
			}`,
			[]string{
				`* {apiGroups: [""], resources: ["nodes/status"], verbs: ["patch"]}`,
				`* {apiGroups: ["example.com"], resources: ["ponds"], verbs: ["get"]}`,
				`* {nonResourceURLs: ["/healthz", "/version"], verbs: ["get"]}`,
				`x {apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"]}`,
				`x {apiGroups: [""], resources: ["configmaps"], resourceNames: ["one"], verbs: ["delete"]}`,
				`x {apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]}`,
				`x {apiGroups: ["example.com"], resources: ["geese"], verbs: ["get", "impersonate"]}`,
			},
		},
	}
	finder := table()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			needs, err := access.OfConfig(t.Context(), load(t, tc.config), access.ConfigSource{}, "platform", finder)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, lines(access.Collect(needs))); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQuestions(t *testing.T) {
	cfg := load(t, `controllers: a: {watch: {apiVersion: "example.com/v1", kind: "Gosling"}, handler: log: {}}
controllers: b: {watch: {apiVersion: "example.com/v1", kind: "Pond", namespaces: ["x"]}, handler: log: {}}
controllers: c: {`+pods+`}
controllers: d: {
	watch: {apiVersion: "v1", kind: "Pod", namespaces: ["x"]}
	handler: exec: {command: ["true"], rules: [{apiGroups: ["example.com"], resources: ["geese", "swans/status"], verbs: ["get"]}]}
}`)
	needs, err := access.OfConfig(t.Context(), cfg, access.ConfigSource{}, "platform", kinds.BuiltIn().With(kinds.Resource{
		Group: "example.com", Version: "v1", Name: "ponds", Kind: "Pond", Verbs: []string{"list", "watch"},
	}))
	want := "a: which resource is kind Gosling of example.com/v1? Give its CustomResourceDefinition with --crds, or ask the cluster with --live\n" +
		"b: kind Pond is cluster-scoped: remove watch.namespaces\n" +
		"d: a rule of the exec handler: does resource geese in group example.com have a namespace? Give its CustomResourceDefinition with --crds, or ask the cluster with --live\n" +
		"d: a rule of the exec handler: does resource swans in group example.com have a namespace? Give its CustomResourceDefinition with --crds, or ask the cluster with --live"
	if err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
	if len(needs) != 6 { // those of c, of the watch of d, and of the lease
		t.Errorf("%d needs of the others, want 6", len(needs))
	}
}

// ruleText is the part of the text of a missing right that shows the rule.
func ruleText(rule rbacv1.PolicyRule) string {
	_, text, _ := strings.Cut(access.Requirement{Rule: rule}.Text(), "is missing: ")
	return text
}

func ExampleCollect() {
	grants := access.Collect([]access.Requirement{
		{Definition: "a", Rule: rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"watch", "list"}}},
		{Definition: "b", Namespace: "x", Rule: rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}}},
	})
	fmt.Println(grants.Cluster[0].Resources, grants.Cluster[0].Verbs)
	fmt.Println(grants.Namespaces["x"][0].Resources, grants.Namespaces["x"][0].Verbs)
	// Output:
	// [pods] [list watch]
	// [pods] [get]
}
