package compose

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// recentChange is for how long a change of a definition may be under way when another process goes
// on with it.
const recentChange = 10 * time.Minute

// Record is what a definition has to do with, and what it has left behind, as the ConfigMap has it.
// It says where to look, and proves nothing.
type Record struct {
	Scope
	// Changed is when the definition became what it is.
	Changed time.Time `json:"changed,omitzero"`
	// Since is when the record was made; zero of one that was always there. Of what is older,
	// nobody knows what the file has said: an earlier record may have been lost.
	Since time.Time `json:"since,omitzero"`
	// Left is what it had to do with before a change of the file: there may be children and
	// finalizers of parents that it does not handle any more.
	Left []Scope `json:"left,omitempty"`
	// Removed is when the definition was found to be gone; zero of one that is there.
	Removed time.Time `json:"removed,omitzero"`
}

// Scope is what a definition has to do with.
type Scope struct {
	// APIVersion and Kind are those of the parents.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Namespaces are those of the parents; none stands for all.
	Namespaces []string `json:"namespaces,omitempty"`
	// LabelSelector and FieldSelector select the parents; empty for all.
	LabelSelector string `json:"labelSelector,omitempty"`
	FieldSelector string `json:"fieldSelector,omitempty"`
	// Where is the condition that selects parents; empty for none, or one about changes.
	Where string `json:"where,omitempty"`
	// Owns are the kinds that the definition owns, or has owned and may still have children of.
	Owns []OwnedRecord `json:"owns"`
	// Patches are the kinds of objects to which the parents contribute, or have contributed.
	Patches []OwnedRecord `json:"patches,omitempty"`
	// Finalizer is the one that the parents may carry.
	Finalizer string `json:"finalizer,omitempty"`
	// OnRemove is what becomes of children that the file does not want any more.
	OnRemove string `json:"onRemove,omitempty"`
	// Done is true of what a definition had to do with when all has been done that OnRemove says.
	// What is left stays.
	Done bool `json:"done,omitempty"`
	// Until is when the file changed, so that it is something that was; zero where that is not
	// known, and of what the file has now.
	Until time.Time `json:"until,omitzero"`
	// ID is the id of the definition at that time; empty where it is that of the record.
	ID string `json:"id,omitempty"`
	// Digest stands for all that the config says of the definition.
	Digest string `json:"digest,omitempty"`
	// Formerly are ids that the definition has had before. Their records become part of its own.
	Formerly []string `json:"formerly,omitempty"`
}

// Activation is what Activate has found.
type Activation struct {
	// Former are the kinds of which the definition may have children that it does not own any more,
	// or not there.
	Former []OwnedRecord
	// FormerPatches are the kinds to whose objects the parents may have contributed, and do not any
	// more, or not there.
	FormerPatches []OwnedRecord
	// Changed is when the definition has become what it is, if that was just now or shortly before
	// an earlier process ended; zero if not.
	Changed time.Time
	// Left is what it had to do with before a change of the file.
	Left []Scope
	// Since is from when on it is known what the file has said.
	Since time.Time
}

// selectsAs reports whether the parents of both are the same, whatever the version of their kind.
func (s Scope) selectsAs(other Scope) bool {
	return s.parentKind() == other.parentKind() && slices.Equal(s.Namespaces, other.Namespaces) &&
		s.LabelSelector == other.LabelSelector && s.FieldSelector == other.FieldSelector && s.Where == other.Where
}

func (s Scope) parentKind() schema.GroupKind {
	return schema.FromAPIVersionAndKind(s.APIVersion, s.Kind).GroupKind()
}

// OwnedRecord is one kind of children.
type OwnedRecord struct {
	// APIVersion and Kind name the kind.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// AnyNamespace is true when children may be anywhere, whatever namespace their parent is in.
	AnyNamespace bool `json:"anyNamespace,omitempty"`
	// Namespaces are those in which children may be; none stands for all.
	Namespaces []string `json:"namespaces,omitempty"`
	// Except are those that are looked at anyway, because the definition owns the kind there.
	Except []string `json:"-"`
}

