package wire

import "google.golang.org/protobuf/encoding/protowire"

// messageCursor walks over the fields of a message.
type messageCursor struct {
	number protowire.Number // of the field at this place; 0 at the end, and for damage
	whole  []byte           // the field
	value  []byte           // of it, if it has a length
	rest   []byte           // what follows it
}

func (m *messageCursor) next() {
	// Most fields have a small number, and a length in one byte or two.
	rest := m.rest
	if len(rest) < 3 || rest[0] >= 0x80 || rest[0]>>3 == 0 || rest[0]&7 != byte(protowire.BytesType) {
		m.nextOfAny()
		return
	}
	start, size := 2, int(rest[1])
	if size >= 0x80 {
		start, size = 3, size&0x7f|int(rest[2])<<7
		if rest[2] >= 0x80 {
			m.nextOfAny()
			return
		}
	}
	if start+size > len(rest) {
		m.nextOfAny()
		return
	}
	end := start + size
	m.number, m.whole, m.value, m.rest = protowire.Number(rest[0]>>3), rest[:end], rest[start:end], rest[end:]
}

// nextOfAny is next for a field of any kind.
func (m *messageCursor) nextOfAny() {
	number, kind, n := protowire.ConsumeTag(m.rest)
	size := -1
	if n > 0 {
		size = protowire.ConsumeFieldValue(number, kind, m.rest[n:])
	}
	if size < 0 {
		*m = messageCursor{}
		return
	}
	m.number, m.whole, m.value = number, m.rest[:n+size], nil
	if kind == protowire.BytesType {
		m.value, _ = protowire.ConsumeBytes(m.rest[n:])
	}
	m.rest = m.rest[n+size:]
}

// remaining is the field at this place and what follows it.
func (m *messageCursor) remaining() []byte { return m.whole[:len(m.whole)+len(m.rest)] }

// mapKeyOf returns the key of an entry of a map.
func mapKeyOf(entry []byte) (key []byte) {
	m := messageCursor{rest: entry}
	for m.next(); m.number != 0; m.next() {
		if m.number == mapKey {
			key = m.value
		}
	}
	return key
}
