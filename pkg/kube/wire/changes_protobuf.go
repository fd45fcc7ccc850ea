package wire

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// messages compares two messages, which have their fields in the order of the numbers.
func (c *changes) messages(a, b []byte, of *messageType) {
	for !c.full() && !bytes.Equal(a, b) {
		size, passed := sameFields(a, b)
		x, y := messageCursor{rest: a[size:]}, messageCursor{rest: b[size:]}
		x.next()
		y.next()
		number := x.number
		if number == 0 || y.number != 0 && y.number < number {
			number = y.number
		}
		if number == 0 {
			return // the ends, or damage
		}
		inX, inY := x.take(number), y.take(number)
		a, b = x.remaining(), y.remaining()
		if field := of.field(number); field != nil {
			c.field(field, inX, inY, number == passed)
		}
	}
}

// sameFields returns the size of the fields at the beginning that two messages have alike, and the
// number of the last of them.
func sameFields(a, b []byte) (size int, last protowire.Number) {
	for size < len(a) {
		number, n := fieldSize(a[size:])
		if n <= 0 || !bytes.HasPrefix(b[size:], a[size:size+n]) {
			break
		}
		size, last = size+n, number
	}
	return size, last
}

// field compares all that two messages have of one field, but for what both have alike before. more
// says that there is something before.
func (c *changes) field(f *messageField, a, b fieldRun, more bool) {
	both := more || len(a.whole) > 0 && len(b.whole) > 0
	switch {
	case f.kind == inlineMessage:
		c.messages(a.value, b.value, f.message())
	case f.kind == nestedMessage && both && !c.deepest():
		c.enter(f.name)
		c.messages(a.value, b.value, f.message())
		c.leave()
	case f.kind == mapOfValues && both && !c.deepest():
		c.enter(f.name)
		c.entries(a.whole, b.whole)
		c.leave()
	default:
		c.add(f.name)
	}
}

// entries compares two maps, which mostly have the same keys in the same order.
func (c *changes) entries(a, b []byte) {
	at, found := 0, 0 // a place in b, and how many bytes of b have a key that a has as well
	x := messageCursor{rest: a}
	for x.next(); x.number != 0 && !c.full(); x.next() {
		key := mapKeyOf(x.value)
		other, next := entryFrom(b, key, at)
		if at = next; !bytes.Equal(x.whole, other) {
			c.add(key)
		}
		found += len(other)
	}
	if found == len(b) {
		return
	}
	at = 0
	y := messageCursor{rest: b}
	for y.next(); y.number != 0 && !c.full(); y.next() {
		key := mapKeyOf(y.value)
		other, next := entryFrom(a, key, at)
		if at = next; other == nil {
			c.add(key)
		}
	}
}

// entryFrom returns the entry of a key as a whole, nil for none, and the place behind it. It is
// looked for from a place on, and then before it.
func entryFrom(entries, key []byte, from int) (entry []byte, next int) {
	if entry, next = findEntry(entries[from:], key); entry != nil {
		return entry, from + next
	}
	if entry, next = findEntry(entries[:from], key); entry != nil {
		return entry, next
	}
	return nil, from
}

// findEntry returns the entry of a key as a whole, nil for none, and the place behind it.
func findEntry(entries, key []byte) (entry []byte, next int) {
	m := messageCursor{rest: entries}
	for m.next(); m.number != 0; m.next() {
		if bytes.Equal(mapKeyOf(m.value), key) {
			return m.whole, len(entries) - len(m.rest)
		}
	}
	return nil, 0
}

// fieldRun is all that a message has of one field, and the value of the first of it.
type fieldRun struct{ whole, value []byte }

// take moves over all fields of a number that are at this place.
func (m *messageCursor) take(number protowire.Number) fieldRun {
	if m.number != number {
		return fieldRun{}
	}
	run, size := fieldRun{whole: m.whole, value: m.value}, 0
	for m.number == number {
		size += len(m.whole)
		m.next()
	}
	run.whole = run.whole[:size] // All are parts of one array.
	return run
}
