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
	count        uint8 // of handlings
}

func (e *entry) size() int64 {
	const class = 16 // of what is allocated
	return int64(entryOverhead + (len(e.handlings)+class-1)&^(class-1))
}

// add adds one more handling, packed, in place of the oldest one if there are enough. room is for
// what it writes, and is returned.
func (e *entry) add(packed, room []byte) []byte {
	kept := e.handlings
	if e.count == perObject {
		_, kept = cutHandling(kept)
	} else {
		e.count++
	}
	room = append(room[:0], kept...)
	room = append(binary.AppendUvarint(room, uint64(len(packed))), packed...)
	e.handlings = string(room)
	return room
}

// cutHandling returns the first of some handlings, packed, and what follows it.
func cutHandling(handlings string) (first, rest string) {
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
