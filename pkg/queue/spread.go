package queue

import (
	"math/bits"
	"time"
)

// Hash returns a hash of parts, such as a namespace and a name, that is the same in every process and on every machine.
// The boundaries between the parts count, and so does their order.
func Hash(parts ...string) uint64 {
	// FNV-1a, 64 bits (RFC 9923), over the parts, each ended by a byte that no UTF-8 text contains.
	const offsetBasis, prime, end = 14695981039346656037, 1099511628211, 0xff
	h := uint64(offsetBasis)
	for _, part := range parts {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * prime
		}
		h = (h ^ end) * prime
	}
	return mix(h)
}

// mix spreads what the last bytes have changed over all bits: without it keys that differ in their last digits only,
// as the names of Pods do, would have hashes that share the upper bits. It is the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Spread returns the phase in [0, period) of a key with that hash: even hashes give evenly spread phases, and equal
// hashes equal ones, so a key keeps its phase over restarts. A period of 0 or less has the phase 0 only.
func Spread(hash uint64, period time.Duration) time.Duration {
	if period <= 0 {
		return 0
	}
	phase, _ := bits.Mul64(hash, uint64(period))
	return time.Duration(phase)
}
