package compose

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/handlers"
)

// ChildID names one object of the cluster, whatever version of its kind it is read as.
type ChildID struct {
	// Kind is without the version.
	Kind schema.GroupKind
	// Namespace is empty for a cluster-scoped object.
	Namespace string
	// Name is the object's name.
	Name string
}

// String is the object as conditions name it: "ConfigMap team-a/web".
func (id ChildID) String() string {
	if id.Namespace == "" {
		return id.Kind.Kind + " " + id.Name
	}
	return id.Kind.Kind + " " + id.Namespace + "/" + id.Name
}

// Desired is a child as it should be.
type Desired struct {
	// ID names the object.
	ID ChildID
	// Kind is the kind in the version that is applied.
	Kind schema.GroupVersionKind
	// Name is the child's name within its parent.
	Name string
	// After names the children that have to be ready before.
	After []string
	// Policy says how it is kept.
	Policy handlers.ChildPolicy
	// Formerly are names that it has had before.
	Formerly []string

	tree     map[string]any // what is applied, marks included
	hash     string
	full     map[string]any // what a new object is made of, where that is more; nil if it is the same
	ignored  []ignoredPath
	generate func(context.Context, *unstructured.Unstructured) error
	refs     bool // it has an owner reference to the parent
	handled  bool // the definition handles that object as a parent
}

// systemFields are those of the metadata that the API server sets. They are never applied.
var systemFields = []string{
	"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
	"managedFields", "selfLink", "generateName",
}

// protected are the kinds whose deletion takes more with it than an object.
var protected = []schema.GroupKind{
	{Kind: "Namespace"}, {Kind: "PersistentVolume"}, {Kind: "PersistentVolumeClaim"},
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
}

// ofSecrets is the kind of Secrets.
var ofSecrets = schema.GroupKind{Kind: "Secret"}

// maker makes what is desired of what a composer says.
type maker struct {
	installation, definition string
	parent                   Parent
	ordered                  bool
	kinds                    map[schema.GroupVersionKind]ownedKind
	// existing returns the object of a child that keeps what is equal; nil knows none.
	existing func(ChildID) *Observed
}

// ownedKind is a kind that may be made.
type ownedKind struct {
	handlers.OwnedKind
	namespaced bool
}

// make makes a child. The error is a mistake of the composer.
func (m maker) make(child handlers.Child) (*Desired, error) {
	tree, err := treeOf(child.Object)
	if err != nil {
		return nil, fmt.Errorf("child %q: %w", child.Name, err)
	}
	d := &Desired{Name: child.Name, After: child.After, Policy: child.Policy, Formerly: child.Formerly, tree: tree, generate: child.Generate}
	owned, err := m.identify(d)
	if err != nil {
		if child.Name != "" {
			err = fmt.Errorf("child %s: %w", child.Name, err)
		}
		return nil, err
	}
	if err := errors.Join(checkPolicy(d.Policy), checkGenerate(child)); err != nil {
		return nil, fmt.Errorf("child %s: %w", d.Name, err)
	}
	m.mark(d, owned)
	var existing *Observed
	if d.Policy.KeepEqual && m.existing != nil {
		existing = m.existing(d.ID)
	}
	if existing != nil {
		if err := d.keepEqual(existing); err != nil {
			return nil, fmt.Errorf("child %s: %w", d.Name, err)
		}
	}
	if d.Policy.Update == handlers.UpdateCreateOnly {
		d.full, d.tree = d.tree, onlyMarks(d.tree)
	}
	if err := d.splitIgnored(); err != nil {
		return nil, fmt.Errorf("child %s: %w", d.Name, err)
	}
	if err := m.hash(d); err != nil {
		return nil, fmt.Errorf("child %s: encoding it: %w", d.Name, err)
	}
	if existing != nil && d.isAsObserved(existing) {
		d.hash = existing.marks.applied
	}
	annotations(d.tree)[AppliedAnnotation] = d.hash
	if d.full != nil {
		annotations(d.full)[AppliedAnnotation] = d.hash
	}
	return d, nil
}

