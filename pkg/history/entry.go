package history

import "encoding/binary"

const (
	// perObject is how many handlings of one object are kept.
	perObject = 5
	// entryOverhead is about what an object takes besides its handlings, in bytes: its entry, and
	// its place in a map with room to grow.
	entryOverhead = 88
)

// entry is one object in one definition. There are many, so it has no more than it needs.
type entry struct {
	older, newer *entry
	place        uint64
	handlings    string // packed, each after its length, the newest last
	log          uint32
}

func (e *entry) size() int64 {
	const class = 16 // of what is allocated
	return int64(entryOverhead + (len(e.handlings)+class-1)&^(class-1))
}

// join appends the handlings and one more, in place of the oldest one if there are enough.
func (e *entry) join(to, packed []byte) []byte {
	kept := e.handlings
	if count(kept) >= perObject {
		_, kept = cutHandling(kept)
	}
	to = append(to, kept...)
	return append(binary.AppendUvarint(to, uint64(len(packed))), packed...)
}

// count is how many handlings there are.
func count[T string | []byte](handlings T) int {
	n := 0
	for ; len(handlings) > 0; n++ {
		_, handlings = cutHandling(handlings)
	}
	return n
}

// cutHandling returns the first of some handlings, packed, and what follows it.
func cutHandling[T string | []byte](handlings T) (first, rest T) {
	length, at, shift := 0, 0, 0
	for at < len(handlings) && handlings[at] >= 0x80 { // as binary.Uvarint reads a slice
		length |= int(handlings[at]&0x7f) << shift
		at, shift = at+1, shift+7
	}
	if at == len(handlings) {
		return first, rest
	}
	length |= int(handlings[at]) << shift
	at++
	end := min(at+length, len(handlings))
	return handlings[at:end], handlings[end:]
}
