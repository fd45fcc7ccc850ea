package wire

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"kooperd.dev/kooperd/pkg/expression"
)

const (
	metaGeneration        = 7 // of ObjectMeta
	metaDeletionTimestamp = 9
	metaFinalizers        = 14

	mapKey   = 1 // of every entry of a map
	mapValue = 2
)

// Ignored are the fields in which two states of an object may differ and count as the same. It does
// not change.
//
// It works on encoded objects and decodes nothing: a field that is ignored is skipped, one that
// leads to such a field is looked into, and of all others the bytes are compared. The API server
// encodes equal values alike. Where it does not, as after an upgrade, two states differ that mean
// the same, which is the safe side. A field that holds nothing but ignored ones counts the same as
// one that is not there.
type Ignored struct {
	json     *fieldTree // by name
	protobuf *fieldTree // by number and key; nil when the kind has no protobuf
}

// fieldTree is one place in an object: everything at and below it is meant, or something below it.
type fieldTree struct {
	all     bool
	names   map[string]*fieldTree           // members in JSON; entries of a map in protobuf
	numbers map[protowire.Number]*fieldTree // fields in protobuf
}

// Ignore returns what to leave out of a comparison. paths are those of the JSON; steps are the same
// paths, in the same order, through the protobuf of the kind, or nil for a kind that has none. What
// the API server counts, resourceVersion and generation, is always ignored: what has been counted
// is in the other fields, and a Deployment's generation counts its annotations, too. So are
// apiVersion and kind, which not every answer has.
func Ignore(paths []expression.Path, steps [][]expression.Step) *Ignored {
	i := &Ignored{json: &fieldTree{}}
	for _, p := range append([]expression.Path{{"apiVersion"}, {"kind"}, {"metadata", "resourceVersion"}, {"metadata", "generation"}}, paths...) {
		at := i.json
		for _, name := range p {
			at = at.member(name)
		}
		at.all = true
	}
	if steps == nil {
		return i
	}
	i.protobuf = treeOf(append([][]expression.Step{
		{{Number: objectMetadata}, {Number: metaResourceVersion}}, {{Number: objectMetadata}, {Number: metaGeneration}},
	}, steps...))
	return i
}

// Finalizers ignores the finalizers of an object of any kind.
var Finalizers = Ignore([]expression.Path{{"metadata", "finalizers"}}, [][]expression.Step{{{Number: objectMetadata}, {Number: metaFinalizers}}})

// treeOf returns the places in a message at the end of steps. Steps that lead nowhere have none.
func treeOf(steps [][]expression.Step) *fieldTree {
	root := &fieldTree{}
	for _, way := range steps {
		at := root
		for _, s := range way {
			if s.Number != 0 {
				at = at.field(protowire.Number(s.Number))
			} else {
				at = at.member(s.Key)
			}
		}
		at.all = len(way) > 0
	}
	return root
}

func (i *fieldTree) member(name string) *fieldTree {
	if i.names == nil {
		i.names = map[string]*fieldTree{}
	}
	if i.names[name] == nil {
		i.names[name] = &fieldTree{}
	}
	return i.names[name]
}

func (i *fieldTree) field(number protowire.Number) *fieldTree {
	if i.numbers == nil {
		i.numbers = map[protowire.Number]*fieldTree{}
	}
	if i.numbers[number] == nil {
		i.numbers[number] = &fieldTree{}
	}
	return i.numbers[number]
}

// Same reports whether two states of an object differ in nothing but what is ignored. What it
// cannot read, or not compare, differs.
func (i *Ignored) Same(a, b *Object) bool {
	switch {
	case a.Encoding != b.Encoding:
		return false
	case a.Encoding == Protobuf:
		return i.protobuf != nil && i.protobuf.sameMessage(a.Data, b.Data)
	default:
		return i.json.sameJSON(a.Data, b.Data)
	}
}

// Deleting reports whether the object is marked for deletion.
func (o *Object) Deleting() bool {
	found := false
	if o.Encoding == Protobuf {
		_ = eachField(o.MetadataBytes(), func(number protowire.Number, _, _ []byte) error {
			found = found || number == metaDeletionTimestamp
			return nil
		})
		return found
	}
	s := &scanner{text: o.MetadataBytes()}
	s.members(func(name, value []byte) {
		if string(name) == `"deletionTimestamp"` {
			found = string(value) != "null"
		}
	})
	return found
}

