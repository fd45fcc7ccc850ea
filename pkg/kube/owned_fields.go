package kube

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"weak"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

// OwnedFields is what one field manager owns of one object because it has applied it: see FieldsOf.
// It is safe for concurrent use.
type OwnedFields struct {
	shared *fieldSet
	object *object
}

// FieldsOf returns what the FieldManager of a Watch, or that of ReadObject, has applied of an
// object. It is nil when the manager has no entry with the operation Apply in managedFields, when
// that cannot be read, and when the source of the object does not keep it. Entries of a subresource
// do not count.
func FieldsOf(obj handlers.Object) *OwnedFields {
	c, ok := obj.(cachedObject)
	if !ok || c.o.codec.fields == nil {
		return nil
	}
	shared := c.o.codec.fields
	if shared.once.Do(shared.parse); shared.set == nil {
		return nil
	}
	return &OwnedFields{shared: shared, object: c.o}
}

// Set returns the fields, without metadata.ownerReferences. Objects that were applied with the same
// fields share it, so that the same pointer means the same fields; it must not be changed. Where
// the manager has entries of several versions, it is their union.
func (f *OwnedFields) Set() *fieldpath.Set { return f.shared.set }

// OwnerReferences returns the UIDs of those owner references of the object that the manager has
// applied; those beyond the 32nd reference of an object are left out. The result is the caller's
// own.
func (f *OwnedFields) OwnerReferences() []types.UID { return f.object.AppliedOwners() }

// APIVersion returns the version in which the object was applied last.
func (f *OwnedFields) APIVersion() string {
	return f.shared.versions[len(f.shared.versions)-1]
}

// APIVersions returns the versions of all entries of the manager, the latest last. One that is not
// the object's own is left over from before: the paths are those of that version. The caller must
// not change it.
func (f *OwnedFields) APIVersions() []string { return f.shared.versions }

// fieldSet is what a field manager owns of any number of objects. It is parsed when it is first
// asked for.
type fieldSet struct {
	applied wire.Applied

	once      sync.Once
	set       *fieldpath.Set            // nil when nothing could be read
	versions  []string                  // of the entries in the set; not empty when there is one
	byManager map[string]*fieldpath.Set // where the entries say of which manager they are
}

// parse leaves out what cannot be read.
func (s *fieldSet) parse() {
	for _, entry := range s.applied.Entries() {
		set := &fieldpath.Set{}
		if err := set.FromJSON(strings.NewReader(entry.FieldsV1)); err != nil {
			continue
		}
		if entry.Manager != "" {
			s.addOf(entry.Manager, set)
			continue
		}
		if s.versions = append(s.versions, entry.APIVersion); s.set != nil {
			set = s.set.Union(set)
		}
		s.set = set
	}
}

// addOf adds fields of one of several managers. One that has nothing counts as none.
func (s *fieldSet) addOf(manager string, set *fieldpath.Set) {
	if set.Empty() {
		return
	}
	if s.byManager == nil {
		s.byManager = map[string]*fieldpath.Set{}
	}
	if before, ok := s.byManager[manager]; ok {
		set = before.Union(set)
	}
	s.byManager[manager] = set
}

// managers are the names of those of several managers that have an entry.
func (s *fieldSet) managers() (names []string) {
	if s == nil {
		return nil
	}
	for _, entry := range s.applied.Entries() {
		if entry.Manager != "" && !slices.Contains(names, entry.Manager) {
			names = append(names, entry.Manager)
		}
	}
	return names
}

// sharedCodecs are the codecs of objects of which the same fields were applied, of all sources and
// for as long as there is such an object.
type sharedCodecs struct {
	mu    sync.Mutex
	known map[codecKey]weak.Pointer[codec]
}

// codecKey is what a shared codec is made of.
type codecKey struct {
	kind         schema.GroupVersionKind
	metadataOnly bool
	applied      wire.Applied
}

var codecs = sharedCodecs{known: map[codecKey]weak.Pointer[codec]{}}

func (s *sharedCodecs) get(key codecKey) *codec {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[key].Value(); known != nil {
		return known
	}
	made := newCodec(key.kind, key.metadataOnly)
	made.fields = &fieldSet{applied: key.applied}
	s.known[key] = weak.Make(made)
	runtime.AddCleanup(made, s.remove, key)
	return made
}

// remove forgets a codec that no object has any more, unless another has been made since.
func (s *sharedCodecs) remove(key codecKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key].Value() == nil {
		delete(s.known, key)
	}
}

// AppliedBy returns what several field managers have applied of an object, by their names: those
// that a Watch, or ReadObject, keeps by a FieldManager that ends in a slash. One that has nothing
// is not among them. Objects that were applied by the same managers with the same fields share the
// map, which must not be changed. As in FieldsOf, metadata.ownerReferences are left out, and
// entries of a subresource do not count.
func AppliedBy(obj handlers.Object) map[string]*fieldpath.Set {
	c, ok := obj.(cachedObject)
	if !ok || c.o.codec.fields == nil {
		return nil
	}
	shared := c.o.codec.fields
	shared.once.Do(shared.parse)
	return shared.byManager
}

// with returns the codec of those objects of which a manager has applied the same.
func (c *codec) with(applied wire.Applied) *codec {
	if applied == "" {
		return c
	}
	return codecs.get(codecKey{kind: c.kind, metadataOnly: c.metadataOnly, applied: applied})
}

// sameFields reports whether a manager has applied the same of both.
func (o *object) sameFields(other *object) bool {
	return o.codec.fields == other.codec.fields && o.SameApplied(&other.Object)
}
