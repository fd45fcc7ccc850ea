package compose_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// shape is a definition that needs rights of its own kind.
type shape struct {
	kinds    []owned        // of the children; each parent has some of each
	watch    map[string]any // instead of the rig's things
	settings map[string]any
	reads    []parts.Reads
	labels   map[string]string // of the parents
}

// owned is one kind of children of a shape.
type owned struct {
	parts.Owns
	resource  schema.GroupVersionResource
	namespace string         // of the children; empty: none, or that of the parents where inParents is true
	inParents bool           // they are in the namespace of the parents
	body      map[string]any // besides their metadata
}

var (
	roles        = rbacv1.SchemeGroupVersion.WithResource("roles")
	roleBindings = rbacv1.SchemeGroupVersion.WithResource("rolebindings")
	clusterRoles = rbacv1.SchemeGroupVersion.WithResource("clusterroles")
)

const rbacV1 = "rbac.authorization.k8s.io/v1"

// ownConfigMaps are children beside their parents.
func ownConfigMaps(block bool) owned {
	return owned{
		Owns:     parts.Owns{APIVersion: "v1", Kind: "ConfigMap", BlockOwnerDeletion: block},
		resource: configMaps, inParents: true, body: map[string]any{"data": map[string]any{"text": "{text}"}},
	}
}

// ownElsewhere are children in one other namespace.
func ownElsewhere(namespace string) owned {
	o := ownConfigMaps(false)
	o.AnyNamespace, o.inParents, o.namespace = true, false, namespace
	return o
}

// ownRoles are children that grant what kooperd may not do itself.
func ownRoles(r *rig, bind bool) []owned {
	anything := map[string]any{"rules": []any{map[string]any{
		"apiGroups": []any{"example.com"}, "resources": []any{"gadgets"}, "verbs": []any{"get"},
	}}}
	names := make([]string, 0, len(letters))
	for _, letter := range letters {
		names = append(names, r.childName(letter))
	}
	all := []owned{
		{Owns: parts.Owns{APIVersion: rbacV1, Kind: "Role", RoleNames: strings.Join(names, ",")}, resource: roles, inParents: true, body: anything},
		{Owns: parts.Owns{APIVersion: rbacV1, Kind: "ClusterRole", RoleNames: strings.Join(names, ",")}, resource: clusterRoles, body: anything},
	}
	if bind {
		all = append(all, owned{
			Owns:     parts.Owns{APIVersion: rbacV1, Kind: "RoleBinding", Binds: "view"},
			resource: roleBindings, inParents: true,
			body: map[string]any{
				"roleRef":  map[string]any{"apiGroup": rbacv1.GroupName, "kind": "ClusterRole", "name": "view"},
				"subjects": []any{map[string]any{"kind": "User", "apiGroup": rbacv1.GroupName, "name": "somebody"}},
			},
		})
	}
	return all
}

// letters tell the children of one kind apart: a is kept, b is dropped, and c comes later.
var letters = []string{"a", "b", "c"}

// shapes are definitions whose rights differ.
func shapes(r *rig, elsewhere string) map[string]shape {
	everywhere := map[string]any{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "labelSelector": "rig=" + r.namespace}
	return map[string]shape{
		"one namespace": {
			kinds: []owned{ownConfigMaps(true)},
			reads: []parts.Reads{{Name: "tokens", APIVersion: "v1", Kind: "Secret", SameNamespace: true}},
		},
		"no status": {
			kinds: []owned{ownConfigMaps(false)}, settings: map[string]any{"status": "none"},
			reads: []parts.Reads{{Name: "token", APIVersion: "v1", Kind: "Secret", Namespace: elsewhere, ObjectName: "token"}},
		},
		"whole cluster": {
			kinds: []owned{ownConfigMaps(false)}, watch: everywhere,
			reads: []parts.Reads{{Name: "spaces", APIVersion: "v1", Kind: "Namespace", Label: "rig=" + r.namespace}},
		},
		"children elsewhere":            {kinds: []owned{ownElsewhere(elsewhere)}, watch: everywhere},
		"children elsewhere, by a Role": {kinds: []owned{ownElsewhere(elsewhere)}},
		"roles": {
			kinds: ownRoles(r, true),
			reads: []parts.Reads{
				{Name: "spaces", APIVersion: "v1", Kind: "Namespace", Label: "rig=" + r.namespace},
				{Name: "tokens", APIVersion: "v1", Kind: "Secret", InNamespaces: "rig=" + r.namespace},
			},
		},
		"labels of parents": {
			kinds: []owned{ownConfigMaps(false)}, labels: map[string]string{"text": "{text}"},
			reads: []parts.Reads{{Name: "tokens", APIVersion: "v1", Kind: "Secret", InNamespaces: "rig=" + r.namespace}},
		},
		"built-in parents": {
			kinds: []owned{ownConfigMaps(false)},
			watch: map[string]any{"apiVersion": "v1", "kind": "Namespace", "labelSelector": "rig=" + r.namespace},
		},
	}
}