// hash makes the hash of what is desired. The id of the definition is not in it: after a rename,
// what has finished is not to be run again.
func (m maker) hash(d *Desired) error {
	marked := object(object(d.tree, "metadata"), "labels")
	delete(marked, DefinitionLabel)
	text, err := json.Marshal(d.tree)
	marked[DefinitionLabel] = m.definition
	sum := sha256.Sum256(text)
	d.hash = "v1-" + hex.EncodeToString(sum[:16])
	return err
}

// identify finds out which object a child is, and completes its metadata.
func (m maker) identify(d *Desired) (ownedKind, error) {
	apiVersion, _ := d.tree["apiVersion"].(string)
	kind, _ := d.tree["kind"].(string)
	d.Kind = schema.FromAPIVersionAndKind(apiVersion, kind)
	owned, ok := m.kinds[d.Kind]
	if !ok {
		return owned, fmt.Errorf("the plugin does not say that it owns %s %s", apiVersion, kind)
	}
	if err := checkMetadata(d.tree); err != nil {
		return owned, fmt.Errorf("%s: %w", kind, err)
	}
	metadata := object(d.tree, "metadata")
	for _, field := range systemFields {
		delete(metadata, field)
	}
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	switch {
	case name == "":
		return owned, fmt.Errorf("%s: metadata.name is empty", kind)
	case !owned.namespaced && namespace != "":
		return owned, fmt.Errorf("%s %s: the kind is cluster-scoped, and metadata.namespace is %q", kind, name, namespace)
	case owned.namespaced && namespace == "" && m.parent.Namespace == "":
		return owned, fmt.Errorf("%s %s: metadata.namespace is empty, and the parent has no namespace", kind, name)
	case owned.namespaced && namespace == "":
		namespace = m.parent.Namespace
		metadata["namespace"] = namespace
	}
	if owned.namespaced && m.parent.Namespace != "" && namespace != m.parent.Namespace && !owned.AnyNamespace {
		return owned, fmt.Errorf("%s %s/%s: it is not in the namespace of its parent, and the plugin does not say AnyNamespace",
			kind, namespace, name)
	}
	if problems := validation.IsDNS1123Label(namespace); owned.namespaced && len(problems) > 0 {
		return owned, fmt.Errorf("%s %s: metadata.namespace %q: %s", kind, name, namespace, problems[0])
	}
	if strings.ContainsAny(name, "/%") || name == "." || name == ".." {
		return owned, fmt.Errorf("%s: metadata.name %q cannot be the name of an object", kind, name)
	}
	d.ID = ChildID{Kind: d.Kind.GroupKind(), Namespace: namespace, Name: name}
	if d.Name == "" {
		d.Name = kind + "/" + name
	}
	return owned, nil
}

// mark adds the marks, the owner reference, and what is written in another way than it is stored.
func (m maker) mark(d *Desired, owned ownedKind) {
	labels := object(object(d.tree, "metadata"), "labels")
	labels[InstallationLabel], labels[DefinitionLabel] = m.installation, m.definition
	labels[ParentUIDLabel] = string(m.parent.UID)
	noted := annotations(d.tree)
	noted[ParentAnnotation], noted[ChildAnnotation] = m.parent.text(), d.Name
	delete(noted, AppliedAnnotation)
	delete(noted, AdoptedAnnotation)
	delete(noted, PruneAnnotation)
	delete(noted, AfterAnnotation)
	if order := orderOf(d.After); m.ordered && order != "" {
		noted[AfterAnnotation] = order
	}
	delete(noted, DoneAnnotation(m.installation, m.definition))
	if d.Policy.Prune && slices.Contains(protected, d.ID.Kind) {
		noted[PruneAnnotation] = "true"
	}
	m.refer(d, owned)
	if scheme.Scheme.Recognizes(d.Kind) {
		delete(d.tree, "status") // The API server ignores it.
	}
	if d.ID.Kind == ofSecrets {
		encodeStringData(d.tree)
	}
}

// refer adds the owner reference, where the API allows it. The object may be a copy of one with
// another controller: the garbage collector would delete it for that.
func (m maker) refer(d *Desired, owned ownedKind) {
	metadata := object(d.tree, "metadata")
	references, _ := metadata["ownerReferences"].([]any)
	references = slices.DeleteFunc(references, func(other any) bool {
		reference, _ := other.(map[string]any)
		controller, _ := reference["controller"].(bool)
		return controller || reference["uid"] == string(m.parent.UID)
	})
	if d.refs = m.parent.mayOwn(d.ID.Namespace); d.refs {
		references = append(references, m.parent.reference(owned.BlockOwnerDeletion))
	}
	if len(references) > 0 {
		metadata["ownerReferences"] = references
	} else {
		delete(metadata, "ownerReferences")
	}
}

