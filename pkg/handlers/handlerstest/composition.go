package handlerstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/handlers"
)

// maxStatus is how large a status may be, in bytes.
const maxStatus = 32 << 10

// mistakes are what is wrong with an answer by itself. name is that of the request.
func (c *composerCheck) mistakes(ctx context.Context, name string, a answer) []string {
	j := &judge{composerCheck: c, req: c.requests[name], byName: map[string]handlers.Child{}}
	_, j.sample = c.samples[name]
	if a.damage != "" {
		j.reportf("it changes its request (-before +after):\n%s", a.damage)
	}
	j.related(a.related)
	if !a.known() {
		return j.found // Nobody reads the rest.
	}
	for _, child := range a.composition.Children {
		j.child(ctx, child)
	}
	for _, child := range a.composition.Children {
		j.order(child)
	}
	j.patches(a.composition.Patches)
	j.rest(a)
	return j.found
}

// judge looks at one answer.
type judge struct {
	*composerCheck
	req     handlers.ComposeRequest
	sample  bool // the parent may be of another kind than the watched one
	byName  map[string]handlers.Child
	objects []string // which objects the children are
	found   []string
}

func (j *judge) reportf(format string, args ...any) {
	j.found = append(j.found, fmt.Sprintf(format, args...))
}

// child looks at one child by itself.
func (j *judge) child(ctx context.Context, child handlers.Child) {
	u, err := unstructuredOf(child.Object)
	if err != nil {
		j.reportf("child %q: %v", child.Name, err)
		return
	}
	name := childName(child, u)
	if _, twice := j.byName[name]; twice {
		j.reportf("child %s: there are two of that name", name)
	}
	j.byName[name] = child
	namespace := u.GetNamespace()
	if namespace == "" {
		namespace = j.req.Object.Namespace()
	}
	object := fmt.Sprintf("%s %s/%s", u.GroupVersionKind().GroupKind(), namespace, u.GetName())
	if slices.Contains(j.objects, object) {
		j.reportf("child %s: another child is the same object", name)
	}
	j.objects = append(j.objects, object)
	owned, ok := ownedKind(j.bound, u.GroupVersionKind())
	if !ok {
		j.reportf("child %s: Owns has no %s %s", name, u.GetAPIVersion(), u.GetKind())
		return
	}
	j.identity(name, owned, u)
	j.roles(name, owned, u)
	j.policy(name, child.Policy)
	j.generates(ctx, name, child, u)
	j.ready(name, owned, child.Policy, u)
}

// identity looks at the names and the namespace of a child.
func (j *judge) identity(name string, owned handlers.OwnedKind, u *unstructured.Unstructured) {
	if u.GetName() == "" {
		j.reportf("child %s: metadata.name is empty", name)
	}
	parent, namespace := j.req.Object.Namespace(), u.GetNamespace()
	if parent != "" && namespace != "" && namespace != parent && !owned.AnyNamespace {
		j.reportf("child %s: it is in namespace %s, its parent in %s, and Owns does not say AnyNamespace", name, namespace, parent)
	}
	mapping, err := j.mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
	if err != nil {
		return // It is no kind of Kubernetes itself.
	}
	namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace
	if !namespaced && namespace != "" {
		j.reportf("child %s: the kind is cluster-scoped, and metadata.namespace is %s", name, namespace)
	}
	if namespaced && namespace == "" && parent == "" && !j.sample {
		j.reportf("child %s: metadata.namespace is empty, and the parent has no namespace", name)
	}
}

// roles looks at the rights that a child takes which grants rights.
func (j *judge) roles(name string, owned handlers.OwnedKind, u *unstructured.Unstructured) {
	if len(owned.RoleNames) > 0 && !slices.Contains(owned.RoleNames, u.GetName()) {
		j.reportf("child %s: RoleNames in Owns has no %s", name, u.GetName())
	}
	kind, _, _ := unstructured.NestedString(u.Object, "roleRef", "kind")
	role, _, _ := unstructured.NestedString(u.Object, "roleRef", "name")
	if len(owned.Binds) > 0 && !slices.Contains(owned.Binds, handlers.RoleRef{Kind: kind, Name: role}) {
		j.reportf("child %s: Binds in Owns has no %s %s", name, kind, role)
	}
}

func (j *judge) policy(name string, p handlers.ChildPolicy) {
	if !slices.Contains([]handlers.Drift{"", handlers.DriftFix, handlers.DriftReport, handlers.DriftIgnore}, p.Drift) {
		j.reportf("child %s: there is no drift policy %q", name, p.Drift)
	}
	if !slices.Contains([]handlers.Conflicts{"", handlers.ConflictsForce, handlers.ConflictsFail}, p.Conflicts) {
		j.reportf("child %s: there is no conflicts policy %q", name, p.Conflicts)
	}
	updates := []handlers.Update{"", handlers.UpdateInPlace, handlers.UpdateRecreate, handlers.UpdateOnDelete, handlers.UpdateCreateOnly}
	if !slices.Contains(updates, p.Update) {
		j.reportf("child %s: there is no update policy %q", name, p.Update)
	}
	if !slices.Contains([]handlers.WhenGone{"", handlers.WhenGoneDone, handlers.WhenGoneRecreate}, p.WhenGone) {
		j.reportf("child %s: there is no whenGone policy %q", name, p.WhenGone)
	}
	if p.AllowDataLoss && p.Update != handlers.UpdateRecreate {
		j.reportf("child %s: AllowDataLoss is for the update policy recreate", name)
	}
}

