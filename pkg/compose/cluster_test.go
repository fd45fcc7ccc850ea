package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// The kinds of the tests.
var (
	websiteKind    = schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"}
	configMapKind  = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	secretKind     = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	namespaceKind  = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	claimKind      = schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}
	deploymentKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	revisionKind   = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ControllerRevision"}
	widgetKind     = schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Widget"}
)

// resources says how the kinds are served.
var resources = map[schema.GroupVersionKind]kinds.Resource{
	websiteKind: {
		Group: "demo.kooperd.dev", Version: "v1", Name: "websites", Kind: "Website", Namespaced: true,
		Subresources: map[string][]string{"status": {"get", "patch", "update"}},
	},
	configMapKind:  {Version: "v1", Name: "configmaps", Kind: "ConfigMap", Namespaced: true},
	secretKind:     {Version: "v1", Name: "secrets", Kind: "Secret", Namespaced: true},
	namespaceKind:  {Version: "v1", Name: "namespaces", Kind: "Namespace"},
	podKind:        {Version: "v1", Name: "pods", Kind: "Pod", Namespaced: true},
	claimKind:      {Version: "v1", Name: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Namespaced: true},
	deploymentKind: {Group: "apps", Version: "v1", Name: "deployments", Kind: "Deployment", Namespaced: true},
	revisionKind:   {Group: "apps", Version: "v1", Name: "controllerrevisions", Kind: "ControllerRevision", Namespaced: true},
	widgetKind:     {Group: "demo.kooperd.dev", Version: "v1", Name: "widgets", Kind: "Widget", Namespaced: true},
}

const (
	installation = "i0123456789abcdef"
	definition   = "websites"
)

// website is the parent of the tests.
var website = Parent{Kind: websiteKind, Namespace: "team-a", Name: "web", UID: "uid-of-web"}

// objectType is the schema of all objects of a cluster: it has each kind of list.
var objectType = func() typed.ParseableType {
	parser, err := typed.NewParser(`
types:
- name: object
  map:
    fields:
    - name: metadata
      type: {namedType: metadata}
    - name: data
      type: {map: {elementType: {scalar: string}}}
    - name: spec
      type: {namedType: spec}
    elementType: {namedType: deduced}
- name: metadata
  map:
    fields:
    - name: labels
      type: {map: {elementType: {scalar: string}}}
    - name: annotations
      type: {map: {elementType: {scalar: string}}}
    - name: finalizers
      type: {list: {elementType: {scalar: string}, elementRelationship: associative}}
    - name: ownerReferences
      type: {list: {elementType: {namedType: deduced}, elementRelationship: associative, keys: [uid]}}
    elementType: {namedType: deduced}
- name: spec
  map:
    fields:
    - name: args
      type: {list: {elementType: {scalar: untyped}, elementRelationship: atomic}}
    - name: groups
      type: {list: {elementType: {scalar: untyped}, elementRelationship: associative}}
    - name: selector
      type: {map: {elementType: {scalar: string}, elementRelationship: atomic}}
    - name: containers
      type: {list: {elementType: {namedType: container}, elementRelationship: associative, keys: [name]}}
    elementType: {namedType: deduced}
- name: container
  map:
    fields:
    - name: ports
      type: {list: {elementType: {namedType: port}, elementRelationship: associative, keys: [containerPort, protocol]}}
    elementType: {namedType: deduced}
- name: port
  map:
    fields:
    - name: containerPort
      type: {scalar: numeric}
    - name: protocol
      type: {scalar: string}
      default: TCP
    elementType: {namedType: deduced}
- name: deduced
  scalar: untyped
  list: {elementType: {namedType: atomic}, elementRelationship: atomic}
  map: {elementType: {namedType: deduced}, elementRelationship: separable}
- name: atomic
  scalar: untyped
  list: {elementType: {namedType: atomic}, elementRelationship: atomic}
  map: {elementType: {namedType: atomic}, elementRelationship: atomic}
`)
	if err != nil {
		panic(err)
	}
	return parser.Type("object")
}()

// unmanaged are the fields of which the API server keeps no managers.
var unmanaged = fieldpath.NewSet(
	fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata", "name"),
	fieldpath.MakePathOrDie("metadata", "namespace"),
)

// cluster has objects as an API server keeps them, with managedFields by the same library. What
// the API server itself does is shown by test/compose; here are the states that are hard to bring
// about there, and many of them.
type cluster struct {
	updater *merge.Updater
	objects map[ChildID]*stored
	version int
	uids    int
	writes  []string // "create ConfigMap team-a/web", in order
}

