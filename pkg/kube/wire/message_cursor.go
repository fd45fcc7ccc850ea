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
	if len(m.rest) == 0 {
		*m = messageCursor{}
		return
	}
	number, start, end := shortField(m.rest)
	if number == 0 {
		m.nextOfAny()
		return
	}
	m.number, m.whole, m.value, m.rest = number, m.rest[:end], m.rest[start:end], m.rest[end:]
}

// shortField returns where the value of the first field of a message starts and ends, if it has a
// small number, and a length in one byte or two, as most have; otherwise 0.
func shortField(message []byte) (number protowire.Number, start, end int) {
	if len(message) < 3 || message[0] < 1<<3 || message[0] >= 0x80 || message[0]&7 != byte(protowire.BytesType) {
		return 0, 0, 0
	}
	start, end = 2, int(message[1])
	if end >= 0x80 {
		start, end = 3, end&0x7f|int(message[2])<<7
	}
	if end += start; end > len(message) || start == 3 && message[2] >= 0x80 {
		return 0, 0, 0
	}
	return protowire.Number(message[0] >> 3), start, end
}

// fieldSize returns the number and the size of the first field of a message; 0 at the end, and for
// damage.
func fieldSize(message []byte) (number protowire.Number, size int) {
	if number, _, end := shortField(message); number > 0 {
		return number, end
	}
	number, kind, n := protowire.ConsumeTag(message)
	if n <= 0 {
		return 0, 0
	}
	value := protowire.ConsumeFieldValue(number, kind, message[n:])
	if value < 0 {
		return 0, 0
	}
	return number, n + value
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
	number, start, end := shortField(entry)
	if value, _, size := shortField(entry[end:]); number == mapKey && value == mapValue && end+size == len(entry) {
		return entry[start:end] // as most are written
	}
	m := messageCursor{rest: entry}
	for m.next(); m.number != 0; m.next() {
		if m.number == mapKey {
			key = m.value
		}
	}
	return key
}
