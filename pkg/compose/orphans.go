package compose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// OrphanReason is why nothing owns a child any more.
type OrphanReason string

// The reasons.
const (
	// OrphanNoDefinition: no definition has the id that the child carries.
	OrphanNoDefinition OrphanReason = "NoDefinition"
	// OrphanNoParent: the object that the child was made for does not exist any more.
	OrphanNoParent OrphanReason = "NoParent"
	// OrphanKindNotOwned: the definition does not own the kind of the child any more.
	OrphanKindNotOwned OrphanReason = "KindNotOwned"
	// OrphanKindNotPatched: the definition does not patch the kind of the object any more.
	OrphanKindNotPatched OrphanReason = "KindNotPatched"
	// OrphanUnmarked: somebody has taken the label off that was contributed with the patch, so that
	// kooperd does not see it.
	OrphanUnmarked OrphanReason = "Unmarked"
)

// ObjectRef names one object of the cluster.
type ObjectRef struct {
	// APIVersion and Kind name the kind; both are empty where it is not known.
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	// Namespace is empty for a cluster-scoped object.
	Namespace string `json:"namespace,omitempty"`
	// Name is the object's name.
	Name string `json:"name"`
	// UID tells it from another object of its name.
	UID types.UID `json:"uid,omitempty"`
}

// String is the object as conditions name it: "ConfigMap team-a/web".
func (r ObjectRef) String() string {
	return strings.TrimSpace(ChildID{Kind: schema.GroupKind{Kind: r.Kind}, Namespace: r.Namespace, Name: r.Name}.String())
}

func (r ObjectRef) groupKind() schema.GroupKind {
	return schema.FromAPIVersionAndKind(r.APIVersion, r.Kind).GroupKind()
}

// Claim is what one definition of a config owns.
type Claim struct {
	// IDs are its id, and after that those that it has had before.
	IDs []string
	// Parent is the kind of the objects that it handles.
	Parent schema.GroupVersionKind
	// Owns are the kinds of its children.
	Owns []OwnedRecord
	// Patches are the kinds of objects to which the parents contribute.
	Patches []OwnedRecord
}

// Orphan is a child that nothing owns any more, or a patch that nobody withdraws.
type Orphan struct {
	// ObjectRef is the child, or the object that is patched.
	ObjectRef
	// Patch is true of a patch: what a parent contributes to an object that is no child. Manager is
	// the field manager by which it does, and of the parent no more than the UID may be known.
	Patch   bool   `json:"patch,omitempty"`
	Manager string `json:"manager,omitempty"`
	// Definition is the id of the definition that has made it.
	Definition string `json:"definition"`
	// Child is its name within its parent.
	Child string `json:"child,omitempty"`
	// Parent is the object that it was made for.
	Parent ObjectRef `json:"parent"`
	// Reasons are why nothing owns it, and Why says that to a person.
	Reasons []OrphanReason `json:"reasons"`
	Why     string         `json:"why"`
	// Proven reports whether it is provably ours: its marks were not copied.
	Proven bool `json:"proven"`
	// Data reports whether its deletion takes more with it than an object.
	Data bool `json:"data"`
	// Deleting reports whether it is being deleted already.
	Deleting bool `json:"deleting"`
	// Created is when it was made; of a patch, when it became what it is.
	Created metav1.Time `json:"created"`

	observed observedChild
	// heir is the object that has the kind, namespace and name of a parent that is gone; empty for
	// none.
	heir ObjectRef
}

// parents are what was found of the objects that children were made for.
type parents struct {
	present map[types.UID]ObjectRef
	// holders are who has a name now.
	holders map[ObjectRef]types.UID
	// seen are the namespaces of which all objects of a kind were seen; "" for all of the cluster.
	seen map[schema.GroupKind]map[string]bool
}

func newParents() parents {
	return parents{present: map[types.UID]ObjectRef{}, holders: map[ObjectRef]types.UID{}, seen: map[schema.GroupKind]map[string]bool{}}
}

