package kinds_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

const crds = `
apiVersion: v1
kind: ConfigMap
metadata: {name: something-else}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: geese.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Goose, plural: geese}
  versions:
  - {name: v2, served: false, storage: false}
  - {name: v1, served: true, storage: true, subresources: {status: {}}}
  - {name: v1beta1, served: true, storage: false}
---
apiVersion: v1
kind: List
items:
- apiVersion: apiextensions.k8s.io/v1
  kind: CustomResourceDefinition
  metadata: {name: ponds.example.com}
  spec:
    group: example.com
    scope: Cluster
    names: {kind: Pond, plural: ponds}
    versions: [{name: v1, served: true, storage: true}]
`

// withCRDs is the table with the kinds of crds, read from a folder.
func withCRDs(t *testing.T) *kinds.Table {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "below", "crds.yaml"), []byte(crds), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	resources, err := kinds.ReadCRDs(link)
	if err != nil {
		t.Fatal(err)
	}
	return kinds.BuiltIn().With(resources.Resources()...)
}

func TestTableOfKinds(t *testing.T) {
	const ask = "? Give its CustomResourceDefinition with --crds, or ask the cluster with --live"
	tests := map[string]struct {
		apiVersion, kind string
		inNamespaces     bool
		want             string // the resource, or the error
	}{
		"core":                           {"v1", "Pod", true, "pods"},
		"named group":                    {"apps/v1", "Deployment", false, "deployments"},
		"version of old clusters":        {"batch/v1beta1", "CronJob", true, "cronjobs"},
		"cluster-scoped":                 {"v1", "Node", false, "nodes"},
		"cluster-scoped with namespaces": {"v1", "Node", true, "kind Node is cluster-scoped: remove watch.namespaces"},
		"listed only":                    {"v1", "ComponentStatus", false, "kind ComponentStatus of v1 can be listed but not watched"},
		"created only": {"authentication.k8s.io/v1", "TokenReview", false,
			"kind TokenReview of authentication.k8s.io/v1 can neither be listed nor watched"},
		"no core kind":                {"v1", "Foo", false, "Kubernetes has no kind Foo of v1"},
		"newer kind of a named group": {"apps/v1", "Foo", false, "which resource is kind Foo of apps/v1" + ask},
		"newer version":               {"apps/v9", "Deployment", false, "deployments"},
		"no version":                  {"v9", "Pod", false, `Kubernetes has no kind Pod of v9; did you mean apiVersion "v1"?`},
		"resource instead of kind":    {"v1", "pods", false, `Kubernetes has no kind pods of v1; did you mean "Pod"?`},
		"newer kind of Kubernetes":    {"networking.k8s.io/v1", "Foo", false, "which resource is kind Foo of networking.k8s.io/v1" + ask},
		"group without a kind":        {"extensions/v1beta1", "Ingress", false, "which resource is kind Ingress of extensions/v1beta1" + ask},
		"custom":                      {"example.com/v1", "Goose", true, "geese"},
		"custom, older version":       {"example.com/v1beta1", "Goose", true, "geese"},
		"custom, version not served": {"example.com/v2", "Goose", true,
			"the given CustomResourceDefinition does not serve kind Goose of example.com/v2; its versions are: v1, v1beta1"},
		"custom, cluster-scoped": {"example.com/v1", "Pond", true, "kind Pond is cluster-scoped: remove watch.namespaces"},
		"custom, not given":      {"example.com/v1", "Swan", true, "which resource is kind Swan of example.com/v1" + ask},
	}
	table := withCRDs(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			resource, err := kinds.Watchable(t.Context(), table, schema.FromAPIVersionAndKind(tc.apiVersion, tc.kind), tc.inNamespaces)
			if got := resource.Name + errorText(err); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if err != nil && !kinds.IsAnswer(err) {
				t.Error("an answer is taken for a failure to ask")
			}
		})
	}
}

