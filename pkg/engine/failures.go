package engine

import (
	"fmt"
	"strings"
	"sync"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// persistent is how many calls in a row have to fail for an object before that is a trouble of the definition: single
// failures, such as conflicts, are everyday life.
const persistent = 3

// failures keeps the objects of a definition whose last call failed. Everything it is asked costs the same however many
// they are, as it is asked at every failure, and at every deletion on a goroutine that definitions share.
type failures struct {
	mu        sync.Mutex
	objects   map[kube.Key]failure
	troubles  map[kube.Key]struct{} // those of objects that are in trouble
	exhausted int                   // those of objects that are out of retries
	given     int                   // those of objects that are not retried at all
	last      kube.Key              // the object that got into trouble last
}

type failure struct {
	attempts  int
	exhausted bool // out of retries
	terminal  bool // a retry cannot mend it
	message   string
}

func (f failure) given() bool   { return f.exhausted || f.terminal }
func (f failure) trouble() bool { return f.attempts >= persistent || f.given() }

func newFailures() *failures {
	return &failures{objects: map[kube.Key]failure{}, troubles: map[kube.Key]struct{}{}}
}

func (f *failures) add(key kube.Key, entry failure) {
	const most = 256
	if entry.message = strings.Join(strings.Fields(entry.message), " "); len(entry.message) > most {
		entry.message = strings.ToValidUTF8(entry.message[:most], "") + "…"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(key)
	f.objects[key] = entry
	f.count(entry, 1)
	if entry.trouble() {
		f.troubles[key] = struct{}{}
		f.last = key
	}
}

// forget removes an object and reports whether it was there.
func (f *failures) forget(key kube.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.remove(key)
}

func (f *failures) remove(key kube.Key) bool {
	entry, known := f.objects[key]
	if known {
		delete(f.objects, key)
		delete(f.troubles, key)
		f.count(entry, -1)
	}
	return known
}

func (f *failures) count(entry failure, by int) {
	if entry.exhausted {
		f.exhausted += by
	}
	if entry.given() {
		f.given += by
	}
}

func (f *failures) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.objects)
	clear(f.troubles)
	f.exhausted, f.given = 0, 0
}

func (f *failures) counts() (failing, exhausted int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.objects), f.exhausted
}

// describe says how many objects are in trouble, with one for an example, or nothing.
func (f *failures) describe() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.troubles) == 0 {
		return ""
	}
	example := f.last
	if _, still := f.troubles[example]; !still {
		for example = range f.troubles {
			break // any one
		}
	}
	text := fmt.Sprintf("calls keep failing for %d object(s)", len(f.troubles))
	if f.given > 0 {
		text += fmt.Sprintf(", %d of them not retried until they change", f.given)
	}
	return fmt.Sprintf("%s; %s: %s", text, telemetry.ObjectName(example.Namespace, example.Name), f.objects[example].message)
}