// newBoundRig returns a rig whose service account has no rights yet.
func newBoundRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.account = "bound"
	r.rest = shared.ServiceAccount(t, r.leases, r.account)
	r.kubeconfig = cluster.WriteKubeconfig(t, r.rest, r.leases)
	r.begun = shared.AuditMark(t)
	return r
}

// childName is the name of a child of the parent of a shape.
func (r *rig) childName(letter string) string { return r.namespace + "-" + letter }

// child makes a child of a shape.
func (r *rig) child(kind owned, letter string) parts.Child {
	metadata := map[string]any{"name": r.childName(letter), "labels": map[string]any{"made": "yes"}}
	switch {
	case kind.inParents:
		metadata["namespace"] = r.namespace
	case kind.namespace != "":
		metadata["namespace"] = kind.namespace
	}
	object := map[string]any{"apiVersion": kind.APIVersion, "kind": kind.Kind, "metadata": metadata}
	maps.Copy(object, kind.body)
	return parts.Child{Name: strings.ToLower(kind.Kind) + "-" + letter, Object: object}
}

// place is where the children of a kind are.
func (r *rig) place(kind owned) *rig {
	if kind.inParents {
		return r
	}
	return &rig{namespace: kind.namespace}
}

// shape writes the config. Each kind has a and b first, and then a and c.
func (r *rig) shape(t *testing.T, s shape, letters ...string) {
	t.Helper()
	config := parts.Config{Reads: s.reads, Labels: s.labels, Owns: []parts.Owns{}}
	for _, kind := range s.kinds {
		config.Owns = append(config.Owns, kind.Owns)
		for _, letter := range letters {
			config.Children = append(config.Children, r.child(kind, letter))
		}
	}
	settings := map[string]any{}
	maps.Copy(settings, s.settings)
	watch := map[string]any{"apiVersion": things.GroupVersion().String(), "kind": "Thing", "namespaces": []string{r.namespace}}
	if s.watch != nil {
		watch = s.watch
	}
	settings["watch"] = watch
	// The second one makes nothing. It changes the records that the first has made.
	second := map[string]any{"status": "none", "watch": watch}
	r.defineAll(t, map[string]definition{
		definitionName: {Config: config, settings: settings},
		"second":       {Config: parts.Config{Owns: config.Owns}, settings: second},
	})
}

// printed returns the rules that `kooperd rbac` prints for the config.
func (r *rig) printed(t *testing.T) []cluster.RBAC {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), composed, "rbac", r.path, "--live", "--kubeconfig", shared.AdminKubeconfig(), "-o", "json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("asking for the rights of %s: %v", filepath.Base(r.path), err)
	}
	var list struct{ Items []rbacv1.Role }
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("reading %s: %v", out, err)
	}
	var all []cluster.RBAC
	for _, role := range list.Items {
		all = append(all, cluster.RBAC{Namespace: role.Namespace, Rules: role.Rules})
	}
	if len(all) == 0 {
		t.Fatalf("no roles were printed:\n%s", out)
	}
	return all
}

// grant gives the service account rights.
func (r *rig) grant(t *testing.T, rights ...cluster.RBAC) (revoke func()) {
	t.Helper()
	var all []func()
	for _, right := range rights {
		all = append(all, shared.Grant(t, r.leases, r.account, right))
	}
	return func() {
		for _, one := range all {
			one()
		}
	}
}

// grantsOf takes rights apart.
func grantsOf(rights []cluster.RBAC) []cluster.Grant {
	var all []cluster.Grant
	for _, right := range rights {
		for _, rule := range right.Rules {
			all = append(all, cluster.GrantsOf(right.Namespace, rule)...)
		}
	}
	return all
}

// parent makes the only parent of a shape, and returns a function that deletes it.
func (r *rig) parent(t *testing.T, s shape) (remove func()) {
	t.Helper()
	if s.watch["kind"] == "Namespace" {
		shared.Kubectl(t, "label", "namespace", r.namespace, "rig="+r.namespace)
		return func() { shared.Kubectl(t, "label", "namespace", r.namespace, "rig-") }
	}
	r.thing(t, "p", "x")
	if s.watch != nil {
		r.patch(t, things, "p", fmt.Sprintf(`{"metadata": {"labels": {"rig": %q}}}`, r.namespace))
	}
	return func() {
		r.remove(t, things, "p")
		r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	}
}

