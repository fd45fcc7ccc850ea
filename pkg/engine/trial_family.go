package engine

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/offline"
)

// TriedEvent is an event that would be recorded.
type TriedEvent struct {
	Type, Reason, Message string
}

// trialEvents keeps events. It is safe for concurrent use.
type trialEvents struct {
	mu     sync.Mutex
	events []TriedEvent
}

// Eventf implements events.EventRecorder.
func (r *trialEvents) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, TriedEvent{Type: kind, Reason: reason, Message: fmt.Sprintf(note, args...)})
}

// trialFamily are the objects of a trial without an API server. Children with marks are whose they
// say; the others become those of the parent when they turn out to be desired.
type trialFamily struct {
	*Trials
	parent  *unstructured.Unstructured
	given   Given
	claimed map[offline.Key]string // the name of the child
	made    map[offline.Key]bool   // it was given with its name
	guessed bool                   // it is not known what was applied of some
}

func newTrialFamily(t *Trials, parent *unstructured.Unstructured, given Given) *trialFamily {
	f := &trialFamily{Trials: t, parent: parent, given: given, claimed: map[offline.Key]string{}, made: map[offline.Key]bool{}}
	f.given.Children = slices.Clone(given.Children)
	for _, name := range slices.Sorted(maps.Keys(given.Made)) {
		f.given.Children = append(f.given.Children, given.Made[name])
		f.claimed[offline.KeyOf(given.Made[name])] = name
		f.made[offline.KeyOf(given.Made[name])] = true
	}
	if parent.GetUID() == "" {
		f.adoptUID()
	}
	if parent.GetUID() == "" {
		parent.SetUID(offline.UIDOf(offline.KeyOf(parent)))
	}
	return f
}

// text is the parent as the annotation of a child names it.
func (f *trialFamily) text() string {
	if ns := f.parent.GetNamespace(); ns != "" {
		return ns + "/" + f.parent.GetName()
	}
	return f.parent.GetName()
}

// adoptUID gives the parent the UID that its children know.
func (f *trialFamily) adoptUID() {
	for _, o := range f.given.Children {
		if f.isOf(o) {
			f.parent.SetUID(types.UID(o.GetLabels()[compose.ParentUIDLabel]))
			return
		}
	}
}

// isOf reports whether an object has the marks of a child of the parent.
func (f *trialFamily) isOf(o *unstructured.Unstructured) bool {
	return slices.Contains(f.Definition.IDs(), o.GetLabels()[compose.DefinitionLabel]) && o.GetLabels()[compose.ParentUIDLabel] != "" &&
		o.GetAnnotations()[compose.ParentAnnotation] == f.text()
}

func isMarked(o *unstructured.Unstructured) bool { return o.GetLabels()[compose.ParentUIDLabel] != "" }

// server returns a server with all objects as far as they are known to belong to the parent.
func (f *trialFamily) server() (*offline.Server, error) {
	server := offline.NewServer(f.Finder)
	for _, o := range f.given.Related {
		server.Put(o.DeepCopy())
	}
	for _, o := range f.given.Children {
		o = o.DeepCopy()
		name, claimed := f.claimed[offline.KeyOf(o)]
		switch {
		case len(o.GetManagedFields()) > 0 && isMarked(o), !isMarked(o) && !claimed:
			server.Put(o)
			continue
		case claimed:
			f.mark(o, name)
		}
		owned := o
		switch isDumped := o.GetUID() != ""; {
		case f.made[offline.KeyOf(o)]: // What it has besides may be from others.
			owned = marksOf(o)
		case isDumped, f.claimed[offline.KeyOf(o)] == "":
			owned, f.guessed = marksOf(o), true
		}
		if err := server.PutAs(o, withoutSystemFields(owned), compose.FieldManager); err != nil {
			return nil, err
		}
	}
	server.Put(f.parent.DeepCopy())
	return server, nil
}

// claim finds children among the objects without marks, by kind, namespace and name. It reports
// whether there are more than before.
func (f *trialFamily) claim(children []compose.TriedChild) (more bool) {
	for _, c := range children {
		key := offline.Key{GroupKind: c.ID.Kind, Namespace: c.ID.Namespace, Name: c.ID.Name}
		if _, known := f.claimed[key]; known || c.Desired == nil {
			continue
		}
		is := func(o *unstructured.Unstructured) bool { return offline.KeyOf(o) == key && !isMarked(o) }
		if slices.ContainsFunc(f.given.Children, is) {
			f.claimed[key], more = c.Name, true
		}
	}
	return more
}

// mark gives an object the marks of a child.
func (f *trialFamily) mark(o *unstructured.Unstructured, name string) {
	set := o.GetLabels()
	if set == nil {
		set = map[string]string{}
	}
	set[compose.InstallationLabel], set[compose.DefinitionLabel] = f.Installation, f.Definition.IDs()[0]
	set[compose.ParentUIDLabel] = string(f.parent.GetUID())
	o.SetLabels(set)
	noted := o.GetAnnotations()
	if noted == nil {
		noted = map[string]string{}
	}
	noted[compose.ParentAnnotation], noted[compose.ChildAnnotation] = f.text(), name
	o.SetAnnotations(noted)
	if ns := f.parent.GetNamespace(); ns == "" || ns == o.GetNamespace() {
		controller := true
		o.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: f.parent.GetAPIVersion(), Kind: f.parent.GetKind(), Name: f.parent.GetName(), UID: f.parent.GetUID(), Controller: &controller,
		}})
	}
}

// marksOf is the part of a child that it has from kooperd in any case.
func marksOf(o *unstructured.Unstructured) *unstructured.Unstructured {
	marks := &unstructured.Unstructured{Object: map[string]any{}}
	marks.SetGroupVersionKind(o.GroupVersionKind())
	marks.SetNamespace(o.GetNamespace())
	marks.SetName(o.GetName())
	ofKooperd := func(all map[string]string) map[string]string {
		all = maps.Clone(all)
		maps.DeleteFunc(all, func(name, _ string) bool { return !compose.IsMark(name) })
		return all
	}
	marks.SetLabels(ofKooperd(o.GetLabels()))
	marks.SetAnnotations(ofKooperd(o.GetAnnotations()))
	marks.SetOwnerReferences(o.GetOwnerReferences())
	return marks
}

// withoutSystemFields is an object without what is never applied.
func withoutSystemFields(o *unstructured.Unstructured) *unstructured.Unstructured {
	o = o.DeepCopy()
	delete(o.Object, "status")
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	return o
}

// LeftOutNote is the note about what is made without an API server.
const LeftOutNote = "what the API server fills in, such as defaults and addresses, is left out"

// notes say what is special about the objects.
func (f *trialFamily) notes() (notes []string) {
	for _, o := range f.given.Children {
		if _, claimed := f.claimed[offline.KeyOf(o)]; !claimed && !isMarked(o) {
			notes = append(notes, fmt.Sprintf("%s is no child and has no marks of kooperd: it would be left alone", offline.KeyOf(o)))
		}
	}
	if f.guessed {
		notes = append(notes, "the children have no managedFields, so what the definition does not set any more stays in them here "+
			"(kubectl get --show-managed-fields writes them)")
	}
	return append(notes, LeftOutNote)
}