// OwnedRecords are the kinds of a definition that watches these namespaces, none for all.
func OwnedRecords(owns []handlers.OwnedKind, namespaces []string) []OwnedRecord {
	records := make([]OwnedRecord, 0, len(owns))
	for _, owned := range owns {
		record := OwnedRecord{APIVersion: owned.APIVersion, Kind: owned.Kind, AnyNamespace: owned.AnyNamespace}
		if !owned.AnyNamespace {
			record.Namespaces = namespaces
		}
		records = append(records, record)
	}
	return records
}

// PatchedRecords are the same of the kinds of objects to which its parents contribute.
func PatchedRecords(patched []handlers.PatchedKind, namespaces []string) []OwnedRecord {
	owns := make([]handlers.OwnedKind, len(patched))
	for i, kind := range patched {
		owns[i] = handlers.OwnedKind{APIVersion: kind.APIVersion, Kind: kind.Kind, AnyNamespace: kind.AnyNamespace}
	}
	return OwnedRecords(owns, namespaces)
}

// GroupVersionKind is the kind.
func (o OwnedRecord) GroupVersionKind() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(o.APIVersion, o.Kind)
}

// GroupKind is the kind, whatever the version.
func (o OwnedRecord) GroupKind() schema.GroupKind { return o.GroupVersionKind().GroupKind() }

// same reports whether both are of one kind, whatever the version, in the same namespaces.
func (o OwnedRecord) same(other OwnedRecord) bool {
	return o.GroupKind() == other.GroupKind() && o.AnyNamespace == other.AnyNamespace && slices.Equal(o.Namespaces, other.Namespaces)
}

// activate returns the record of a definition that has to do with scope from now on, and what of
// its kinds its parents may have children of that scope does not show.
func (r Record) activate(scope Scope) (next Record, found Activation) {
	now := time.Now().UTC().Truncate(time.Second)
	var former []OwnedRecord
	before := slices.Clone(r.Owns)
	if r.parentKind() != scope.parentKind() {
		before = nil // Its parents are not handled any more.
	}
	var left []Scope
	for _, earlier := range r.Left {
		if earlier.selectsAs(scope) {
			before = append(before, earlier.Owns...) // Its parents are handled again.
		} else {
			left = append(left, earlier)
		}
	}
	if r.Kind != "" && !r.selectsAs(scope) {
		earlier := r.Scope
		earlier.OnRemove, earlier.Until = scope.OnRemove, now // The file says it in the same breath.
		left = append(slices.DeleteFunc(slices.Clone(left), earlier.selectsAs), earlier)
	}
	for _, owned := range before {
		if rest, ok := owned.without(scope); ok && !slices.ContainsFunc(former, rest.same) {
			former = append(former, rest)
		}
	}
	next = Record{Scope: scope, Changed: r.Changed, Since: r.Since, Left: left}
	next.Owns = slices.Concat(scope.Owns, former)
	found.FormerPatches = r.formerPatches(scope)
	next.Patches = slices.Concat(scope.Patches, found.FormerPatches)
	switch known := r.Kind != "" || !r.Removed.IsZero(); {
	case !known: // Nobody knows that it has changed.
		next.Since = now
	case r.Digest != scope.Digest:
		next.Changed = now
	}
	found.Former, found.Left, found.Since = former, left, next.Since
	if time.Since(next.Changed) <= recentChange {
		found.Changed = next.Changed
	}
	return next, found
}

// LeaversSince returns from when on a child says of its parent, which is not selected, that it has
// left by its own change: older children may be what a change of the file has retained. It returns
// false where that is not known of any child.
func (a Activation) LeaversSince() (since time.Time, known bool) {
	since = a.Since
	for _, left := range a.Left {
		if left.Until.IsZero() {
			return since, false
		}
		if until := left.Until.Add(recentChange); until.After(since) { // A call of before may have made some.
			since = until
		}
	}
	return since, true
}

