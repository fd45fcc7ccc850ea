package queue

import (
	"math/bits"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Hash returns a hash of parts, such as a namespace and a name, that is the same in every process
// and on every machine. The boundaries between the parts count, and so does their order.
func Hash(parts ...string) uint64 {
	end := [...]byte{0xff} // no UTF-8 text contains it
	var d xxhash.Digest
	d.Reset()
	for _, part := range parts {
		_, _ = d.WriteString(part) // never fails
		_, _ = d.Write(end[:])
	}
	return d.Sum64()
}

// Spread returns the phase in [0, period) of a key with that hash. Even hashes give evenly spread
// phases, and equal hashes equal ones, so a key keeps its phase over restarts. A period of 0 or
// less has the phase 0 only.
func Spread(hash uint64, period time.Duration) time.Duration {
	if period <= 0 {
		return 0
	}
	phase, _ := bits.Mul64(hash, uint64(period))
	return time.Duration(phase)
}
