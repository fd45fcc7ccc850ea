package engine

import (
	"container/list"
	"fmt"
	"strings"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// persistent is how many failures in a row make a definition Degraded: of calls for one object, or
// of evaluations. Single ones, such as conflicts, are normal.
const persistent = 3

// lasting is how long an object has failed when its failures are no passing ones any more, whatever
// comes then: what keeps failing for that long has had an alert of its own.
const lasting = 15 * time.Minute

// failures keeps the objects of a definition whose last call failed. Every method costs the same
// for any number of them: they run at each failure, and at each deletion on a goroutine of the
// source.
type failures struct {
	mu        sync.Mutex
	objects   map[kube.Key]*failingObject
	order     *list.List              // of all *failingObject, by when the first call failed
	stopped   *list.List              // of those that are abandoned, by since when
	troubles  map[kube.Key]struct{}   // the objects that make the definition Degraded
	by        map[telemetry.Cause]int // how many of troubles have a cause
	exhausted int                     // objects that are out of retries
	abandoned int                     // objects that are not retried until they change
	last      kube.Key                // the latest of troubles, or the one that stands for them since
	outage    outage
	passed    func(calls int) // is told how many failures of an object were passing ones
}

// outage is what keeps the calls for all objects from their work.
type outage struct {
	message string // empty when the last call that could meet one has met none
	objects int    // whose last call has met one
}

type failure struct {
	attempts  int  // failed calls in a row that were neither an outage nor put off
	exhausted bool // out of retries
	terminal  bool // a retry would not help
	outage    bool // it is not about the object
	asked     bool // the call has reached what an outage is of
	putOff    bool // the handler has said when to come back
	refused   bool // it is about single children or patches, which are counted as refused
	stays     bool // the API server refuses the same again, unless something changes
	forbidden bool // a right is missing
	message   string
	since     time.Time // of the first failure in a row
	stopped   time.Time // since when it is abandoned; zero if it is not
}

// failingObject is one whose last call failed.
type failingObject struct {
	failure
	key     kube.Key
	place   *list.Element
	stopped *list.Element // nil if it is not abandoned
}

func (f failure) abandoned() bool { return f.exhausted || f.terminal }
func (f failure) trouble() bool {
	return f.attempts >= persistent && !f.outage && !f.putOff || f.abandoned()
}

// cause is why an object in trouble makes the definition Degraded. CauseRights stands for a right
// that is missing by the API server's word; whether it is known which one, is another matter.
func (f failure) cause() telemetry.Cause {
	switch {
	case f.exhausted:
		return telemetry.CauseOutOfRetries
	case f.refused:
		return telemetry.CauseRefused
	case f.forbidden:
		return telemetry.CauseRights
	default:
		return telemetry.CauseFailing
	}
}

// passing is how many failed calls were passing ones if the object fails no longer. What was put
// off is counted at once. None were if something was in the way that has an alert of its own:
// counted when it is mended, they would look like another fault.
func (f failure) passing() int {
	switch {
	case f.outage, f.exhausted, time.Since(f.since) >= lasting:
		return 0
	case f.putOff:
		return max(0, f.attempts-1)
	case f.stays:
		return 0
	default:
		return f.attempts
	}
}

func newFailures() *failures {
	return &failures{
		objects: map[kube.Key]*failingObject{}, order: list.New(), stopped: list.New(), troubles: map[kube.Key]struct{}{}, by: map[telemetry.Cause]int{},
		passed: func(int) {},
	}
}

func (f *failures) add(key kube.Key, entry failure) {
	const most = 256
	if entry.message = strings.Join(strings.Fields(entry.message), " "); len(entry.message) > most {
		entry.message = strings.ToValidUTF8(entry.message[:most], "") + "…"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	object := f.objects[key]
	if object == nil {
		entry.since = time.Now().UTC()
		object = &failingObject{key: key}
		object.place, f.objects[key] = f.order.PushBack(object), object
	} else { // It keeps its place.
		entry.since = object.since
		f.leave(object)
	}
	f.stop(object, &entry)
	object.failure = entry
	f.count(entry, 1)
	switch {
	case entry.outage:
		f.outage.message = entry.message
	case entry.asked:
		f.outage.message = ""
	}
	if entry.trouble() {
		f.troubles[key] = struct{}{}
		f.by[entry.cause()]++
		f.last = key
	}
}

// stop notes since when an object is abandoned, if it is now.
func (f *failures) stop(object *failingObject, entry *failure) {
	switch {
	case !entry.abandoned():
		f.resume(object)
	case object.stopped != nil:
		entry.stopped = object.failure.stopped
	default:
		entry.stopped = time.Now().UTC()
		object.stopped = f.stopped.PushBack(object)
	}
}

// resume notes that an object is not abandoned any more.
func (f *failures) resume(object *failingObject) {
	if object.stopped != nil {
		f.stopped.Remove(object.stopped)
		object.stopped = nil
	}
}

// forget removes an object that is gone and reports whether it was there.
func (f *failures) forget(key kube.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed(f.entry(key).passing())
	return f.remove(key)
}

// worked notes a call that has not failed, and reports whether that changes anything. A call that
// has not asked what an outage is of does not end one.
func (f *failures) worked(key kube.Key, asked bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed(f.entry(key).passing())
	ended := asked && f.outage.message != ""
	if ended {
		f.outage.message = ""
	}
	return f.remove(key) || ended
}

func (f *failures) remove(key kube.Key) bool {
	object, known := f.objects[key]
	if known {
		delete(f.objects, key)
		f.order.Remove(object.place)
		f.resume(object)
		f.leave(object)
	}
	return known
}

// leave takes the failure of an object out of what is counted.
func (f *failures) leave(object *failingObject) {
	if _, trouble := f.troubles[object.key]; trouble {
		delete(f.troubles, object.key)
		f.by[object.cause()]--
	}
	f.count(object.failure, -1)
}

// entry is the failure of an object; zero if its last call has not failed.
func (f *failures) entry(key kube.Key) failure {
	if object := f.objects[key]; object != nil {
		return object.failure
	}
	return failure{}
}

func (f *failures) count(entry failure, by int) {
	if entry.exhausted {
		f.exhausted += by
	}
	if entry.abandoned() {
		f.abandoned += by
	}
	if !entry.outage {
		return
	}
	if f.outage.objects += by; f.outage.objects == 0 {
		f.outage.message = "" // Nothing is left that would show its end.
	}
}

// retain forgets all objects but those of which exists is true.
func (f *failures) retain(exists func(kube.Key) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range f.objects {
		if !exists(key) {
			f.remove(key)
		}
	}
}

func (f *failures) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.objects)
	clear(f.troubles)
	clear(f.by)
	f.order.Init()
	f.stopped.Init()
	f.exhausted, f.abandoned, f.outage = 0, 0, outage{}
}

