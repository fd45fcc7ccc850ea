package wire

import (
	"bytes"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"kooperd.dev/kooperd/pkg/expression"
)

// maxChangeDepth is how deep below the root a change is looked for; what is deeper is a change of
// what it is in.
const maxChangeDepth = 6

// Changes returns the paths in which two states of an object differ, at most so many. Lists are
// compared as a whole. of is the pointer type that protobuf is decoded into, nil for none: it has
// the names of the fields. What the API server counts, resourceVersion and generation, is left out,
// and so are apiVersion and kind. Nothing is decoded, so it is cheap. Two states in different
// encodings, or that cannot be read, have no changes that are known.
func Changes(a, b *Object, of reflect.Type, most int) []string {
	if a.Encoding != b.Encoding || most <= 0 {
		return nil
	}
	c := &changes{most: most, path: make(expression.Path, 0, maxChangeDepth+1)}
	switch {
	case a.Encoding == Protobuf && of != nil:
		c.messages(a.Data, b.Data, of)
	case a.Encoding == JSON:
		c.members(a.Data, b.Data)
	}
	return c.found
}

// changes collects paths.
type changes struct {
	most  int
	path  expression.Path // of this place
	found []string
}

func (c *changes) full() bool { return len(c.found) >= c.most }

// add notes a change at or below a name in this place, unless it counts for nothing.
func (c *changes) add(name string) {
	if c.full() || c.counted(name) {
		return
	}
	c.path = append(c.path, name)
	c.found = append(c.found, c.path.String())
	c.path = c.path[:len(c.path)-1]
}

// counted reports whether a field of this place is one of those that say nothing.
func (c *changes) counted(name string) bool {
	switch len(c.path) {
	case 0:
		return name == "apiVersion" || name == "kind"
	case 1:
		return c.path[0] == "metadata" && (name == "resourceVersion" || name == "generation" || name == "managedFields")
	}
	return false
}

// below looks for changes below a name, by look, or notes that one if this is deep enough.
func (c *changes) below(name string, look func()) {
	if len(c.path) >= maxChangeDepth-1 {
		c.add(name)
		return
	}
	c.path = append(c.path, name)
	look()
	c.path = c.path[:len(c.path)-1]
}

// members compares two JSON objects. Mostly both have the same members in the same order.
func (c *changes) members(a, b []byte) {
	x, y := &scanner{text: a}, &scanner{text: b}
	nameX, valueX, okX := x.first()
	nameY, valueY, okY := y.first()
	for okX && okY && bytes.Equal(nameX, nameY) {
		c.member(nameX, valueX, valueY)
		nameX, valueX, okX = x.next()
		nameY, valueY, okY = y.next()
	}
	if x.bad || y.bad || !okX && !okY {
		return
	}
	var membersA, membersB []member
	for ; okX; nameX, valueX, okX = x.next() {
		membersA = append(membersA, member{nameX, valueX})
	}
	for ; okY; nameY, valueY, okY = y.next() {
		membersB = append(membersB, member{nameY, valueY})
	}
	if x.bad || y.bad {
		return
	}
	for at, m := range membersA {
		c.member(m.name, m.value, valueOf(membersB, m.name, at))
	}
	for at, m := range membersB {
		if valueOf(membersA, m.name, at) == nil {
			c.member(m.name, nil, m.value)
		}
	}
}

// member compares two values of one name; nil is one that is not there.
func (c *changes) member(quoted, a, b []byte) {
	if c.full() || bytes.Equal(a, b) {
		return
	}
	name := text(quoted)
	if len(a) > 0 && len(b) > 0 && a[0] == '{' && b[0] == '{' {
		c.below(name, func() { c.members(a, b) })
		return
	}
	c.add(name)
}

// first returns the first member of the object at this place; ok is false when there is none.
func (s *scanner) first() (name, value []byte, ok bool) {
	if s.expect('{'); s.peek() == '}' {
		return nil, nil, false
	}
	return s.pair()
}

// next returns the member that follows.
func (s *scanner) next() (name, value []byte, ok bool) {
	if s.peek() == '}' || s.bad {
		return nil, nil, false
	}
	s.expect(',')
	return s.pair()
}

// pair reads one member.
func (s *scanner) pair() (name, value []byte, ok bool) {
	name = s.str()
	s.expect(':')
	s.peek()
	value = s.value()
	return name, value, !s.bad
}

