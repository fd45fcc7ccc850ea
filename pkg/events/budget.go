package events

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// ObjectBurst is how many events of one class an object may have at once, by a Budget.
	ObjectBurst = 10
	// ObjectEvery is after how long it may have another one.
	ObjectEvery = 6 * time.Minute
	// SharedBurst is how many events an object may have at once by a shared Budget, of warnings and
	// what ends them.
	SharedBurst = 9
	// SharedEvery is after how long it may have another one: that makes ten in any hour.
	SharedEvery = time.Hour
	// Burst is how many events of one class a definition may have at once.
	Burst = 100
	// Every is after how long it may have another one.
	Every = time.Second
)

// Budget limits the events of one definition. Each class, as that of warnings, has a limit of its
// own. An object that has had events leaves half of the definition's limit to those that had none.
// It is safe for concurrent use.
//
// In a shared one, all classes of an object but what is normal have one limit, so that a trouble
// that comes and goes all the time does not fill what people read of the object. Warnings leave
// room for one event that says what is over.
type Budget struct {
	burst  int // of an object
	every  time.Duration
	shared bool

	mu      sync.Mutex
	all     map[string]bucket            // by class
	objects map[string]map[string]bucket // by object and class
	swept   time.Time
}

// NewBudget returns one of which nothing is used.
func NewBudget() *Budget {
	return &Budget{burst: ObjectBurst, every: ObjectEvery, all: map[string]bucket{}, objects: map[string]map[string]bucket{}}
}

// NewSharedBudget returns a shared one of which nothing is used.
func NewSharedBudget() *Budget {
	b := NewBudget()
	b.burst, b.every, b.shared = SharedBurst, SharedEvery, true
	return b
}

// Take reports whether there may be an event of a class about an object, and counts it. One that is
// not urgent leaves half of the object's limit to those that are.
func (b *Budget) Take(object, class string, urgent bool, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep(now)
	ofObject := class
	if b.shared && class != corev1.EventTypeNormal {
		ofObject = ""
	}
	all, own := b.all[class].refilled(now, Every), b.objects[object][ofObject].refilled(now, b.every)
	mostOfAll := Burst
	if own.used > 0 {
		mostOfAll = Burst / 2
	}
	if all.used >= mostOfAll || own.used >= b.most(class, urgent) {
		return false
	}
	if b.objects[object] == nil {
		b.objects[object] = map[string]bucket{}
	}
	b.all[class], b.objects[object][ofObject] = all.taken(now), own.taken(now)
	return true
}

// most is how much of an object's limit may be used when there is an event of a class.
func (b *Budget) most(class string, urgent bool) int {
	switch {
	case !urgent:
		return b.burst / 2
	case b.shared && class == corev1.EventTypeWarning:
		return b.burst - 1
	default:
		return b.burst
	}
}

// Forget drops an object that is gone.
func (b *Budget) Forget(object string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, object)
}

// sweep forgets the objects that may have as many events as any. b.mu is held.
func (b *Budget) sweep(now time.Time) {
	if now.Sub(b.swept) < b.every {
		return
	}
	b.swept = now
	for object, classes := range b.objects {
		for class, own := range classes {
			if own.refilled(now, b.every).used == 0 {
				delete(classes, class)
			}
		}
		if len(classes) == 0 {
			delete(b.objects, object)
		}
	}
}

// bucket counts what is used of a limit. The zero bucket is full.
type bucket struct {
	used int // at that time
	at   time.Time
}

// refilled is the bucket now, with one token back after each interval.
func (b bucket) refilled(now time.Time, every time.Duration) bucket {
	if back := int(now.Sub(b.at) / every); b.used > 0 && back > 0 {
		b.used, b.at = max(b.used-back, 0), b.at.Add(time.Duration(back)*every)
	}
	return b
}

// taken is the bucket with one token less.
func (b bucket) taken(now time.Time) bucket {
	if b.used == 0 {
		b.at = now
	}
	b.used++
	return b
}
