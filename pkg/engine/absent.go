package engine

import (
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/status"
)

// heldKeys are objects that wait until every kind is served that the calls depend on. It is safe
// for concurrent use.
type heldKeys struct {
	mu   sync.Mutex
	keys map[kube.Key]queue.Priority // nil while none waits
}

// hold keeps a key until every cache has been complete.
func (d *dispatcher) hold(item queue.Item[kube.Key]) {
	d.held.mu.Lock()
	defer d.held.mu.Unlock()
	if d.held.keys == nil {
		d.held.keys = map[kube.Key]queue.Priority{}
		d.running.Go(d.releaseHeld)
	}
	d.held.keys[item.Key] = item.Priority
}

// drop lets go of an object that is gone.
func (h *heldKeys) drop(key kube.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.keys, key)
}

// releaseHeld puts the keys back when every cache has been complete.
func (d *dispatcher) releaseHeld() {
	again := time.NewTicker(listedInterval)
	defer again.Stop()
	for !d.revision.watches.listed() {
		select {
		case <-again.C:
		case <-d.phases.taking.Done():
			return
		}
	}
	d.held.mu.Lock()
	keys := d.held.keys
	d.held.keys = nil
	d.held.mu.Unlock()
	for key, priority := range keys {
		d.queue.Add(key, priority)
	}
}

// listedButAbsent reports whether every cache has been complete but those of kinds that are not
// served. The first one is that of the objects which are handled, and always has to be.
func (s *watchSet) listedButAbsent() bool {
	for i := range s.watches {
		if source := s.watches[i].source; !source.Listed() {
			if state, _ := source.Status(); i == 0 || state != status.Waiting {
				return false
			}
		}
	}
	return true
}
