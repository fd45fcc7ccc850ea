package compose

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// clusterWide is a parent without a namespace.
var clusterWide = Parent{Kind: schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Site"}, Name: "all", UID: "uid-of-all"}

func TestMakeRefuses(t *testing.T) {
	tests := map[string]struct {
		parent Parent
		child  handlers.Child
		want   string
	}{
		"no object": {child: handlers.Child{Name: "a"}, want: `child "a": it has no object`},
		"a kind that is not owned": {
			child: handlers.Child{Object: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}},
			want:  "the plugin does not say that it owns v1 Node",
		},
		"another version of an owned kind": {
			child: handlers.Child{Name: "d", Object: untyped(schema.GroupVersionKind{Group: "apps", Version: "v1beta1", Kind: "Deployment"}, "", "d", nil)},
			want:  "child d: the plugin does not say that it owns apps/v1beta1 Deployment",
		},
		"a struct without a kind": {
			child: handlers.Child{Name: "a", Object: &unregistered{}}, want: `child "a": *compose.unregistered: apiVersion and kind are not filled in`,
		},
		"no name": {child: handlers.Child{Object: untyped(configMapKind, "", "", nil)}, want: "ConfigMap: metadata.name is empty"},
		"a name that is a path": {
			child: handlers.Child{Object: untyped(configMapKind, "", "a/b", nil)}, want: `ConfigMap: metadata.name "a/b" cannot be the name of an object`,
		},
		"a name that is escaped": {
			child: handlers.Child{Object: untyped(configMapKind, "", "a%2fb", nil)}, want: `ConfigMap: metadata.name "a%2fb" cannot be the name of an object`,
		},
		"a name that leads up": {
			child: handlers.Child{Object: untyped(configMapKind, "", "..", nil)}, want: `ConfigMap: metadata.name ".." cannot be the name of an object`,
		},
		"a namespace that is a path": {
			child: handlers.Child{Object: untyped(configMapKind, "../x", "a", nil)},
			want:  `ConfigMap a: metadata.namespace "../x": a lowercase RFC 1123 label must consist of`,
		},
		"a namespace for a cluster-scoped kind": {
			child: handlers.Child{Object: untyped(namespaceKind, "team-a", "a", nil)},
			want:  `Namespace a: the kind is cluster-scoped, and metadata.namespace is "team-a"`,
		},
		"no namespace at all": {
			parent: clusterWide, child: handlers.Child{Object: untyped(configMapKind, "", "a", nil)},
			want: "ConfigMap a: metadata.namespace is empty, and the parent has no namespace",
		},
		"another namespace": {
			child: handlers.Child{Name: "s", Object: untyped(secretKind, "team-b", "a", nil)},
			want:  "child s: Secret team-b/a: it is not in the namespace of its parent, and the plugin does not say AnyNamespace",
		},
		"a drift policy": {
			child: handlers.Child{Object: untyped(configMapKind, "", "a", nil), Policy: handlers.ChildPolicy{Drift: "mend"}},
			want:  `child ConfigMap/a: there is no drift policy "mend": want fix, report or ignore`,
		},
		"a conflicts policy": {
			child: handlers.Child{Object: untyped(configMapKind, "", "a", nil), Policy: handlers.ChildPolicy{Conflicts: "wait"}},
			want:  `child ConfigMap/a: there is no conflicts policy "wait": want force or fail`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.parent.UID == "" {
				tc.parent = website
			}
			m := makerFor(tc.parent)
			secrets := m.kinds[secretKind]
			secrets.AnyNamespace = false
			m.kinds[secretKind] = secrets
			_, err := m.make(tc.child)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

type unregistered struct{ runtime.Unknown }

func (u *unregistered) DeepCopyObject() runtime.Object { return u }

// made makes one child and returns what is applied.
func made(t *testing.T, parent Parent, child handlers.Child) (*Desired, map[string]any) {
	t.Helper()
	d := desire(t, parent, child)[0]
	text, err := json.Marshal(d.tree)
	if err != nil {
		t.Fatal(err)
	}
	return d, treeFrom(t, string(text))
}

func TestMakeMarks(t *testing.T) {
	given := untyped(configMapKind, "", "page", map[string]any{
		"metadata": map[string]any{
			"uid": "u", "resourceVersion": "7", "generation": int64(3), "creationTimestamp": "2026-01-01T00:00:00Z", "selfLink": "/x",
			"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": int64(3), "generateName": "x-",
			"managedFields": []any{map[string]any{"manager": "m"}},
			"labels":        map[string]any{"app": "web", ParentUIDLabel: "of another", "none": nil},
			"annotations":   map[string]any{AppliedAnnotation: "v1-of-another", PruneAnnotation: "true", "note": "x"},
		},
		"data": map[string]any{"html": "hello", "null": nil},
	})
	before := given.DeepCopy()
	d, got := made(t, website, handlers.Child{Object: given})
	want := treeFrom(t, `{
		"apiVersion": "v1", "kind": "ConfigMap", "data": {"html": "hello"},
		"metadata": {
			"name": "page", "namespace": "team-a",
			"labels": {
				"app": "web", "kooperd.dev/installation": "i0123456789abcdef", "kooperd.dev/definition": "websites", "kooperd.dev/parent-uid": "uid-of-web"
			},
			"annotations": {
				"note": "x", "kooperd.dev/parent": "team-a/web", "kooperd.dev/child": "ConfigMap/page", "kooperd.dev/applied": "`+d.hash+`"
			},
			"ownerReferences": [{
				"apiVersion": "demo.kooperd.dev/v1", "kind": "Website", "name": "web", "uid": "uid-of-web", "controller": true, "blockOwnerDeletion": false
			}]
		}
	}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is applied (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before.Object, given.Object); diff != "" {
		t.Errorf("the composer's object was changed (-want +got):\n%s", diff)
	}
	if want := idOf(configMapKind, "team-a", "page"); d.ID != want || d.Name != "ConfigMap/page" || d.Kind != configMapKind || !d.refs {
		t.Errorf("it is %+v", d)
	}
}

func TestMakeOwnerReferences(t *testing.T) {
	other := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "uid-of-x"}
	controller := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "y", "uid": "uid-of-y", "controller": true}
	block := func(m maker, kind schema.GroupVersionKind) {
		owned := m.kinds[kind]
		owned.BlockOwnerDeletion = true
		m.kinds[kind] = owned
	}
	tests := map[string]struct {
		parent Parent
		child  handlers.Child
		block  bool
		want   []any
	}{
		"in the parent's namespace": {parent: website, child: handlers.Child{Object: untyped(configMapKind, "", "a", nil)}, want: []any{website.reference(false)}},
		"that blocks the owner's deletion": {
			parent: website, child: handlers.Child{Object: untyped(configMapKind, "", "a", nil)}, block: true, want: []any{website.reference(true)},
		},
		"in another namespace": {parent: website, child: handlers.Child{Object: untyped(configMapKind, "team-b", "a", nil)}},
		"a copy in another namespace": {
			parent: website,
			child: handlers.Child{Object: untyped(configMapKind, "team-b", "a", map[string]any{
				"metadata": map[string]any{"ownerReferences": []any{controller}},
			})},
		},
		"cluster-scoped": {parent: website, child: handlers.Child{Object: untyped(namespaceKind, "", "a", nil)}},
		"of a cluster-scoped parent": {
			parent: clusterWide, child: handlers.Child{Object: untyped(configMapKind, "team-b", "a", nil)}, want: []any{clusterWide.reference(false)},
		},
		"beside others": {
			parent: website, want: []any{other, website.reference(false)},
			child: handlers.Child{Object: untyped(configMapKind, "", "a", map[string]any{
				"metadata": map[string]any{"ownerReferences": []any{controller, other, website.reference(true)}},
			})},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := makerFor(tc.parent)
			if tc.block {
				block(m, configMapKind)
			}
			d, err := m.make(tc.child)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := object(d.tree, "metadata")["ownerReferences"].([]any)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("owner references (-want +got):\n%s", diff)
			}
			if d.refs != (len(tc.want) > 0) {
				t.Errorf("refs is %v", d.refs)
			}
		})
	}
}

func TestMakeConverts(t *testing.T) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string][]byte{"b": []byte("2"), "a": []byte("old")}, StringData: map[string]string{"a": "1"},
	}
	if _, got := made(t, website, handlers.Child{Object: secret}); got["stringData"] != nil || !cmp.Equal(got["data"], any(map[string]any{"a": "MQ==", "b": "Mg=="})) {
		t.Errorf("a Secret is applied as %v", got)
	}
	pod := untyped(deploymentKind, "", "a", map[string]any{"spec": map[string]any{"replicas": int64(1)}, "status": map[string]any{"replicas": int64(1)}})
	if _, got := made(t, website, handlers.Child{Object: pod}); got["status"] != nil {
		t.Errorf("a Deployment is applied with the status %v", got["status"])
	}
	widget := untyped(widgetKind, "", "a", map[string]any{"status": map[string]any{"a": "b"}})
	if _, got := made(t, website, handlers.Child{Object: widget}); got["status"] == nil {
		t.Error("a Widget is applied without what the composer says of its status")
	}
	typed := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"a": "1"}}
	plain := untyped(configMapKind, "", "a", map[string]any{"data": map[string]any{"a": "1"}})
	one, _ := made(t, website, handlers.Child{Object: typed})
	two, _ := made(t, website, handlers.Child{Object: plain})
	if diff := cmp.Diff(two.tree, one.tree); diff != "" {
		t.Errorf("a typed object is applied in another way than the same untyped (-untyped +typed):\n%s", diff)
	}
}

func TestMakePrune(t *testing.T) {
	for _, tc := range []struct {
		kind  schema.GroupVersionKind
		prune bool
		want  any
	}{
		{kind: claimKind, prune: true, want: "true"}, {kind: claimKind}, {kind: namespaceKind, prune: true, want: "true"},
		{kind: configMapKind, prune: true},
	} {
		d, _ := made(t, website, handlers.Child{Object: untyped(tc.kind, "", "a", nil), Policy: handlers.ChildPolicy{Prune: tc.prune}})
		if got := annotations(d.tree)[PruneAnnotation]; got != tc.want {
			t.Errorf("%s with Prune %v: the annotation is %v, want %v", tc.kind.Kind, tc.prune, got, tc.want)
		}
	}
}

// TestHash shows that a new version of kooperd does not write all children again. The hashes below
// are those of the first one: when they change, so must the version at their beginning.
func TestHash(t *testing.T) {
	deployment := func() map[string]any {
		return map[string]any{"spec": map[string]any{
			"replicas": int64(3), "ratio": 0.5, "paused": false,
			"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "nginx", "text": "<&>é"}}}},
		}}
	}
	tests := map[string]struct {
		child handlers.Child
		want  string
	}{
		"a ConfigMap":  {child: page, want: "v1-8945be9bcce32c8c45e5560c3f35772a"},
		"a Deployment": {child: handlers.Child{Name: "server", Object: untyped(deploymentKind, "", "server", deployment())}, want: "v1-9a4ad21caa5a951f232d508ca3407dc5"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				if d, _ := made(t, website, tc.child); d.hash != tc.want {
					t.Fatalf("hash %s, want %s", d.hash, tc.want)
				}
			}
		})
	}
}

func TestHashDiffers(t *testing.T) {
	base := desire(t, website, page)[0].hash
	other := website
	other.UID = "uid-of-a-later-web"
	for name, d := range map[string]*Desired{
		"data":       desire(t, website, configMap("page", map[string]any{"html": "bye"}))[0],
		"child name": desire(t, website, handlers.Child{Name: "index", Object: page.Object})[0],
		"parent":     desire(t, other, page)[0],
	} {
		if d.hash == base {
			t.Errorf("another %s has the same hash", name)
		}
	}
	for name, policy := range map[string]handlers.ChildPolicy{
		"drift": {Drift: handlers.DriftReport}, "conflicts": {Conflicts: handlers.ConflictsFail}, "prune": {Prune: true},
	} {
		child := page
		child.Policy = policy
		if desire(t, website, child)[0].hash != base {
			t.Errorf("another policy of %s has another hash", name)
		}
	}
}

func TestBody(t *testing.T) {
	d, want := made(t, website, page)
	for uid, field := range map[string]string{"": "resourceVersion", "uid-1": "uid"} {
		op := Op{Desired: d}
		if uid != "" {
			op.Observed = &Observed{UID: types.UID(uid)}
		}
		text, err := op.body()
		if err != nil {
			t.Fatal(err)
		}
		got := treeFrom(t, string(text))
		value := object(got, "metadata")[field]
		if wanted := map[string]any{"resourceVersion": "1", "uid": "uid-1"}[field]; value != wanted {
			t.Errorf("metadata.%s is %v, want %v", field, value, wanted)
		}
		delete(object(got, "metadata"), field)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	}
	if _, after := made(t, website, page); !cmp.Equal(want, after) {
		t.Error("making a body has changed what is desired")
	}
}

func TestChildIDText(t *testing.T) {
	for want, id := range map[string]ChildID{
		"ConfigMap team-a/page": pageID, "Namespace space": idOf(namespaceKind, "", "space"),
	} {
		if got := id.String(); got != want {
			t.Errorf("String is %q, want %q", got, want)
		}
	}
}

func TestInstallation(t *testing.T) {
	if got, want := Installation("kooper-system", "kooperd"), "ie8c9b06c7f28b177"; got != want {
		t.Errorf("Installation is %s, want %s", got, want)
	}
	if got, want := FinalizerOf("i1", "websites"), "i1.kooperd.dev/websites"; got != want {
		t.Errorf("FinalizerOf is %s, want %s", got, want)
	}
}