// encodeStringData moves stringData into data. It is write-only, so the API server would note that
// it is owned where nothing is.
func encodeStringData(tree map[string]any) {
	texts, ok := tree["stringData"].(map[string]any)
	if !ok {
		return
	}
	data := object(tree, "data")
	for key, value := range texts {
		if text, ok := value.(string); ok {
			data[key] = base64.StdEncoding.EncodeToString([]byte(text))
		}
	}
	delete(tree, "stringData")
}

// treeOf decodes an object into plain JSON values, without those that are null.
func treeOf(object runtime.Object) (map[string]any, error) {
	if object == nil {
		return nil, errors.New("it has no object")
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding it: %w", err)
	}
	tree, err := decodeTree(text)
	if err != nil {
		return nil, fmt.Errorf("decoding it: %w", err)
	}
	withoutNulls(tree)
	if tree["kind"] != nil && tree["apiVersion"] != nil {
		return tree, nil
	}
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	if err != nil {
		return nil, fmt.Errorf("%T: apiVersion and kind are not filled in", object)
	}
	tree["apiVersion"], tree["kind"] = kinds[0].GroupVersion().String(), kinds[0].Kind
	return tree, nil
}

// withoutNulls removes what is null at any depth: to the API server that is the same as absent.
func withoutNulls(value any) {
	switch value := value.(type) {
	case map[string]any:
		maps.DeleteFunc(value, func(_ string, member any) bool { return member == nil })
		for _, member := range value {
			withoutNulls(member)
		}
	case []any:
		for _, element := range value {
			withoutNulls(element)
		}
	}
}

func checkPolicy(p handlers.ChildPolicy) error {
	if err := errors.Join(checkUpdate(p), checkWhenGone(p)); err != nil {
		return err
	}
	switch p.Drift {
	case "", handlers.DriftFix, handlers.DriftReport, handlers.DriftIgnore:
	default:
		return fmt.Errorf("there is no drift policy %q: want fix, report or ignore", p.Drift)
	}
	switch p.Conflicts {
	case "", handlers.ConflictsForce, handlers.ConflictsFail:
	default:
		return fmt.Errorf("there is no conflicts policy %q: want force or fail", p.Conflicts)
	}
	return checkAdoption(p)
}

// body is what is sent to apply a child: for an object that exists with its UID, so that no other
// one of that name is changed; for one that does not, so that none is. One that is adopted or
// taken over, or of which the other fields are not ours any more, is changed in the state that was
// seen alone.
func (op Op) body() ([]byte, error) {
	d, whole := op.Desired, op.Desired.tree
	if op.Observed == nil && d.full != nil {
		whole = d.full
	}
	tree := maps.Clone(whole)
	metadata := maps.Clone(object(whole, "metadata"))
	tree["metadata"] = metadata
	switch o := op.Observed; {
	case o == nil:
		metadata["resourceVersion"] = "1" // No object has it: the API server creates, or refuses.
	case op.Action == Adopt, op.Reason == ReasonMoved, d.Policy.Update == handlers.UpdateCreateOnly:
		metadata["uid"], metadata["resourceVersion"] = string(o.UID), o.ResourceVersion
	default:
		metadata["uid"] = string(o.UID)
	}
	if op.adopted {
		noted := maps.Clone(annotations(whole))
		noted[AdoptedAnnotation] = "true"
		metadata["annotations"] = noted
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", d.ID, err)
	}
	return text, nil
}

// force reports whether the fields of a child are taken from other field managers.
func (op Op) force() bool {
	if c := op.Desired.Policy.Conflicts; c != "" {
		return c == handlers.ConflictsForce
	}
	return !op.adopted
}

// object returns a member that is an object, and makes it if it is not there.
func object(tree map[string]any, name string) map[string]any {
	member, ok := tree[name].(map[string]any)
	if !ok {
		member = map[string]any{}
		tree[name] = member
	}
	return member
}

func annotations(tree map[string]any) map[string]any {
	return object(object(tree, "metadata"), "annotations")
}
