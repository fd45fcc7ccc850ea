package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Composer says which objects should exist for one object. It is the second shape of a handler: it
// changes nothing itself. From an object, the parent, it makes the complete set of its children and
// the parent's status; kooperd applies, owns, repairs and deletes them.
//
// Compose must be a function of its request: the same request gives the same answer, without a
// clock, random numbers or requests. It may be called several times for one change, because what
// the API server has answered is shown to it before the change counts as handled. Calls for one
// object never overlap, while calls for different objects may. It must return when ctx ends, and it
// must not change what the request has.
//
// What kooperd writes for a composer calls it no further time: the parent's own status is no input,
// and what a status should say has to follow from the rest of the request.
//
// An answer for a parent that has gone meanwhile is dropped, and so is one for a parent whose
// deletion has begun since the call, unless the request was Finalizing.
//
// An error means that the children are not known: nothing is deleted, and the call is retried. So
// an error, or a Pending, is never the same as an empty set.
//
// A Composer that also implements io.Closer is closed once, after its last call has returned.
type Composer interface {
	Compose(ctx context.Context, req ComposeRequest) (Composition, error)
}

// Relater is what a Composer also is that finds out for each parent what it reads besides. What it
// returns must lie within the plugin's Reads: of other objects it is given none, and another kind
// is an error. Any object of a kind may be asked for. Relate is called before Compose, once for
// each version of the parent, and is a function of the parent. What it has returned last counts
// until it is called again, also where it has failed since: changes of these objects call Compose.
type Relater interface {
	Relate(ctx context.Context, parent Object) ([]Related, error)
}

// Pauser is what a Composer also is that shows between its calls how these go, such as in a metric.
// Pause is called when this replica has stopped working on the definition and the last call has
// returned. The replica may lead again later, and then there are calls again.
type Pauser interface {
	Pause()
}

// ComposerFunc makes a function a Composer.
type ComposerFunc func(ctx context.Context, req ComposeRequest) (Composition, error)

// Compose calls f.
func (f ComposerFunc) Compose(ctx context.Context, req ComposeRequest) (Composition, error) {
	return f(ctx, req)
}

// ComposeRequest is one call for one parent.
type ComposeRequest struct {
	// Object is the parent.
	Object Object
	// Children are those that this definition has made for the parent and that exist, whether or
	// not they are still desired. One that is being deleted is among them.
	Children Children
	// Related are the objects that the composer reads besides, by the name of the Related that
	// selects them, each sorted by namespace and name. For a Relater, these are what it has asked
	// for, else what the plugin Reads.
	Related map[string][]Object
	// Cause is why the call is made.
	Cause Cause
	// Attempt counts the failed calls in a row before this one.
	Attempt int
	// Finalizing is true when the parent is being deleted. Only a composer whose plugin says that
	// it Finalizes is called then. It is not true, and there is no call at all, when the definition
	// ceases to select the parent.
	Finalizing bool
}

// Children are observed children of one parent, sorted by name, and of one name the newest first.
type Children []ObservedChild

// ObservedChild is a child as it is in the cluster.
type ObservedChild struct {
	// Name is the child's name within its parent, see Child.
	Name string
	// Object is the object. Of a kind that is owned with MetadataOnly, it has the metadata alone.
	Object Object
}

// Get returns the child of that name, or false.
func (c Children) Get(name string) (Object, bool) {
	for _, child := range c {
		if child.Name == name {
			return child.Object, true
		}
	}
	return nil, false
}

// OfKind returns the children of one kind, for example OfKind("apps/v1", "Deployment").
func (c Children) OfKind(apiVersion, kind string) Children {
	var found Children
	for _, child := range c {
		gvk := child.Object.GroupVersionKind()
		if gvk.GroupVersion().String() == apiVersion && gvk.Kind == kind {
			found = append(found, child)
		}
	}
	return found
}