// add adds what the objects of a kind are in a namespace, "" for all.
func (p *parents) add(kind schema.GroupKind, namespace string, objects []handlers.Object) {
	if p.seen[kind] == nil {
		p.seen[kind] = map[string]bool{}
	}
	p.seen[kind][namespace] = true
	for _, object := range objects {
		apiVersion, name := object.GroupVersionKind().ToAPIVersionAndKind()
		p.present[object.UID()] = ObjectRef{APIVersion: apiVersion, Kind: name, Namespace: object.Namespace(), Name: object.Name(), UID: object.UID()}
		p.holders[ObjectRef{APIVersion: kind.Group, Kind: kind.Kind, Namespace: object.Namespace(), Name: object.Name()}] = object.UID()
	}
}

func (p *parents) has(uid types.UID) bool {
	_, there := p.present[uid]
	return there
}

// holder returns who has the name of an object.
func (p *parents) holder(kind schema.GroupKind, namespace, name string) (types.UID, bool) {
	uid, ok := p.holders[ObjectRef{APIVersion: kind.Group, Kind: kind.Kind, Namespace: namespace, Name: name}]
	return uid, ok
}

// allSeen reports whether all objects of some kinds were seen that may be in a namespace.
func (p *parents) allSeen(kinds []schema.GroupVersionKind, namespace string) bool {
	return !slices.ContainsFunc(kinds, func(kind schema.GroupVersionKind) bool {
		in := p.seen[kind.GroupKind()]
		return !in[""] && (namespace == "" || !in[namespace])
	})
}

// orphanJudge decides which children nothing owns any more. It is pure.
type orphanJudge struct {
	installation string
	claims       []Claim
	records      map[string]Record
	parents      parents
}

// judge returns what a child is as an orphan, or false when something owns it.
func (j *orphanJudge) judge(o observedChild) (Orphan, bool) {
	m := o.marks
	found := Orphan{
		ObjectRef:  ObjectRef{APIVersion: o.kind.GroupVersion().String(), Kind: o.kind.Kind, Namespace: o.ID.Namespace, Name: o.ID.Name, UID: o.UID},
		Definition: m.definition, Child: m.child, Parent: j.parentOf(o), Proven: j.proven(o), Deleting: o.Deleting,
		Data: slices.Contains(protected, o.ID.Kind), Created: o.object.Metadata().CreationTimestamp, observed: o,
	}
	var why []string
	because := func(reason OrphanReason, text string) {
		found.Reasons, why = append(found.Reasons, reason), append(why, text)
	}
	switch claim := j.claimOf(m.definition); {
	case claim == nil:
		because(OrphanNoDefinition, fmt.Sprintf("no definition has the id %q", m.definition))
	case !claim.owns(o.ID.Kind):
		because(OrphanKindNotOwned, fmt.Sprintf("definition %s does not own kind %s", claim.IDs[0], o.ID.Kind.Kind))
	}
	if j.parentIsGone(o, found.Parent) {
		text := "its parent is gone"
		if found.heir = j.heirOf(o, found.Parent); found.heir.UID != "" {
			text += ", and another object has its name"
		}
		because(OrphanNoParent, text)
	}
	found.Why = strings.Join(why, "; ")
	return found, len(why) > 0
}

// proven reports whether a child is provably ours: all its marks are from us, and so is the
// reference to its parent or its mark.
func (j *orphanJudge) proven(o observedChild) bool {
	judge := &planner{Input: Input{Parent: Parent{UID: o.marks.parentUID}}}
	return o.marks.installation == j.installation && o.marks.parentUID != "" && judge.proven(o.Observed) &&
		ownsLabel(o.Observed, DefinitionLabel) && ownsLabel(o.Observed, InstallationLabel)
}