// generates looks at what a child generates.
func (j *judge) generates(ctx context.Context, name string, child handlers.Child, u *unstructured.Unstructured) {
	switch {
	case child.Generate == nil:
		return
	case child.Policy.Update != handlers.UpdateCreateOnly:
		j.reportf("child %s: Generate is for the update policy createOnly", name)
	}
	made := u.DeepCopy()
	if err := child.Generate(ctx, made); err != nil {
		j.reportf("child %s: Generate: %v", name, err)
		return
	}
	if made.GroupVersionKind() != u.GroupVersionKind() || made.GetName() != u.GetName() || made.GetNamespace() != u.GetNamespace() {
		j.reportf("child %s: Generate changes apiVersion, kind, name or namespace", name)
	}
}

// ready asks whether the child would be ready if it were there as it is desired.
func (j *judge) ready(name string, owned handlers.OwnedKind, p handlers.ChildPolicy, u *unstructured.Unstructured) {
	if p.Ready == nil {
		return
	}
	if owned.MetadataOnly {
		u = &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": u.GetAPIVersion(), "kind": u.GetKind(), "metadata": u.Object["metadata"],
		}}
	}
	o, err := handlers.ObjectOf(u)
	if err != nil {
		j.reportf("child %s: %v", name, err)
		return
	}
	ready, why := p.Ready(o)
	again, whyAgain := p.Ready(o)
	if ready != again || why != whyAgain {
		j.reportf("child %s: Ready says %t %q, and then %t %q of the same object", name, ready, why, again, whyAgain)
	}
	if !ready && why == "" {
		j.reportf("child %s: Ready does not say why it is not", name)
	}
}

// order looks at what a child comes after.
func (j *judge) order(child handlers.Child) {
	u, err := unstructuredOf(child.Object)
	if err != nil {
		return
	}
	name := childName(child, u)
	for _, before := range child.After {
		if _, ok := j.byName[before]; !ok {
			j.reportf("child %s: it comes after child %s, which there is not", name, before)
		}
	}
	if j.comesAfter(name, name, map[string]bool{}) {
		j.reportf("child %s: it comes after itself", name)
	}
}

// comesAfter reports whether one child has to wait for another, or would for itself.
func (j *judge) comesAfter(name, other string, seen map[string]bool) bool {
	for _, before := range j.byName[name].After {
		if before == other {
			return true
		}
		if !seen[before] {
			seen[before] = true
			if j.comesAfter(before, other, seen) {
				return true
			}
		}
	}
	return false
}

// rest looks at everything but the children.
func (j *judge) rest(a answer) {
	if a.composition.RequeueAfter < 0 {
		j.reportf("RequeueAfter is %s", a.composition.RequeueAfter)
	}
	pending := slices.Clone(a.composition.Pending)
	if p, ok := errors.AsType[handlers.Pending](a.err); ok {
		pending = append(pending, p)
	}
	for _, p := range pending {
		if p.On == "" {
			j.reportf("pending %q: it does not say on what", p.Name)
		}
	}
	j.marks("label", a.composition.Labels)
	j.marks("annotation", a.composition.Annotations)
	j.status(a.composition.Status)
	waits := len(pending) > 0 || a.composition.RequeueAfter > 0 || len(j.req.Children) > 0
	if j.req.Finalizing && !waits && !a.composition.Finalized {
		j.reportf("the parent is being deleted and has no children left, and Finalized is false; say what it waits for, in Pending or by RequeueAfter")
	}
}

func (j *judge) status(status any) {
	if status == nil {
		return
	}
	text, err := json.Marshal(status)
	if err != nil {
		j.reportf("encoding the status: %v", err)
		return
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		j.reportf("the status is a %T, which is no JSON object", status)
	}
	if len(text) > maxStatus {
		j.reportf("the status has %d bytes, at most %d are allowed", len(text), maxStatus)
	}
}

// unstructuredOf decodes a child as it is applied.
func unstructuredOf(object runtime.Object) (*unstructured.Unstructured, error) {
	if object == nil {
		return nil, errors.New("it has no object")
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding it: %w", err)
	}
	var u unstructured.Unstructured
	if err := handlers.DecodeJSON(text, &u.Object); err != nil {
		return nil, err
	}
	if u.Object == nil {
		return nil, errors.New("it has no object")
	}
	if u.GroupVersionKind().Version == "" || u.GetKind() == "" {
		kind, err := knownKind(object)
		if err != nil {
			return nil, err
		}
		u.SetGroupVersionKind(kind)
	}
	return &u, nil
}

// knownKind finds the kind of a struct of Kubernetes itself.
func knownKind(object runtime.Object) (schema.GroupVersionKind, error) {
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("%T: apiVersion and kind are not filled in", object)
	}
	return kinds[0], nil
}

// childName is the name of a child within its parent.
func childName(child handlers.Child, u *unstructured.Unstructured) string {
	if child.Name != "" {
		return child.Name
	}
	return u.GetKind() + "/" + u.GetName()
}