func (f *failures) counts() (failing, exhausted int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.objects), f.exhausted
}

// given returns how many objects are abandoned.
func (f *failures) given() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.abandoned
}

// causes are why the objects in trouble are that, in the order of telemetry.Causes.
func (f *failures) causes() (causes []telemetry.Cause) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, cause := range telemetry.Causes() {
		if f.by[cause] > 0 {
			causes = append(causes, cause)
		}
	}
	return causes
}

// any reports whether there are any.
func (f *failures) any() bool {
	failing, exhausted := f.counts()
	return failing+exhausted > 0
}

// unavailable says what keeps the calls for all objects from their work, or nothing.
func (f *failures) unavailable() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.outage.message
}

// describe says how many objects are in trouble, with one for an example, or nothing.
func (f *failures) describe() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.troubles) == 0 {
		return ""
	}
	if _, still := f.troubles[f.last]; !still {
		for f.last = range f.troubles {
			break // any one, and the same next time
		}
	}
	text := fmt.Sprintf("calls keep failing for %d object(s)", len(f.troubles))
	if f.abandoned > 0 {
		text += fmt.Sprintf(", %d of them not retried until they change", f.abandoned)
	}
	return fmt.Sprintf("%s; %s: %s", text, telemetry.ObjectName(f.last.Namespace, f.last.Name), f.objects[f.last].message)
}

// of returns the failure of an object, if its last call failed.
func (f *failures) of(key kube.Key) (failure, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.objects[key]
	return f.entry(key), ok
}

// oldest returns the objects that are abandoned, those that are so for the longest time first, and
// then the others, those that began to fail first: at most so many, up to the first of which wanted
// is false. It looks at few others, since calls wait for it.
func (f *failures) oldest(most int, wanted func(givenUp bool, since time.Time) bool) (oldest []failingObject) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at := f.stopped.Front(); at != nil; at = at.Next() {
		object, ok := at.Value.(*failingObject)
		if !ok || len(oldest) == most || !wanted(true, object.failure.stopped) {
			return oldest
		}
		oldest = append(oldest, *object)
	}
	// All that are abandoned are among the oldest, so they are few.
	for at := f.order.Front(); at != nil && len(oldest) < most; at = at.Next() {
		object, ok := at.Value.(*failingObject)
		if ok && object.stopped != nil {
			continue
		}
		if !ok || !wanted(false, object.since) {
			break
		}
		oldest = append(oldest, *object)
	}
	return oldest
}
