package kube

import (
	"math"
	"reflect"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apijson "k8s.io/apimachinery/pkg/util/json"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

// Ignored are fields of one kind in which a change counts for nothing. It is safe for concurrent
// use.
type Ignored struct {
	fields *wire.Ignored
}

// Ignore prepares a comparison of objects that leaves out everything at and below fields.
func Ignore(fields *expression.Fields) *Ignored {
	return &Ignored{fields: wire.Ignore(fields.Paths, fields.Steps)}
}

// Old returns the object before the change, or nil when it was not there or is not known.
func (e Event) Old() handlers.Object { return seenBy(e.old) }

// Now returns the object after the change, or nil when it is gone.
func (e Event) Now() handlers.Object { return seenBy(e.now) }

// Owners returns the owner references of the object before and after the change, each once. It is
// cheap: nothing else is decoded. The result is the caller's own.
func (e Event) Owners() []metav1.OwnerReference {
	var owners []metav1.OwnerReference
	for _, o := range []*object{e.old, e.now} {
		if o == nil {
			continue
		}
		for _, owner := range o.Owners() {
			same := func(other metav1.OwnerReference) bool { return reflect.DeepEqual(owner, other) }
			if !slices.ContainsFunc(owners, same) {
				owners = append(owners, owner)
			}
		}
	}
	return owners
}

func seenBy(o *object) handlers.Object {
	if o == nil {
		return nil
	}
	return cachedObject{o}
}

// NewChange returns the change from one state of an object, nil for none, to a later one. A state
// that no view of this package has given is encoded first; one that cannot be is taken for unknown.
func NewChange(old, now handlers.Object) Event {
	return Event{Key: Key{Namespace: now.Namespace(), Name: now.Name()}, Type: Changed, old: encode(old), now: encode(now)}
}

func encode(obj handlers.Object) *object {
	if obj == nil {
		return nil
	}
	if c, ok := obj.(cachedObject); ok {
		return c.o
	}
	text, err := obj.JSON()
	if err != nil {
		return nil
	}
	e, err := wire.ParseEnvelope(text)
	if err != nil {
		return nil
	}
	o, err := e.Object()
	if err != nil {
		return nil
	}
	return &object{codec: newCodec(obj.GroupVersionKind(), false), Object: o}
}

// Merge returns the change that an earlier one of the same object and e amount to.
func (e Event) Merge(earlier Event) Event {
	e.old, e.change = earlier.old, nil
	return e
}

// OnlyIn reports whether the change lies in ignored fields alone. It is cheap: nothing is decoded.
// A change that is not between two states, or that marks the object for deletion, is more than
// that. A change of what a field manager owns does not count: for it, compare FieldsOf of Old and
// Now.
func (e Event) OnlyIn(ignored *Ignored) bool {
	if e.old == nil || e.now == nil || !ignored.fields.Same(&e.old.Object, &e.now.Object) {
		return false
	}
	return e.old.Deleting() || !e.now.Deleting()
}

// FieldMask is some fields of a kind. It is safe for concurrent use.
type FieldMask struct {
	mask *wire.FieldMask
}

// NewFieldMask returns the mask of what fields name.
func NewFieldMask(fields *expression.Fields) FieldMask {
	return FieldMask{mask: wire.NewFieldMask(fields.Paths, fields.Steps)}
}

// Fields decodes parts of an object of a View into maps, lists and plain values as encoding/json
// has them, but whole numbers are int64. More than the parts may be there. apiVersion and kind
// always are. The result is the caller's own.
func Fields(obj handlers.Object, parts FieldMask) (map[string]any, error) {
	c, ok := obj.(cachedObject)
	if !ok {
		text, err := obj.JSON()
		if err != nil {
			return nil, err
		}
		return decodeFields(text, obj.GroupVersionKind())
	}
	c = cachedObject{&object{codec: c.o.codec, Object: *parts.mask.Apply(&c.o.Object)}}
	if c.o.Encoding == wire.JSON {
		fields, err := decodeFields(c.o.Data, c.o.codec.kind)
		if err != nil {
			return nil, c.wrap("decoding", err)
		}
		return fields, nil
	}
	typed, err := c.typed()
	if err != nil {
		return nil, err
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return nil, c.wrap("decoding", err)
	}
	return fields, nil
}

func decodeFields(text []byte, kind schema.GroupVersionKind) (map[string]any, error) {
	fields := map[string]any{}
	if err := apijson.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	fields["apiVersion"], fields["kind"] = kind.GroupVersion().String(), kind.Kind
	return fields, nil
}

// maxChangedPaths is how many paths of a change are found at most.
const maxChangedPaths = 8

// Change is what lies between two states of an object. It is safe for concurrent use. It keeps both
// states until its paths are asked for.
type Change struct {
	find     sync.Once
	size     int32
	old, now *object
	paths    []string
}

func newChange(old, now *object) *Change {
	return &Change{old: old, now: now, size: int32(min(len(old.Data), math.MaxInt32))}
}

// Change returns the change, or nil if the event is not between two states. All who get the event
// of a source get the same one.
func (e Event) Change() *Change {
	if e.change == nil && e.old != nil && e.now != nil {
		return newChange(e.old, e.now)
	}
	return e.change
}

// Paths returns what the change is about, at most eight paths, as they are written in `ignore`.
// What the API server counts is left out. It is cheap: nothing is decoded, and they are found once.
// The result must not be changed.
func (c *Change) Paths() []string {
	c.find.Do(func() {
		c.paths = wire.Changes(&c.old.Object, &c.now.Object, c.now.codec.message, maxChangedPaths)
		c.old, c.now = nil, nil
	})
	return c.paths
}

// Size is how many bytes it keeps of what is no longer in the cache, while its paths have not been
// asked for.
func (c *Change) Size() int { return int(c.size) }
