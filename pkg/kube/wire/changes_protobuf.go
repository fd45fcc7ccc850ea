package wire

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// messages compares two messages, which have their fields in the order of the numbers.
func (c *changes) messages(a, b []byte, of *messageType) {
	var passed protowire.Number // of the last field that both have alike
	for !c.full() {
		number, size := firstField(a)
		if size > 0 && bytes.HasPrefix(b, a[:size]) {
			a, b, passed = a[size:], b[size:], number
			continue
		}
		if other, _ := firstField(b); number == 0 || other != 0 && other < number {
			number = other
		}
		if number == 0 {
			return // the ends, or damage
		}
		var inA, inB []byte
		inA, a = cutField(a, number)
		inB, b = cutField(b, number)
		if field := of.field(number); field != nil {
			c.field(field, inA, inB, number == passed)
		}
	}
}

// field compares all that two messages have of one field, but for what both have alike before. more
// says that there is something before.
func (c *changes) field(f *messageField, a, b []byte, more bool) {
	both := more || len(a) > 0 && len(b) > 0
	switch {
	case f.kind == inlineMessage:
		c.messages(fieldValue(a), fieldValue(b), f.message())
	case f.kind == nestedMessage && both && !c.deepest():
		c.enter(f.name)
		c.messages(fieldValue(a), fieldValue(b), f.message())
		c.leave()
	case f.kind == mapOfValues && both && !c.deepest():
		c.enter(f.name)
		c.entries(a, b)
		c.leave()
	default:
		c.add(f.name)
	}
}

// entries compares two maps, which mostly have the same keys in the same order.
func (c *changes) entries(a, b []byte) {
	at := 0
	for rest := a; len(rest) > 0 && !c.full(); {
		var key, entry, other []byte
		key, entry, rest = cutEntry(rest)
		if other, at = entryFrom(b, key, at); !bytes.Equal(entry, other) {
			c.add(key)
		}
	}
	at = 0
	for rest := b; len(rest) > 0 && !c.full(); {
		var key, other []byte
		key, _, rest = cutEntry(rest)
		if other, at = entryFrom(a, key, at); other == nil {
			c.add(key)
		}
	}
}

// cutEntry cuts the first entry of a map. After damage nothing is left.
func cutEntry(entries []byte) (key, entry, rest []byte) {
	_, size := firstField(entries)
	if size == 0 {
		return nil, nil, nil
	}
	entry = fieldValue(entries[:size])
	return mapKeyOf(entry), entry, entries[size:]
}

// entryFrom returns the entry of a key, nil for none, and the place behind it. It is looked for
// from a place on, and then before it.
func entryFrom(entries, key []byte, from int) (entry []byte, next int) {
	if entry, next = findEntry(entries[from:], key); entry != nil {
		return entry, from + next
	}
	if entry, next = findEntry(entries[:from], key); entry != nil {
		return entry, next
	}
	return nil, from
}

// findEntry returns the entry of a key, nil for none, and the place behind it.
func findEntry(entries, key []byte) (entry []byte, next int) {
	for rest := entries; len(rest) > 0; {
		var have []byte
		if have, entry, rest = cutEntry(rest); entry != nil && bytes.Equal(have, key) {
			return entry, len(entries) - len(rest)
		}
	}
	return nil, 0
}

// firstField is the number and the size of the first field of a message; 0 at its end, and for
// damage.
func firstField(message []byte) (protowire.Number, int) {
	if len(message) == 0 {
		return 0, 0
	}
	number, _, size := protowire.ConsumeField(message)
	if size < 0 {
		return 0, 0
	}
	return number, size
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
