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

// failures keeps the objects of a definition whose last call failed.
type failures struct {
	mu      sync.Mutex
	objects map[kube.Key]failure
	last    kube.Key // the object that failed last
}

type failure struct {
	attempts  int
	exhausted bool // out of retries
	terminal  bool // a retry cannot mend it
	message   string
}

func (f failure) trouble() bool { return f.attempts >= persistent || f.exhausted || f.terminal }

func newFailures() *failures { return &failures{objects: map[kube.Key]failure{}} }

func (f *failures) add(key kube.Key, entry failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	const most = 256
	if entry.message = strings.Join(strings.Fields(entry.message), " "); len(entry.message) > most {
		entry.message = strings.ToValidUTF8(entry.message[:most], "") + "…"
	}
	f.objects[key] = entry
	f.last = key
}

// forget removes an object and reports whether it was there.
func (f *failures) forget(key kube.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.objects[key]
	delete(f.objects, key)
	return known
}

func (f *failures) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.objects)
}

func (f *failures) counts() (failing, exhausted int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, entry := range f.objects {
		if entry.exhausted {
			exhausted++
		}
	}
	return len(f.objects), exhausted
}

// describe says which objects are in trouble, or nothing.
func (f *failures) describe() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var failing, given int
	example, message := kube.Key{}, ""
	for key, entry := range f.objects {
		if !entry.trouble() {
			continue
		}
		if failing++; entry.exhausted || entry.terminal {
			given++
		}
		if message == "" || key == f.last {
			example, message = key, entry.message
		}
	}
	if failing == 0 {
		return ""
	}
	text := fmt.Sprintf("calls keep failing for %d object(s)", failing)
	if given > 0 {
		text += fmt.Sprintf(", %d of them not retried until they change", given)
	}
	return fmt.Sprintf("%s; %s: %s", text, telemetry.ObjectName(example.Namespace, example.Name), message)
}