// claimOf returns the definition that has an id, or has had it.
func (j *orphanJudge) claimOf(id string) *Claim {
	i := slices.IndexFunc(j.claims, func(c Claim) bool { return slices.Contains(c.IDs, id) })
	if i < 0 {
		return nil
	}
	return &j.claims[i]
}

func (c Claim) owns(kind schema.GroupKind) bool {
	return slices.ContainsFunc(c.Owns, func(o OwnedRecord) bool { return o.GroupKind() == kind })
}

// parentOf is the parent as far as a child names it.
func (j *orphanJudge) parentOf(o observedChild) ObjectRef {
	parent := ObjectRef{Name: o.marks.parent, UID: o.marks.parentUID}
	if namespace, name, ok := strings.Cut(o.marks.parent, "/"); ok {
		parent.Namespace, parent.Name = namespace, name
	}
	if kinds := j.parentKinds(o); len(kinds) == 1 {
		parent.APIVersion, parent.Kind = kinds[0].GroupVersion().String(), kinds[0].Kind
	}
	return parent
}

// parentIsGone reports whether the object does not exist any more that a child was made for.
func (j *orphanJudge) parentIsGone(o observedChild, parent ObjectRef) bool {
	kinds := j.parentKinds(o)
	return o.marks.parentUID != "" && len(kinds) > 0 && !j.parents.has(o.marks.parentUID) && j.parents.allSeen(kinds, parent.Namespace)
}

// heirOf returns the object that has the name of a parent that is gone; empty if none has.
func (j *orphanJudge) heirOf(o observedChild, parent ObjectRef) ObjectRef {
	for _, kind := range j.parentKinds(o) {
		if uid, taken := j.parents.holder(kind.GroupKind(), parent.Namespace, parent.Name); taken {
			return ObjectRef{
				APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: parent.Namespace, Name: parent.Name, UID: uid,
			}
		}
	}
	return ObjectRef{}
}

// parentKinds are the kinds that the parent of a child may have: the one that its owner reference
// names, or else all that its definition has handled. That takes the record: what the config says
// is what the definition handles now. There are none for a child that is older than the record: an
// earlier one may have been lost, with another kind in it.
func (j *orphanJudge) parentKinds(o observedChild) []schema.GroupVersionKind {
	for _, r := range o.references {
		if r.UID == o.marks.parentUID {
			return []schema.GroupVersionKind{schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)}
		}
	}
	return j.kindsHandled(o.marks.definition, o.object.Metadata().CreationTimestamp.Time)
}

// kindsHandled are all kinds that a definition has handled, as far as is known. There are none for
// what was made before the record.
func (j *orphanJudge) kindsHandled(definition string, made time.Time) (found []schema.GroupVersionKind) {
	add := func(s Scope) {
		kind := schema.FromAPIVersionAndKind(s.APIVersion, s.Kind)
		if s.Kind != "" && !slices.ContainsFunc(found, func(k schema.GroupVersionKind) bool { return k.GroupKind() == kind.GroupKind() }) {
			found = append(found, kind)
		}
	}
	ids := []string{definition}
	if claim := j.claimOf(definition); claim != nil {
		ids = claim.IDs
	}
	for id, record := range j.records {
		whole := slices.Contains(ids, id) || slices.ContainsFunc(ids, record.isFor)
		before := len(found)
		if whole {
			add(record.Scope)
		}
		for _, left := range record.Left {
			if whole || slices.Contains(ids, left.ID) {
				add(left)
			}
		}
		if len(found) > before && made.Before(record.Since) {
			return nil
		}
	}
	slices.SortFunc(found, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	return found
}

// isFor reports whether the record is that of a definition that is there and goes on for an id.
func (r Record) isFor(id string) bool { return r.Kind != "" && slices.Contains(r.Formerly, id) }

// IsClaimed reports whether a definition that is there has an id, or goes on for it: see Record.
func IsClaimed(records map[string]Record, id string) bool {
	for other, record := range records {
		if record.Kind != "" && other == id || record.isFor(id) {
			return true
		}
	}
	return false
}
