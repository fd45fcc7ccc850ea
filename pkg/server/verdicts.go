package server

import (
	"sync"
	"time"
)

// verdicts remembers a bounded number of decisions for a bounded time. It is safe for concurrent use.
type verdicts struct {
	limit int
	ttl   time.Duration

	mu      sync.Mutex
	entries map[digest]verdictEntry
}

type verdictEntry struct {
	verdict error
	until   time.Time
}

func newVerdicts(limit int, ttl time.Duration) *verdicts {
	return &verdicts{limit: limit, ttl: ttl, entries: map[digest]verdictEntry{}}
}

// get returns a decision, if there is one that is not too old.
func (v *verdicts) get(key digest) (known bool, verdict error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	entry, ok := v.entries[key]
	if !ok || !time.Now().Before(entry.until) {
		return false, nil
	}
	return true, entry.verdict
}

// put remembers a decision. When there are too many, the one that ends first is forgotten.
func (v *verdicts) put(key digest, verdict error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.entries[key]; !ok && len(v.entries) >= v.limit {
		v.forgetOldest()
	}
	v.entries[key] = verdictEntry{verdict: verdict, until: time.Now().Add(v.ttl)}
}

func (v *verdicts) forgetOldest() {
	var oldest digest
	var until time.Time
	for key, entry := range v.entries {
		if until.IsZero() || entry.until.Before(until) {
			oldest, until = key, entry.until
		}
	}
	delete(v.entries, oldest)
}