func TestRules(t *testing.T) {
	rule := func(groups, resources, verbs string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: strings.Split(groups, ","), Resources: strings.Split(resources, ","), Verbs: strings.Split(verbs, ",")}
	}
	const ask = "? Give its CustomResourceDefinition with --crds, or ask the cluster with --live"
	tests := map[string]struct {
		rule rbacv1.PolicyRule
		want []string // pairs, "*" before those without namespaces, "?" before those that are not known
		errs []string
	}{
		"pairs that exist": {rule(",apps", "pods,deployments/scale,nodes", "get,patch"), []string{"pods.", "deployments/scale.apps", "* nodes."}, nil},
		"singular": {rule("", "pod", "get"), nil,
			[]string{`resources[0]: Kubernetes has no resource pod in the core group; did you mean "pods"?`}},
		"short name": {rule("", "pods,cm", "get"), []string{"pods."},
			[]string{`resources[1]: Kubernetes has no resource cm in the core group; did you mean "configmaps"?`}},
		"kind": {rule("apps", "Deployment", "get"), nil,
			[]string{`resources[0]: Kubernetes has no resource Deployment in group apps; did you mean "deployments"?`}},
		"wrong group": {rule("", "deployments", "get"), nil,
			[]string{`resources[0]: Kubernetes has no resource deployments in the core group; did you mean apiGroups: ["apps"]?`}},
		"resource of no group": {rule("", "widgets", "get"), nil,
			[]string{`resources[0]: Kubernetes has no resource widgets in the core group`}},
		"group for old clusters":     {rule("extensions,apps", "deployments", "get"), []string{"? deployments.extensions", "deployments.apps"}, nil},
		"group without the resource": {rule(",apps", "pods", "get"), []string{"pods."}, nil},
		"wrong case": {rule("", "pods", "Get"), []string{"pods."},
			[]string{`verbs[0]: Kubernetes has no verb Get for pods; did you mean "get"?`}},
		"no verb": {rule("", "pods", "get,read"), []string{"pods."},
			[]string{`verbs[1]: Kubernetes has no verb read for pods`}},
		"verb that the resource lacks": {rule("", "componentstatuses", "get,watch"), []string{"* componentstatuses."},
			[]string{`verbs[1]: Kubernetes has no verb watch for componentstatuses`}},
		"verb of another resource of the rule": {rule("", "pods,pods/eviction", "get,create"), []string{"pods.", "pods/eviction."}, nil},
		"verb of a subresource": {rule("", "pods/log", "get,list"), []string{"pods/log."},
			[]string{`verbs[1]: Kubernetes has no verb list for pods/log`}},
		"no subresource": {rule("", "configmaps/status", "get"), nil,
			[]string{`resources[0]: Kubernetes has no subresource status of resource configmaps in the core group`}},
		"only authorized": {rule("", "services/finalizers,users,nodes/metrics", "update,impersonate,get"),
			[]string{"services/finalizers.", "* users.", "* nodes/metrics."}, nil},
		"verb that is only authorized": {rule("rbac.authorization.k8s.io", "clusterroles", "bind,escalate"), []string{"* clusterroles.rbac.authorization.k8s.io"}, nil},
		"custom":                       {rule("example.com", "geese,geese/status,ponds", "get,honk"), []string{"geese.example.com", "geese/status.example.com", "* ponds.example.com"}, nil},
		"custom, no subresource": {rule("example.com", "ponds/status", "get"), nil,
			[]string{`resources[0]: the given CustomResourceDefinition does not serve subresource status of resource ponds in group example.com`}},
		"custom, not given": {rule("example.com", "swans", "get"), []string{"? swans.example.com"},
			[]string{`resources[0]: does resource swans in group example.com have a namespace` + ask}},
		"everything": {rule("*", "*", "*"), []string{"*.*"}, nil},
		"URLs":       {rbacv1.PolicyRule{NonResourceURLs: []string{"/version"}, Verbs: []string{"get"}}, nil, nil},
	}
	table := withCRDs(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			resources, errs := kinds.Rule(t.Context(), table, tc.rule)
			var pairs, texts []string
			for _, r := range resources {
				pair := r.Name + "." + r.Group
				switch {
				case r.Unknown:
					pair = "? " + pair
				case !r.Namespaced:
					pair = "* " + pair
				}
				pairs = append(pairs, pair)
			}
			for _, err := range errs {
				wrong, ok := errors.AsType[*kinds.RuleError](err)
				if !ok {
					t.Fatalf("error %T", err)
				}
				texts = append(texts, fmt.Sprintf("%s[%d]: %v", wrong.Field, wrong.Index, wrong))
			}
			if diff := cmp.Diff(tc.want, pairs); diff != "" {
				t.Errorf("resources (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.errs, texts); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNotCRDs(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct{ text, want string }{
		"none.yaml":    {"kind: ConfigMap\napiVersion: v1\n", "there is none in "},
		"broken.yaml":  {"kind: a\n---\nkind: [\n", "broken.yaml: yaml: line 3: did not find expected node content"},
		"partial.yaml": {"kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nspec: {group: a.b}\n", "lacks spec.group, spec.names.kind or spec.names.plural"},
		"unserved.yaml": {"kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nspec: {group: a.b, names: {kind: C, plural: cs}}\n",
			"CustomResourceDefinition cs.a.b serves no version"},
		"template.yaml": {"{{- if .Values.crds.enabled }}\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n{{- end }}\n",
			"template.yaml: it is a template, with {{- if .Values.crds.enabled }} in it: render it first, for example with helm template"},
		"broken.json": {`{"kind": `, "broken.json: yaml: line "},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := kinds.ReadCRDs(path)
		if err == nil || !strings.HasPrefix(err.Error(), "reading CustomResourceDefinitions: ") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
	}
	if _, err := kinds.ReadCRDs(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path that is not there: %v", err)
	}
}

func TestIsAnswer(t *testing.T) {
	question := &kinds.UnknownError{Question: "what"}
	absent := &kinds.NotServedError{What: "kind A of b/v1"}
	away := errors.New("the API server is away")
	if err := fmt.Errorf("a: %w", errors.Join(question, absent)); !kinds.IsAnswer(err) {
		t.Error("answers are taken for a failure to ask")
	}
	if kinds.IsAnswer(away) || kinds.IsAnswer(fmt.Errorf("a: %w", errors.Join(question, away))) {
		t.Error("a failure to ask is taken for an answer, alone or among answers")
	}
}
