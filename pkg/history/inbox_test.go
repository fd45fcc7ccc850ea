package history

import (
	"slices"
	"sync/atomic"
	"testing"
)

// largeChange keeps states until its paths are asked for, and counts that.
type largeChange struct {
	size  int
	asked *atomic.Int64
}

func (c largeChange) Paths() []string { c.asked.Add(1); return []string{"spec"} }
func (c largeChange) Size() int       { return c.size }

// TestChangesAreReadLater notes calls that nobody asks for, until somebody does.
func TestChangesAreReadLater(t *testing.T) {
	h := New(4 << 20)
	log := h.Definition()
	var asked atomic.Int64
	call := func(i int) {
		log.Changed(object(i), largeChange{size: 1000, asked: &asked})
		add := full()
		add.Changed, add.By = nil, ""
		log.Add(object(i), log.Take(object(i)), &add)
	}
	for i := range maxEnded - 1 {
		call(i)
	}
	if asked.Load() != 0 {
		t.Errorf("%d changes are read before there are enough", asked.Load())
	}
	got := log.Handlings(object(maxEnded - 2))
	if len(got) != 1 || !slices.Equal(got[0].Changed, []string{"spec"}) || asked.Load() != maxEnded-1 {
		t.Errorf("asked for: %+v, %d changes are read", got, asked.Load())
	}
	for i := range maxEnded {
		call(i)
	}
	if asked.Load() != 2*maxEnded-1 {
		t.Errorf("%d changes are read when there are enough", asked.Load())
	}
	call(1)
	if stats := h.Stats(); stats.Objects != maxEnded || stats.Handlings != 2*maxEnded {
		t.Errorf("remembered: %+v", stats)
	}
}

// TestStatesAreBounded has changes of large objects, of which no more are kept than there is room
// for.
func TestStatesAreBounded(t *testing.T) {
	const limit, size = 4 << 20, 100_000
	h := New(limit)
	log := h.Definition()
	var asked atomic.Int64
	for i := range 100 {
		log.Changed(object(i), largeChange{size: size, asked: &asked})
	}
	if kept := 100 - asked.Load(); kept != limit/pendingShare/stateShare/size {
		t.Errorf("the states of %d calls to come are kept", kept)
	}
	if h.pending.Load() > limit/pendingShare {
		t.Errorf("%d bytes are noted", h.pending.Load())
	}
	for i := range 100 {
		cause := log.Take(object(i))
		if !slices.Equal(changedOf(cause), []string{"spec"}) {
			t.Fatalf("cause of call %d: %+v", i, cause)
		}
	}
	asked.Store(0)
	for i := range 50 {
		log.Changed(object(i), largeChange{size: size, asked: &asked})
		log.Add(object(i), log.Take(object(i)), new(full()))
		if kept := int64(i) + 1 - asked.Load(); kept > limit/pendingShare/stateShare/size {
			t.Fatalf("the states of %d calls that have ended are kept", kept)
		}
	}
	if h.pending.Load() != 0 {
		t.Errorf("%d bytes are noted", h.pending.Load())
	}
}

// TestCallsOfWhatIsGone has calls that are not yet read when their definition goes.
func TestCallsOfWhatIsGone(t *testing.T) {
	h := New(1 << 20)
	log, other := h.Definition(), h.Definition()
	add(log, object(1), full())
	add(other, object(1), full())
	log.Remove()
	if stats := h.Stats(); stats.Objects != 1 || stats.Handlings != 1 || len(other.Handlings(object(1))) != 1 || log.Handlings(object(1)) != nil {
		t.Errorf("remembered: %+v", stats)
	}
}
