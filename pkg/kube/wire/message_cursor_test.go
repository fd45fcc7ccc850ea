package wire

import (
	"bytes"
	"testing"
)

// FuzzShortFields compares the short ways to read a field, and the key of a map, with the long
// ones.
func FuzzShortFields(f *testing.F) {
	for _, seed := range []string{
		"", "\x0a", "\x0a\x00", "\x0a\x80\x00", "\x02\x01a", "\x0a\x01k", "\x0a\x01k\x12\x00", "\x0a\x01k\x12\x01v", "\x0a\x01k\x12\x01v\x0a\x01z",
		"\x12\x01v\x0a\x01k", "\x0a\x05k", "\x0a\xff\xff\x01k", "\x08\x01", "\x0a\x80\x01" + string(make([]byte, 128)),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		long := messageCursor{rest: message}
		long.nextOfAny()
		number, size := fieldSize(message)
		short := messageCursor{rest: message}
		short.next()
		if number != long.number || size != len(long.whole) || short.number != long.number ||
			!bytes.Equal(short.value, long.value) || !bytes.Equal(short.whole, long.whole) || !bytes.Equal(short.rest, long.rest) {
			t.Fatalf("%d of size %d, %+v, want %+v", number, size, short, long)
		}
		var key []byte
		for m := (messageCursor{rest: message}); ; {
			if m.nextOfAny(); m.number == 0 {
				break
			}
			if m.number == mapKey {
				key = m.value
			}
		}
		if !bytes.Equal(mapKeyOf(message), key) {
			t.Fatalf("key %q, want %q", mapKeyOf(message), key)
		}
	})
}
