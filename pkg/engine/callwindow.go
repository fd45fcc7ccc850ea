package engine

import (
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

const (
	// windowSlot is how much time one slot of a window has, and windowSlots how many there are. The
	// slot of this moment is one of them, so the window is between nine and ten slots long.
	windowSlot  = 30 * time.Second
	windowSlots = 10
)

// callBounds are the upper ends of the buckets of a window, in seconds. What takes longer is in one
// more.
var callBounds = [...]float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300,
}

// callWindow counts the calls of a definition in the last minutes. It has a fixed size. It is safe
// for concurrent use.
type callWindow struct {
	mu    sync.Mutex
	begun time.Time
	slots [windowSlots]callSlot // a ring
}

// callSlot are the calls that have ended in one slot of time.
type callSlot struct {
	number    int64 // of the slot, counted from begun
	failed    int
	throttled int
	buckets   [len(callBounds) + 1]int
}

func newCallWindow() *callWindow { return &callWindow{begun: time.Now()} }

// add counts a call that has ended. throttled is how many of its requests the API server has put
// off.
func (w *callWindow) add(took time.Duration, failed bool, throttled int) {
	at := 0
	for at < len(callBounds) && took.Seconds() > callBounds[at] {
		at++
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	number := int64(time.Since(w.begun) / windowSlot)
	slot := &w.slots[number%windowSlots]
	if slot.number != number {
		*slot = callSlot{number: number}
	}
	slot.buckets[at]++
	slot.throttled += throttled
	if failed {
		slot.failed++
	}
}

// read returns the calls in the window, and how many requests were put off.
func (w *callWindow) read() (calls statusz.Calls, throttled int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := time.Since(w.begun)
	now := int64(since / windowSlot)
	first := max(now-windowSlots+1, 0)
	calls.Window = statusz.Seconds((since - time.Duration(first)*windowSlot).Seconds())
	var buckets [len(callBounds) + 1]int
	for i := range w.slots {
		slot := &w.slots[i]
		if slot.number < first {
			continue
		}
		for at, n := range slot.buckets {
			buckets[at] += n
			calls.Total += n
		}
		calls.Failed += slot.failed
		throttled += slot.throttled
	}
	calls.P50, calls.P99 = bucketQuantile(buckets[:], calls.Total, 0.5), bucketQuantile(buckets[:], calls.Total, 0.99)
	return calls, throttled
}

// bucketQuantile returns the middle of the bucket in which a quantile is, and the lower end of the
// last one; 0 without calls.
func bucketQuantile(buckets []int, total int, q float64) statusz.Seconds {
	seen := 0
	for at, n := range buckets {
		if seen += n; n == 0 || float64(seen) < q*float64(total) {
			continue
		}
		lower := 0.0
		if at > 0 {
			lower = callBounds[at-1]
		}
		if at == len(callBounds) {
			return statusz.Seconds(lower)
		}
		return statusz.Seconds((lower + callBounds[at]) / 2)
	}
	return 0
}