// Composition is what should be.
type Composition struct {
	// Children are all that should exist. A child that was made before and is not among them is
	// deleted.
	Children []Child
	// Patches are all that the parent contributes to objects that are not its children. What was
	// contributed before and is not among them is removed. Default: nothing.
	Patches []Patch
	// Status is the status of the parent, anything that encodes to a JSON object. Nil leaves the
	// fields of the status alone, and Conditions all but those. The conditions Ready, Progressing
	// and Degraded are kooperd's, and so are observedGeneration and the lastTransitionTime of all
	// conditions. A condition that was given once stays until it is given with another status.
	// Status is ignored for kinds of Kubernetes itself and for kinds without a status subresource.
	Status any
	// Labels and Annotations are those that the parent should have: each is set to its value, and
	// removed where that is nil. Others are left alone, and one that is not given any more stays as
	// it is. They are written before Compose is called again, which sees them then, and only if
	// they differ. Names with a prefix that is kooperd.dev, or ends in .kooperd.dev, are mistakes.
	// The plugin has to say that it Marks parents. Default: none.
	Labels, Annotations map[string]*string
	// Pending are children that are not known yet. Nothing is deleted while there is one, and no
	// contribution is removed.
	Pending []Pending
	// Problems are what is wrong and keeps no child from being made, such as a field of the status
	// that cannot be told: one line each, shown in the condition Degraded. Default: none.
	Problems []string
	// StatusPending are parts of the status that are not known yet: one line each, shown where the
	// composer is tried. Default: none.
	StatusPending []string
	// RequeueAfter calls the composer again after that time. 0, the default, and less ask for
	// nothing.
	RequeueAfter time.Duration
	// Finalized says that the parent may go: no child is made or adopted any more. It counts only
	// in an answer to a request that is Finalizing.
	Finalized bool
}

// Conditions are a Status of a Composition without the rest of the status, which stays as it is
// when they are written: it may be that of another party. Each has a type, status, reason, and
// message.
type Conditions []map[string]any

// MarshalJSON implements json.Marshaler.
func (c Conditions) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string][]map[string]any{"conditions": c})
}

// Child is one object that should exist.
type Child struct {
	// Name is the child's name within its parent: what stays the same when the name of the object
	// changes. Empty stands for the kind and the object's name, as in "ConfigMap/web".
	Name string
	// Formerly are names that the child has had before. An object that was made under one of them,
	// and is not that of any child now, is deleted only when this child is ready. Default: none.
	Formerly []string
	// Object is what should be, and no more than that: fields that are not set are left to others.
	// It is a struct of Kubernetes itself, whose empty fields count as not set, or an
	// *unstructured.Unstructured, or another struct with apiVersion and kind filled in. Without a
	// namespace, it is in that of the parent.
	Object runtime.Object
	// After names children that have to be ready before this one is made or changed.
	After []string
	// Generate completes a copy of Object with what cannot be a function of the request, such as
	// a password. It is for a child with UpdateCreateOnly, and is called when the object is absent
	// and about to be created: what it adds stays until the object is deleted. It may be called
	// more than once for one object, as when a request fails; what it added then is gone. It must
	// not change what names the object, and its error must not have in it what it has made. Of
	// what the API server says against the object, no more than names of fields is said on. Calls
	// for different children may overlap. Default: nothing is added.
	Generate func(ctx context.Context, object *unstructured.Unstructured) error
	// Policy says how the child is kept. The zero value is what most children need.
	Policy ChildPolicy
}

