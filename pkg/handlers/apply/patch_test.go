package apply_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/apply"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func TestComposePatches(t *testing.T) {
	const deployments = `related: {all: {apiVersion: apps/v1, kind: Deployment, labelSelector: team}}` + "\n"
	related := map[string][]string{"all": {
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: a, labels: {team: web}}}`,
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: y, namespace: b, labels: {team: shop}}}`,
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: z, namespace: b, labels: {team: web}}}`,
	}}
	const child = `b: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {k: v}}}`
	const observed = `{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: web, uid: "2"}, data: {k: v}}`
	for name, tc := range map[string]struct {
		composed
		want []string
	}{
		"for each": {
			composed{config: deployments + `children: {p: {forEach: "related.all.filter(d, d.metadata.labels.team == 'web')", as: d, key: d.metadata.namespace + '/' + d.metadata.name, includeWhen: d.metadata.name != 'z', patch: {apiVersion: apps/v1, kind: Deployment, metadata: {name: "${d.metadata.name}", namespace: "${d.metadata.namespace}", annotations: {by: "${object.metadata.name}"}}}}}`, related: related},
			[]string{`patch p/a/x {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"by":"home"},"name":"x","namespace":"a"}}`},
		},
		"it comes after what it reads": {
			composed{config: `children: {` + child + `, p: {patch: {apiVersion: v1, kind: Namespace, metadata: {name: web, labels: {k: "${children.b.data.k}"}}}}}`, children: map[string]string{"b": observed}},
			[]string{`b {"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"name":"m"}}`, `patch p {"apiVersion":"v1","kind":"Namespace","metadata":{"labels":{"k":"v"},"name":"web"}} after b`},
		},
		"after": {
			composed{config: `children: {` + child + `, p: {after: [b], raw: true, patch: {apiVersion: v1, kind: Namespace, metadata: {name: web, annotations: {k: "${x}"}}}}}`},
			[]string{`b {"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"name":"m"}}`, `patch p {"apiVersion":"v1","kind":"Namespace","metadata":{"annotations":{"k":"${x}"},"name":"web"}} after b`},
		},
		"what is not there yet": {
			composed{config: `children: {` + child + `, p: {patch: {apiVersion: v1, kind: Namespace, metadata: {name: web, labels: {k: "${children.b.data.k}"}}}}}`},
			[]string{`b {"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"name":"m"}}`, `pending: child p is waiting for child b: evaluating metadata.labels.k: children.b.data.k at 1:16: no such key: b`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			composition, err := tc.ask(t)
			if diff := cmp.Diff(tc.want, lines(t, composition, err)); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

func TestMistakesInPatches(t *testing.T) {
	namespaced := func(rest string) string {
		return `children: {p: {patch: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}, ` + rest + `}}}`
	}
	const good = `patch: {apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: {a: b}}}`
	for name, tc := range map[string]struct {
		config  string
		watched schema.GroupVersionKind
		want    []string
	}{
		"neither template nor patch":  {config: `children: {p: {after: []}}`, want: []string{`children."p"@0: has neither template nor patch; write what should be made in template, or what is contributed to an object of others in patch`}},
		"both":                        {config: `children: {p: {drift: fix, ` + good + `, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}}}`, want: []string{`children."p"@0: has both template and patch; write two children`}},
		"an unknown field":            {config: namespaced(`dat: {a: b}`), want: []string{`children."p".patch."dat"@0: there is no field dat; unknown dat`}},
		"a value that does not fit":   {config: namespaced(`data: {a: 1}`), want: []string{`children."p".patch."data"."a"@0: data.a is a string, but 1 is a number`}},
		"an expression in it":         {config: namespaced(`data: {a: "${object.metadata.nam}"}`), want: []string{`children."p".patch."data"."a"@18: there is no field object.metadata.nam; unknown nam`}},
		"no kind":                     {config: `children: {p: {patch: {apiVersion: v1, metadata: {name: x, labels: {a: b}}}}}`, want: []string{`children."p".patch@0: has no kind`}},
		"no metadata":                 {config: `children: {p: {patch: {apiVersion: v1, kind: ConfigMap, data: {a: b}}}}`, want: []string{`children."p".patch.metadata@0: does not say which object it is; write its name and, if it has one, its namespace`}},
		"no name":                     {config: `children: {p: {patch: {apiVersion: v1, kind: ConfigMap, metadata: {namespace: a}, data: {a: b}}}}`, want: []string{`children."p".patch.metadata@0: has no name; say which object it is; of several, write one for each with forEach`}},
		"other metadata":              {config: `children: {p: {patch: {apiVersion: v1, kind: ConfigMap, metadata: {name: x, finalizers: [a/b]}, data: {a: b}}}}`, want: []string{`children."p".patch.metadata."finalizers"@0: cannot be contributed: of the metadata, want labels and annotations`}},
		"a status":                    {config: `children: {p: {patch: {apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, status: {replicas: 1}}}}`, want: []string{`children."p".patch.status@0: cannot be contributed`}},
		"nothing":                     {config: `children: {p: {patch: {apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: {}}}}}`, want: []string{`children."p".patch@0: contributes nothing; add labels, annotations or other fields`}},
		"a role":                      {config: `children: {p: {patch: {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: x, labels: {a: b}}}}}`, want: []string{`children."p".patch.kind@0: roles and their bindings cannot be patched, as that grants rights; make one in a template`}},
		"a namespace of a Namespace":  {config: `children: {p: {patch: {apiVersion: v1, kind: Namespace, metadata: {name: x, namespace: z, labels: {a: b}}}}}`, want: []string{`children."p".patch.metadata.namespace@0: a Namespace is in no namespace; leave it out`}},
		"no namespace":                {config: `children: {p: {` + good + `}}`, watched: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, want: []string{`children."p".patch.metadata@0: has no namespace, and a Namespace, the parent, is in none; write the namespace of the object`}},
		"what is for objects made":    {config: `children: {p: {drift: fix, update: createOnly, prune: true, readyWhen: "true", ` + good + `}}`, want: []string{`children."p".readyWhen@0: is not for a patch: a patch is ready when it is applied; leave it out`, `children."p".drift@0: is not for a patch: what somebody removes is contributed again, and what somebody sets is a conflict; leave it out`, `children."p".update@0: is not for a patch: the object is never made, and never deleted; leave it out`, `children."p".prune@0: is not for a patch: the object is never made, and never deleted; leave it out`}},
		"a child after it":            {config: `children: {p: {` + good + `}, c: {after: [p], template: {apiVersion: v1, kind: ConfigMap, metadata: {name: z}}}}`, want: []string{`children."c".after[0]@0: p is a patch, and patches are applied after all children; turn it round: let the patch come after the child`}},
		"its object in an expression": {config: `children: {p: {` + good + `}}` + "\n" + `status: {a: "${children.p.data.a}"}`, want: []string{`status."a"@11: children.p is a patch, whose object is not read; read the object with related`}},
		"for each of no list":         {config: `children: {p: {forEach: object.metadata.name, ` + good + `}}`, want: []string{`children."p".forEach@16: want a list, but object.metadata.name is a string`}},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.watched.Empty() {
				tc.watched = schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"}
			}
			if diff := cmp.Diff(tc.want, problemsOf(t, tc.config, tc.watched)); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// A right follows from each patch, and its kind is no kind that is owned.
func TestPatches(t *testing.T) {
	config, err := yaml.YAMLToJSON([]byte(`
children:
  a: {patch: {apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: {a: b}}}}
  b: {patch: {apiVersion: v1, kind: Secret, metadata: {name: x, namespace: "${object.spec.ns}", labels: {a: b}}}}
  c: {patch: {apiVersion: v1, kind: Secret, metadata: {name: x, namespace: "${object.metadata.namespace}"}, data: {a: "YQ=="}}}
  d: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: z}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	bound := handlerstest.Bind(t, apply.Plugin, string(config))
	want := []handlers.PatchedKind{
		{APIVersion: "v1", Kind: "ConfigMap", MetadataOnly: true},
		{APIVersion: "v1", Kind: "Secret", AnyNamespace: true},
	}
	if diff := cmp.Diff(want, bound.Patches()); diff != "" {
		t.Errorf("patches (-want +have):\n%s", diff)
	}
	if diff := cmp.Diff([]handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap", MetadataOnly: true}}, bound.Owns()); diff != "" {
		t.Errorf("owns (-want +have):\n%s", diff)
	}
}

// An error is at its place in the config, be it in a template or a patch.
func TestPathsOfErrors(t *testing.T) {
	const metadata = `metadata: {name: web, labels: {k: "${object.spec.none}"}}`
	for field, child := range map[string]string{
		"template": `{template: {apiVersion: v1, kind: ConfigMap, ` + metadata + `}}`,
		"patch":    `{patch: {apiVersion: v1, kind: Namespace, ` + metadata + `}}`,
	} {
		_, err := composed{config: `children: {p: ` + child + `}`}.ask(t)
		var wrong *handlers.ConfigError
		if want := `children."p".` + field + `.metadata.labels.k`; !errors.As(err, &wrong) || wrong.Path != want {
			t.Errorf("have %v at %+v, want it at %s", err, wrong, want)
		}
	}
}