// awaitChildren waits until children of each kind exist, and the others do not.
func (r *rig) awaitChildren(t *testing.T, s shape, existing ...string) {
	t.Helper()
	for _, kind := range s.kinds {
		r.place(kind).await(t, kind.resource, fmt.Sprintf("children %q alone", existing), func(o objects) bool {
			for _, letter := range letters {
				child := o[r.childName(letter)]
				if made := child != nil && child.GetLabels()[parentLabel] != ""; made != slices.Contains(existing, letter) {
					return false
				}
			}
			return true
		})
	}
}

// lifeOfShape makes a definition do everything that it may.
func (r *rig) lifeOfShape(t *testing.T, s shape) {
	t.Helper()
	r.shape(t, s, "a", "b")
	p := r.start(t)
	remove := r.parent(t, s)
	r.awaitChildren(t, s, "a", "b")
	for _, kind := range s.kinds {
		r.drift(t, kind)
	}
	r.refuse(t, p, s)
	r.awaitChildren(t, s, "a", "c")
	if s.watch["kind"] != "Namespace" {
		remove()
	}
	if status := p.Stop(t); status != 0 {
		t.Errorf("exit status is %d, want 0", status)
	}
}

// drift changes what a child sets, and takes a mark away, so that it has to be read.
func (r *rig) drift(t *testing.T, kind owned) {
	t.Helper()
	at, name := r.place(kind), r.childName("a")
	for _, edit := range []string{
		`{"metadata": {"labels": {"made": "no"}}}`,
		`{"metadata": {"labels": {"kooperd.dev/installation": null}}}`, // The watch does not show it any more.
	} {
		at.patch(t, kind.resource, name, edit)
		at.await(t, kind.resource, name+" to be set right", func(o objects) bool {
			return o[name] != nil && o[name].GetLabels()["made"] == "yes" && o[name].GetLabels()["kooperd.dev/installation"] != ""
		})
	}
}

// refuse has an object where the definition is about to make a child, and later makes that child
// one that is not provably ours, so that the same event is recorded again.
func (r *rig) refuse(t *testing.T, p *replica, s shape) {
	t.Helper()
	kind := s.kinds[0]
	at, name := r.place(kind), r.childName("c")
	stranger := &unstructured.Unstructured{Object: r.child(kind, "c").Object}
	stranger.SetLabels(nil)
	at.createObject(t, kind.resource, stranger)
	r.shape(t, s, "a", "c")
	p.reload(t)
	r.awaitEvent(t, p, "Refused", func(eventsv1.Event) bool { return true })
	at.remove(t, kind.resource, name)
	r.awaitChildren(t, s, "a", "c")
	r.awaitEvent(t, p, "Recovered", func(eventsv1.Event) bool { return true })
	at.patch(t, kind.resource, name, `{"metadata": {"labels": null, "ownerReferences": null, "managedFields": [{}]}}`)
	r.awaitEvent(t, p, "Refused", func(e eventsv1.Event) bool { return e.Series != nil })
	at.remove(t, kind.resource, name)
}

// awaitEvent waits for an event of the installation about the child that is refused.
func (r *rig) awaitEvent(t *testing.T, p *replica, reason string, is func(eventsv1.Event) bool) {
	t.Helper()
	p.Await(t, "an event", func() bool {
		list, err := shared.Client().EventsV1().Events("").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool {
			return e.Related != nil && e.Related.Name == r.childName("c") && is(e)
		})
	})
}

// TestRights gives kooperd the rights that it prints, and lets definitions do everything that they
// may: nothing is refused, and nothing is left over.
func TestRights(t *testing.T) {
	t.Parallel()
	for name := range shapes(&rig{}, "") {
		if name != "roles" && !conformance {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newBoundRig(t)
			s := shapes(r, shared.Namespace(t))[name]
			r.shape(t, s, "a", "b")
			rights := r.printed(t)
			r.grant(t, rights...)
			r.lifeOfShape(t, s)
			checkRights(t, r, rights)
		})
	}
}

// checkRights judges the requests of the rig's processes.
func checkRights(t *testing.T, r *rig, rights []cluster.RBAC) {
	t.Helper()
	grants := slices.DeleteFunc(grantsOf(rights), func(g cluster.Grant) bool {
		// They are not asked for by requests, but while others are carried out. Lists are made by
		// those alone who do not stream them, and where a parent with a finalizer goes or has left.
		return g.Verb == "bind" || g.Verb == "escalate" || g.Verb == "list" || strings.HasSuffix(g.Resource, "/finalizers")
	})
	user := "system:serviceaccount:" + r.leases + ":" + r.account
	cluster.CheckGrants(t, user, grants, false, func() []cluster.AuditEvent {
		requests := shared.AuditSince(t, r.begun, user)
		for _, e := range requests {
			if e.Verb == "patch" && e.ResponseStatus.Code == 201 {
				e.Verb = "create" // It takes that right too.
				requests = append(requests, e)
			}
		}
		return requests
	})
}