// ChildPolicy says how a child is kept.
type ChildPolicy struct {
	// Drift says what follows when another party changes what the child sets. Default: DriftFix.
	Drift Drift
	// Conflicts says what follows when another field manager owns a field that the child sets.
	// Default: ConflictsForce; ConflictsFail for a child that was adopted, unless it was restored.
	Conflicts Conflicts
	// Update says how the object is changed when what it should be has changed. Default:
	// UpdateInPlace.
	Update Update
	// AllowDataLoss lets UpdateRecreate delete what may hold data: a PersistentVolumeClaim, a
	// PersistentVolume, a Namespace, a CustomResourceDefinition, or a StatefulSet with
	// volumeClaimTemplates. Default: such an object is left as it is, and the parent's condition
	// says why.
	AllowDataLoss bool
	// Adopt says which objects become the child that exist and that kooperd has not made for this
	// parent. One that another object controls never does, nor one that has the marks of another
	// parent or installation. Default: AdoptNever.
	Adopt Adopt
	// AdoptFrom are field managers, for example "kubectl-client-side-apply" or "helm": an object of
	// which they have set fields becomes the child too, and these fields become kooperd's. Fields
	// among them that the child does not set are removed. A name that ends in * stands for all that
	// begin like it. Default: none.
	AdoptFrom []string
	// WhenGone says what follows when the child is a Job or Pod that has finished, whether well or
	// not, and is gone: deleted by its TTL or by a person. It is not looked at for a kind that is
	// owned with MetadataOnly, whose objects are made again. Default: WhenGoneDone.
	WhenGone WhenGone
	// Ignore are paths of fields that are left to others, such as spec.replicas,
	// metadata.annotations["example.com/note"], or spec.containers[name="web"].resources. Object
	// says what they are in a new object. Afterwards they are neither changed nor looked at, and
	// they belong to the field manager kooperd-create until another one sets them. A path that is
	// added for an object that exists leaves the value there is. No path lies within a list or map
	// that the API server takes as one value, such as the selector of a Deployment. Default: none.
	Ignore []string
	// KeepEqual lets a child be given as it was observed. What its object has with an equal value,
	// and kooperd has not set, does not count as given: defaults, what others have set, the status,
	// and what the API server writes into the metadata. So nothing is written when an observed
	// child is returned as it is, and what others have set stays theirs. What kooperd has set and
	// Object does not have is removed as ever. It begins when kooperd has made the object, or has
	// adopted it. Default: all that Object has is kooperd's.
	KeepEqual bool
	// Prune allows that a Namespace, CustomResourceDefinition, PersistentVolume or
	// PersistentVolumeClaim is deleted when it is no longer desired. It has to be there while the
	// child is desired. Children of other kinds need no such word.
	Prune bool
	// Ready reports whether the child is ready, and if not, why. Nil stands for what is usual for
	// its kind. It has to be a function of the object.
	Ready func(Object) (ready bool, why string)
}

// Drift says what follows when another party changes what a child sets.
type Drift string

// What may follow.
const (
	// DriftFix sets it right.
	DriftFix Drift = "fix"
	// DriftReport leaves it and says so in the parent's conditions.
	DriftReport Drift = "report"
	// DriftIgnore leaves it.
	DriftIgnore Drift = "ignore"
)

// Conflicts says what follows when another field manager owns a field that a child sets.
type Conflicts string

// What may follow.
const (
	// ConflictsForce takes the field over.
	ConflictsForce Conflicts = "force"
	// ConflictsFail leaves the child as it is; the parent's condition names manager and field.
	ConflictsFail Conflicts = "fail"
)

// Adopt says which objects become a child that exist and that kooperd has not made for its parent.
type Adopt string

// Which objects become a child.
const (
	// AdoptNever: none. The child is refused.
	AdoptNever Adopt = "never"
	// AdoptIfUnowned: those that no object controls.
	AdoptIfUnowned Adopt = "ifUnowned"
	// AdoptRestored: those that this definition has made for an earlier object of the parent's
	// namespace and name. After a restore from a backup, all parents have new UIDs.
	AdoptRestored Adopt = "restored"
)

// Pending stands for a child, or for a whole answer, that are not known yet. It is an error, so
// Compose may return it as one: the value and no pointer to it, and not joined with another error.
type Pending struct {
	// Name is the child's name; empty for the whole answer. It stands for the names below it too,
	// as "copies" does for "copies/a".
	Name string
	// On names what is waited for, for example "Secret team-a/token".
	On string
	// Why says what is missing there, lower case, without a full stop. Optional.
	Why string
}

// Error says what is waited for.
func (p Pending) Error() string {
	text := "waiting for " + p.On
	if p.Name != "" {
		text = fmt.Sprintf("child %s is waiting for %s", p.Name, p.On)
	}
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text
}

// ChildrenOf makes children of objects, with the names that an empty Child.Name stands for.
func ChildrenOf(objects ...runtime.Object) []Child {
	children := make([]Child, len(objects))
	for i, object := range objects {
		children[i].Object = object
	}
	return children
}