// stored is one object.
type stored struct {
	kind       schema.GroupVersionKind
	tree       map[string]any // without what the API server sets
	managers   fieldpath.ManagedFields
	uid        types.UID
	version    string
	generation int64
	deleting   bool
}

// sameVersion is a converter between versions that do not differ.
type sameVersion struct{}

func (sameVersion) Convert(object *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return object, nil
}

func (sameVersion) IsMissingVersionError(error) bool { return false }

func newCluster() *cluster {
	return &cluster{
		updater: (&merge.UpdaterBuilder{Converter: sameVersion{}}).BuildUpdater(), objects: map[ChildID]*stored{}, version: 10,
	}
}

func typedOf(tree map[string]any) (*typed.TypedValue, error) {
	return objectType.FromUnstructured(tree)
}

// typedLive is for what is stored: it may have the same item twice.
func typedLive(tree map[string]any) (*typed.TypedValue, error) {
	return objectType.FromUnstructured(tree, typed.AllowDuplicates)
}

// apply is a server-side apply. It returns false when it has changed nothing.
func (c *cluster) apply(kind schema.GroupVersionKind, id ChildID, manager string, tree map[string]any, force bool) (changed bool, err error) {
	tree = runtime.DeepCopyJSON(tree)
	uid, _, _ := unstructured.NestedString(tree, "metadata", "uid")
	version, _, _ := unstructured.NestedString(tree, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(tree, "metadata", "uid")
	unstructured.RemoveNestedField(tree, "metadata", "resourceVersion")
	resource := schema.GroupResource{Group: kind.Group, Resource: resources[kind].Name}
	s, exists := c.objects[id]
	switch {
	case !exists && uid != "":
		return false, apierrors.NewConflict(resource, id.Name, errors.New("uid mismatch: no existing object was found"))
	case exists && uid != "" && uid != string(s.uid):
		return false, apierrors.NewInvalid(kind.GroupKind(), id.Name, field.ErrorList{field.Invalid(field.NewPath("metadata", "uid"), uid, "field is immutable")})
	case exists && version != "" && version != s.version:
		return false, apierrors.NewConflict(resource, id.Name, errors.New("the object has been modified"))
	case !exists:
		s = &stored{kind: kind, tree: map[string]any{"apiVersion": tree["apiVersion"], "kind": tree["kind"]}, managers: fieldpath.ManagedFields{}}
	}
	live, err := typedLive(s.tree)
	if err != nil {
		return false, err
	}
	config, err := typedOf(tree)
	if err != nil {
		return false, apierrors.NewBadRequest(err.Error())
	}
	made, managers, err := c.updater.Apply(live, config, "v1", s.managers.Copy(), manager, force)
	if conflicts := (merge.Conflicts{}); errors.As(err, &conflicts) {
		var causes []metav1.StatusCause
		for _, conflict := range conflicts {
			causes = append(causes, metav1.StatusCause{
				Type: metav1.CauseTypeFieldManagerConflict, Message: fmt.Sprintf("conflict with %q", conflict.Manager), Field: conflict.Path.String(),
			})
		}
		return false, apierrors.NewApplyConflict(causes, "Apply failed with conflicts")
	}
	if err != nil {
		return false, err
	}
	managers = managedOnly(managers)
	if made == nil && exists && managers.Equals(s.managers) {
		return false, nil
	}
	if made != nil {
		s.tree, _ = made.AsValue().Unstructured().(map[string]any)
	}
	s.managers = managers
	c.store(id, s, exists)
	return true, nil
}

// store writes an object under a new version.
func (c *cluster) store(id ChildID, s *stored, exists bool) {
	c.version++
	s.version = strconv.Itoa(c.version)
	s.generation++
	verb := "change"
	if !exists {
		c.uids++
		s.uid, c.objects[id] = types.UID("uid-"+strconv.Itoa(c.uids)), s
		verb = "create"
	}
	c.writes = append(c.writes, verb+" "+id.String())
}

// saved returns what makes an object that exists what it is now.
func (c *cluster) saved(id ChildID) (restore func()) {
	object, version, writes := *c.objects[id], c.version, len(c.writes)
	return func() {
		*c.objects[id] = object
		c.version, c.writes = version, c.writes[:writes]
	}
}

func managedOnly(managers fieldpath.ManagedFields) fieldpath.ManagedFields {
	kept := fieldpath.ManagedFields{}
	for manager, set := range managers {
		if fields := set.Set().Difference(unmanaged); !fields.Empty() {
			kept[manager] = fieldpath.NewVersionedSet(fields, set.APIVersion(), set.Applied())
		}
	}
	return kept
}

// edit is an update by another party; an object that is not there is created.
func (c *cluster) edit(id ChildID, manager string, change func(tree map[string]any)) {
	s, exists := c.objects[id]
	if !exists {
		kind := schema.GroupVersionKind{Group: id.Kind.Group, Version: "v1", Kind: id.Kind.Kind}
		apiVersion, name := kind.ToAPIVersionAndKind()
		s = &stored{kind: kind, managers: fieldpath.ManagedFields{}, tree: map[string]any{"apiVersion": apiVersion, "kind": name}}
		metadata := object(s.tree, "metadata")
		if metadata["name"] = id.Name; id.Namespace != "" {
			metadata["namespace"] = id.Namespace
		}
	}
	tree := runtime.DeepCopyJSON(s.tree)
	change(tree)
	live, err := typedLive(s.tree)
	if err != nil {
		panic(err)
	}
	next, err := typedLive(tree)
	if err != nil {
		panic(err)
	}
	made, managers, err := c.updater.Update(live, next, "v1", s.managers.Copy(), manager)
	if err != nil {
		panic(err)
	}
	s.tree, _ = made.AsValue().Unstructured().(map[string]any)
	s.managers = managedOnly(managers)
	c.store(id, s, exists)
}

// wipe removes the managedFields, as an update with managedFields: [{}] does.
func (c *cluster) wipe(id ChildID) {
	s := c.objects[id]
	s.managers = fieldpath.ManagedFields{}
	c.store(id, s, true)
}

// delete deletes an object, at once if it has no finalizer.
func (c *cluster) delete(id ChildID, uid types.UID, version string) error {
	s, exists := c.objects[id]
	resource := schema.GroupResource{Group: id.Kind.Group, Resource: id.Kind.Kind}
	switch {
	case !exists:
		return apierrors.NewNotFound(resource, id.Name)
	case uid != "" && uid != s.uid, version != "" && version != s.version:
		return apierrors.NewConflict(resource, id.Name, errors.New("precondition failed"))
	}
	c.writes = append(c.writes, "delete "+id.String())
	if finalizers, _, _ := unstructured.NestedSlice(s.tree, "metadata", "finalizers"); len(finalizers) == 0 {
		delete(c.objects, id)
		c.version++
		return nil
	}
	c.version++
	s.deleting, s.version = true, strconv.Itoa(c.version)
	return nil
}

// encode is an object as the API server sends it.
func (s *stored) encode() ([]byte, error) {
	tree := runtime.DeepCopyJSON(s.tree)
	metadata := object(tree, "metadata")
	metadata["uid"], metadata["resourceVersion"], metadata["generation"] = string(s.uid), s.version, s.generation
	metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
	if s.deleting {
		metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
	}
	var entries []any
	for _, manager := range slices.Sorted(maps.Keys(s.managers)) {
		set := s.managers[manager]
		fields, err := set.Set().ToJSON()
		if err != nil {
			return nil, err
		}
		operation := metav1.ManagedFieldsOperationUpdate
		if set.Applied() {
			operation = metav1.ManagedFieldsOperationApply
		}
		entries = append(entries, map[string]any{
			"manager": manager, "operation": string(operation), "apiVersion": "v1", "fieldsType": "FieldsV1",
			"fieldsV1": json.RawMessage(fields), "time": time.Unix(0, 0).UTC().Format(time.RFC3339),
		})
	}
	if len(entries) > 0 {
		metadata["managedFields"] = entries
	}
	return json.Marshal(tree)
}

// read is an object as a source has it.
func (s *stored) read(metadataOnly bool) (handlers.Object, error) {
	return s.readBy(FieldManager, metadataOnly)
}

// readBy is read of a source that keeps the fields of other field managers.
func (s *stored) readBy(manager string, metadataOnly bool) (handlers.Object, error) {
	text, err := s.encode()
	if err != nil {
		return nil, err
	}
	return kube.ReadObject(text, s.kind, manager, metadataOnly)
}

// observed are the objects that have to do with the parent, as a pass collects them: those with its
// mark, and those where a child should be.
func (c *cluster) observed(tb testing.TB, parent Parent, desired []*Desired, metadataOnly ...schema.GroupKind) []*Observed {
	tb.Helper()
	var all []*Observed
	for _, id := range slices.SortedFunc(maps.Keys(c.objects), compareIDs) {
		wanted := slices.ContainsFunc(desired, func(d *Desired) bool { return d.ID == id })
		object, err := c.objects[id].read(slices.Contains(metadataOnly, id.Kind))
		if err != nil {
			tb.Fatal(err)
		}
		if wanted || object.Metadata().Labels[ParentUIDLabel] == string(parent.UID) {
			all = append(all, observe(object, slices.Contains(metadataOnly, id.Kind)).Observed)
		}
	}
	return all
}

// execute carries out what is planned, as an executor does.
func (c *cluster) execute(ops []Op) error {
	for _, op := range ops {
		var err error
		switch op.Action {
		case Create, Apply, Adopt:
			var body []byte
			if err = c.takeOver(&op); err != nil {
				break
			}
			if body, err = op.body(); err != nil {
				return err
			}
			var tree map[string]any
			if tree, err = decodeTree(body); err != nil {
				return err
			}
			_, err = c.apply(op.Desired.Kind, op.ID, FieldManager, tree, op.force())
		case HandOver:
			err = c.handOver(op.ID, op.Observed.UID, op.Desired)
		case Delete, Recreate:
			err = c.delete(op.ID, op.Observed.UID, op.Observed.ResourceVersion)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", op.Action, op.ID, err)
		}
	}
	return nil
}

// takeOver is that of an executor.
func (c *cluster) takeOver(op *Op) error {
	if len(op.managers) == 0 {
		return nil
	}
	o := *op.Observed
	patch, err := takeOverPatch(&o, op.managers, op.Desired.Kind.GroupVersion().String(), op.Desired.released)
	if err == nil {
		err = c.jsonPatch(op.ID, patch)
	}
	if err == nil {
		o.ResourceVersion, op.Observed = c.objects[op.ID].version, &o
	}
	return err
}

// live is an object as it is read to find out whether it may be adopted.
func (c *cluster) live(id ChildID, metadataOnly bool) (*Observed, error) {
	text, err := c.objects[id].encode()
	if err != nil {
		return nil, err
	}
	o, err := observeLive(text, target{kind: c.objects[id].kind, metadataOnly: metadataOnly})
	return o.Observed, err
}

// handOver leaves fields to others, as a Client does.
func (c *cluster) handOver(id ChildID, uid types.UID, d *Desired) error {
	s, exists := c.objects[id]
	resource := schema.GroupResource{Group: id.Kind.Group, Resource: id.Kind.Kind}
	switch {
	case !exists:
		return apierrors.NewNotFound(resource, id.Name)
	case uid != s.uid:
		return apierrors.NewConflict(resource, id.Name, errReplaced)
	}
	entry, ok := s.managers[FieldManager]
	if !ok {
		return nil
	}
	moved := d.released(entry.Set())
	if moved.Empty() {
		return nil
	}
	s.managers = s.managers.Copy()
	s.managers[FieldManager] = fieldpath.NewVersionedSet(entry.Set().Difference(moved), "v1", true)
	if before, ok := s.managers[CreateManager]; ok {
		moved = moved.Union(before.Set())
	}
	s.managers[CreateManager] = fieldpath.NewVersionedSet(moved, "v1", false)
	c.store(id, s, true)
	return nil
}

// makerFor makes the children of a parent, of all kinds.
func makerFor(parent Parent) maker {
	m := maker{installation: installation, definition: definition, parent: parent, kinds: map[schema.GroupVersionKind]ownedKind{}}
	for kind, resource := range resources {
		apiVersion, name := kind.ToAPIVersionAndKind()
		m.kinds[kind] = ownedKind{
			OwnedKind: handlers.OwnedKind{APIVersion: apiVersion, Kind: name, AnyNamespace: true}, namespaced: resource.Namespaced,
		}
	}
	return m
}

// desire makes children of the parent.
func desire(tb testing.TB, parent Parent, children ...handlers.Child) []*Desired {
	tb.Helper()
	m := makerFor(parent)
	var all []*Desired
	for _, child := range children {
		d, err := m.make(child)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// configMap is a child "web" that is a ConfigMap of the parent's namespace.
func configMap(name string, data map[string]any) handlers.Child {
	return handlers.Child{Name: name, Object: untyped(configMapKind, "", name, map[string]any{"data": data})}
}

// untyped makes an object of a kind.
func untyped(kind schema.GroupVersionKind, namespace, name string, fields map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(fields)}
	if u.Object == nil {
		u.Object = map[string]any{}
	}
	u.SetGroupVersionKind(kind)
	u.SetName(name)
	u.SetNamespace(namespace)
	return u
}

func idOf(kind schema.GroupVersionKind, namespace, name string) ChildID {
	return ChildID{Kind: kind.GroupKind(), Namespace: namespace, Name: name}
}