// merge returns the record of a definition with that of one for which it goes on. known is false
// when it has none itself, and id is that of the other.
func (r Record) merge(id string, former Record, known bool) Record {
	former.Left = slices.Clone(former.Left)
	for i := range former.Left {
		former.Left[i].ID = cmp.Or(former.Left[i].ID, id)
	}
	if former.ID = id; !known {
		return former
	}
	if former.parentKind() == r.parentKind() {
		r.Owns = slices.Concat(r.Owns, former.Owns)
		r.Patches = slices.Concat(r.Patches, former.Patches)
	}
	if former.Since.Before(r.Since) {
		r.Since = former.Since
	}
	if r.Left = slices.Concat(r.Left, former.Left); former.Kind != "" && !former.selectsAs(r.Scope) {
		r.Left = append(r.Left, former.Scope)
	}
	return r
}

// without returns what is left of a kind that was owned: that part in which the parents of scope
// may have children that a watch of what scope owns does not show. It returns false for nothing.
func (o OwnedRecord) without(scope Scope) (OwnedRecord, bool) {
	everywhere := o.AnyNamespace || len(o.Namespaces) == 0
	now := slices.IndexFunc(scope.Owns, func(other OwnedRecord) bool { return other.GroupKind() == o.GroupKind() })
	switch {
	case now >= 0 && (!o.AnyNamespace || scope.Owns[now].AnyNamespace || len(scope.Namespaces) == 0):
		return o, false // Without AnyNamespace, children are beside their parents.
	case now >= 0:
		o.Except = scope.Owns[now].Namespaces
		return o, true
	case everywhere && !o.AnyNamespace:
		o.Namespaces = scope.Namespaces
	case !everywhere && len(scope.Namespaces) > 0:
		o.Namespaces = slices.DeleteFunc(slices.Clone(o.Namespaces), func(namespace string) bool {
			return !slices.Contains(scope.Namespaces, namespace)
		})
		return o, len(o.Namespaces) > 0
	}
	return o, true
}

// release returns the record without a kind of which nothing is left.
func (r Record) release(kind OwnedRecord) Record {
	r.Owns = slices.DeleteFunc(slices.Clone(r.Owns), kind.same)
	return r
}

// formerPatches returns the kinds to whose objects the parents have contributed, and that scope
// does not show any more. Those of other parents are among what is left.
func (r Record) formerPatches(scope Scope) (former []OwnedRecord) {
	before := slices.Clone(r.Patches)
	if r.parentKind() != scope.parentKind() {
		before = nil
	}
	for _, earlier := range r.Left {
		if earlier.selectsAs(scope) {
			before = append(before, earlier.Patches...)
		}
	}
	patches := scope
	patches.Owns = scope.Patches
	for _, kind := range before {
		if rest, ok := kind.without(patches); ok && !slices.ContainsFunc(former, rest.same) {
			former = append(former, rest)
		}
	}
	return former
}

// releasePatches returns the record without a kind to whose objects nothing is contributed.
func (r Record) releasePatches(kind OwnedRecord) Record {
	r.Patches = slices.DeleteFunc(slices.Clone(r.Patches), kind.same)
	return r
}

// remove returns the record of a definition that is gone.
func (r Record) remove(now time.Time) Record {
	if r.Kind != "" {
		earlier := r.Scope
		earlier.Until = now.UTC().Truncate(time.Second)
		r.Left = append(slices.DeleteFunc(slices.Clone(r.Left), earlier.selectsAs), earlier)
		r.Scope, r.Removed = Scope{Owns: []OwnedRecord{}}, earlier.Until
	}
	return r
}

// finish returns the record when all has been done about what it had to do with before. Without
// anything that stays, there is no need to remember it.
func (r Record) finish(scope Scope, stay int) Record {
	var left []Scope
	for _, before := range r.Left {
		if !before.selectsAs(scope) {
			left = append(left, before)
		} else if stay > 0 {
			before.Done, before.Finalizer = true, ""
			left = append(left, before)
		}
	}
	r.Left = left
	return r
}

// isEmpty reports whether there is nothing to remember.
func (r Record) isEmpty() bool { return r.Kind == "" && len(r.Left) == 0 }