// member is a field of a JSON object: its name in quotes, and its value.
type member struct{ name, value []byte }

// sameJSON compares two values; nil is one that is not there.
func (i *fieldTree) sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var roomA, roomB [24]member
	membersA, ok := membersOf(a, roomA[:0])
	if !ok {
		return false
	}
	membersB, ok := membersOf(b, roomB[:0])
	if !ok {
		return false
	}
	at := 0
	for _, m := range membersA {
		var other []byte
		if other, at = valueFrom(membersB, m.name, at); !i.sameMember(m.name, m.value, other) {
			return false
		}
	}
	at = 0
	for _, m := range membersB {
		var other []byte
		if other, at = valueFrom(membersA, m.name, at); other == nil && !i.sameMember(m.name, nil, m.value) {
			return false
		}
	}
	return true
}

func (i *fieldTree) sameMember(name, a, b []byte) bool {
	below := i.names[string(name[1:len(name)-1])]
	if below == nil && bytes.IndexByte(name, '\\') >= 0 {
		below = i.names[text(name)]
	}
	switch {
	case below == nil:
		return a != nil && b != nil && bytes.Equal(a, b)
	case below.all:
		return true
	default:
		return below.sameJSON(a, b)
	}
}

// membersOf appends the members of an object to room; false when the text is none. One that is not
// there, and null, have none.
func membersOf(value []byte, room []member) ([]member, bool) {
	if value == nil || string(value) == "null" {
		return room, true
	}
	s := &scanner{text: value}
	s.members(func(name, value []byte) { room = append(room, member{name, value}) })
	return room, !s.bad
}

// valueFrom returns the value of a member, nil for none, and the place behind it. It is looked for
// from a place on, and then before it.
func valueFrom(members []member, name []byte, from int) (value []byte, next int) {
	for at := from; at < len(members); at++ {
		if bytes.Equal(members[at].name, name) {
			return members[at].value, at + 1
		}
	}
	for at := range from {
		if bytes.Equal(members[at].name, name) {
			return members[at].value, at + 1
		}
	}
	return nil, from
}

// fields goes through those fields of a message that are not ignored as a whole.
type fields struct {
	messageCursor
	below *fieldTree
	bad   bool // the message cannot be read to its end
}

func (f *fields) next() {
	for len(f.rest) > 0 {
		if f.messageCursor.next(); f.number == 0 {
			f.bad = true
			return
		}
		if !f.ignored() {
			return
		}
	}
	f.messageCursor = messageCursor{}
}

// ignored reports whether nothing of the field at this place counts: the field itself, or the entry
// of a map.
func (f *fields) ignored() bool {
	below := f.below.numbers[f.number]
	switch {
	case below == nil:
		return false
	case below.all:
		return true
	case below.names == nil:
		return false
	}
	entry := below.names[string(mapKeyOf(f.value))]
	return entry != nil && entry.all
}

// sameMessage compares two messages field by field. Both have them in the order of their numbers.
func (i *fieldTree) sameMessage(a, b []byte) bool {
	x, y := &fields{below: i, messageCursor: messageCursor{rest: a}}, &fields{below: i, messageCursor: messageCursor{rest: b}}
	x.next()
	y.next()
	for x.number != 0 || y.number != 0 {
		first := x.number
		if first == 0 || y.number != 0 && y.number < first {
			first = y.number
		}
		below := i.numbers[first]
		if below == nil || below.names != nil { // an entry of a map is compared as a whole
			if x.number != y.number || !bytes.Equal(x.whole, y.whole) {
				return false
			}
			x.next()
			y.next()
			continue
		}
		var inX, inY []byte
		if x.number == first {
			inX = x.value
			x.next()
		}
		if y.number == first {
			inY = y.value
			y.next()
		}
		if !below.sameMessage(inX, inY) {
			return false
		}
	}
	return !x.bad && !y.bad
}
