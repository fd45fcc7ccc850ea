package wire

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"

	"kooperd.dev/kooperd/pkg/expression"
)

// messageKind is what a field of a message holds.
type messageKind int

const (
	plainValue messageKind = iota // or a list
	nestedMessage
	inlineMessage // whose fields are those of the JSON around it
	mapOfValues
)

// messageType has the fields of a Go struct that is read from protobuf, in the order of their
// numbers.
type messageType struct{ fields []*messageField }

// messageField is one of these.
type messageField struct {
	number protowire.Number
	name   []byte // in JSON
	kind   messageKind
	of     reflect.Type // of a message
	below  atomic.Pointer[messageType]
}

// field returns the field with a number; nil for none.
func (m *messageType) field(number protowire.Number) *messageField {
	at, found := slices.BinarySearchFunc(m.fields, number, func(f *messageField, n protowire.Number) int { return cmp.Compare(f.number, n) })
	if !found {
		return nil
	}
	return m.fields[at]
}

// message returns the type of a field that holds a message.
func (f *messageField) message() *messageType {
	if known := f.below.Load(); known != nil {
		return known
	}
	found := messageTypeOf(f.of)
	f.below.Store(found)
	return found
}

// messageTypes has a *messageType of each Go struct that was asked for.
var messageTypes sync.Map

// messageTypeOf returns what is known of a Go struct, or of what a pointer points at; nil for
// another type.
func messageTypeOf(t reflect.Type) *messageType {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := messageTypes.Load(t); ok {
		return known.(*messageType) //nolint:forcetypeassert // nothing else is stored
	}
	found := &messageType{}
	for f := range t.Fields() {
		parts := strings.Split(f.Tag.Get("protobuf"), ",")
		if len(parts) < 2 {
			continue
		}
		number, err := strconv.ParseInt(parts[1], 10, 32)
		if err != nil {
			continue
		}
		found.fields = append(found.fields, messageFieldOf(f, protowire.Number(number)))
	}
	slices.SortFunc(found.fields, func(a, b *messageField) int { return cmp.Compare(a.number, b.number) })
	known, _ := messageTypes.LoadOrStore(t, found)
	return known.(*messageType) //nolint:forcetypeassert // nothing else is stored
}

func messageFieldOf(f reflect.StructField, number protowire.Number) *messageField {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	field := &messageField{number: number, name: []byte(name), of: f.Type}
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