// messages compares two messages, which have their fields in the order of the numbers.
func (c *changes) messages(a, b []byte, of reflect.Type) {
	known := fieldsOf(of)
	if known == nil {
		return
	}
	for (len(a) > 0 || len(b) > 0) && !c.full() {
		number := firstNumber(a)
		if other := firstNumber(b); number == 0 || other != 0 && other < number {
			number = other
		}
		if number == 0 {
			return // damage
		}
		var inA, inB []byte
		inA, a = cutField(a, number)
		inB, b = cutField(b, number)
		if field, ok := known[number]; ok && !bytes.Equal(inA, inB) {
			c.field(field, inA, inB)
		}
	}
}

// field compares all that two messages have of one field.
func (c *changes) field(f messageField, a, b []byte) {
	look := func() { c.messages(fieldValue(a), fieldValue(b), f.of) }
	switch {
	case f.kind == inlineMessage:
		look()
	case f.kind == nestedMessage && len(a) > 0 && len(b) > 0:
		c.below(f.name, look)
	case f.kind == mapOfValues && len(a) > 0 && len(b) > 0:
		c.below(f.name, func() { c.entries(a, b) })
	default:
		c.add(f.name)
	}
}

// entries compares two maps, which mostly have the same keys in the same order.
func (c *changes) entries(a, b []byte) {
	var roomA, roomB [16]member
	entriesA, entriesB := entriesOf(a, roomA[:0]), entriesOf(b, roomB[:0])
	for at, m := range entriesA {
		if !c.full() && !bytes.Equal(m.value, valueOf(entriesB, m.name, at)) {
			c.add(string(m.name))
		}
	}
	for at, m := range entriesB {
		if !c.full() && valueOf(entriesA, m.name, at) == nil {
			c.add(string(m.name))
		}
	}
}

// entriesOf appends the entries of a map to room, each by its key.
func entriesOf(fields []byte, room []member) []member {
	_ = eachField(fields, func(_ protowire.Number, value, _ []byte) error {
		room = append(room, member{mapKeyOf(value), value})
		return nil
	})
	return room
}

// firstNumber is the number of the first field of a message; 0 at its end, and for damage.
func firstNumber(message []byte) protowire.Number {
	if len(message) == 0 {
		return 0
	}
	number, _, n := protowire.ConsumeTag(message)
	if n < 0 {
		return 0
	}
	return number
}

// cutField cuts all that is first of a message and has a number. After damage nothing is left.
func cutField(message []byte, number protowire.Number) (fields, rest []byte) {
	at := 0
	for at < len(message) {
		n, _, size := protowire.ConsumeField(message[at:])
		if size < 0 {
			return message[:at], nil
		}
		if n != number {
			break
		}
		at += size
	}
	return message[:at], message[at:]
}

// fieldValue is the value of a single field.
func fieldValue(field []byte) []byte {
	_, kind, n := protowire.ConsumeTag(field)
	if n < 0 || kind != protowire.BytesType {
		return nil
	}
	value, _ := protowire.ConsumeBytes(field[n:])
	return value
}

// messageKind is what a field of a message holds.
type messageKind int

const (
	plainValue messageKind = iota // or a list
	nestedMessage
	inlineMessage // whose fields are those of the JSON around it
	mapOfValues
)

// messageField is one field of a Go struct that is read from protobuf.
type messageField struct {
	name string
	kind messageKind
	of   reflect.Type // of a message
}

// messageFields has a map[protowire.Number]messageField of each Go struct that was asked for.
var messageFields sync.Map

// fieldsOf returns the fields of a Go struct, or of what a pointer points at, by their numbers; nil
// for another type.
func fieldsOf(t reflect.Type) map[protowire.Number]messageField {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := messageFields.Load(t); ok {
		return known.(map[protowire.Number]messageField) //nolint:forcetypeassert // nothing else is stored
	}
	found := map[protowire.Number]messageField{}
	for f := range t.Fields() {
		parts := strings.Split(f.Tag.Get("protobuf"), ",")
		if len(parts) < 2 {
			continue
		}
		number, err := strconv.ParseInt(parts[1], 10, 32)
		if err != nil {
			continue
		}
		found[protowire.Number(number)] = messageFieldOf(f)
	}
	messageFields.Store(t, found)
	return found
}

func messageFieldOf(f reflect.StructField) messageField {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	field := messageField{name: name, of: f.Type}
	for field.of.Kind() == reflect.Pointer {
		field.of = field.of.Elem()
	}
	inline := strings.Contains(options, "inline") || name == "" && f.Anonymous
	switch {
	case field.of.Kind() == reflect.Map && field.of.Key().Kind() == reflect.String:
		field.kind = mapOfValues
	case field.of.Kind() != reflect.Struct:
	case inline:
		field.kind = inlineMessage
	case !expression.MarshalsItself(field.of):
		field.kind = nestedMessage
	}
	return field
}
