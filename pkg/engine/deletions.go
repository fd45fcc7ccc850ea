package engine

import (
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// deletions are the deleted objects of a definition that a finalizer of it keeps although the last
// call has not failed: what their clean-up waits for is not gone yet. Every method but waiting
// costs the same for any number of them. It is safe for concurrent use.
type deletions struct {
	mu    sync.Mutex
	since map[kube.Key]time.Time // when they were deleted
}

// add notes an object that waits.
func (d *deletions) add(key kube.Key, since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since == nil {
		d.since = map[kube.Key]time.Time{}
	}
	d.since[key] = since
}

// drop forgets one that waits no longer.
func (d *deletions) drop(key kube.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if delete(d.since, key); len(d.since) == 0 {
		d.since = nil // A map never shrinks.
	}
}

func (d *deletions) has(key kube.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, waits := d.since[key]
	return waits
}

// clear forgets all: those that still wait are noted again by their next calls.
func (d *deletions) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = nil
}

// waiting returns how many there are, and how long ago the first of them was deleted.
func (d *deletions) waiting() (objects int, longest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, since := range d.since {
		longest = max(longest, time.Since(since))
	}
	return len(d.since), longest
}

// deletedBy returns when an object was deleted that one of these finalizers keeps; false if none
// does.
func deletedBy(obj handlers.Object, finalizers []string) (at time.Time, kept bool) {
	m := obj.Metadata()
	if m.DeletionTimestamp == nil || !hasOneOf(m, finalizers) {
		return time.Time{}, false
	}
	return m.DeletionTimestamp.Time, true
}

func hasOneOf(m *metav1.ObjectMeta, finalizers []string) bool {
	return slices.ContainsFunc(finalizers, func(name string) bool { return name != "" && hasFinalizer(m, name) })
}

// seeDeletion takes an event of an object that is handled: a finalizer that is gone keeps nothing.
func (r *revision) seeDeletion(e kube.Event) {
	if !r.objects.deletions.has(e.Key) {
		return
	}
	if now := e.Now(); now != nil {
		if _, kept := deletedBy(now, r.finalizers()); !kept {
			r.objects.deletions.drop(e.Key)
		}
	}
}

// finalizers are those that the revision puts into its objects; see finalizersOf.
func (r *revision) finalizers() []string {
	if r.composing == nil {
		return []string{r.def.Finalizer}
	}
	return r.composing.controller.finalizersOf(r.def)
}

// noteDeletion notes after a call whether its object is deleted and waits. The failed ones are
// counted as such. An event may have come meanwhile, so the cache is looked at afterwards.
func (r *reconciler) noteDeletion(key kube.Key, handled handlers.Object, err error) {
	if r.finalizer == "" && !r.composes {
		return
	}
	_, putOff := handlers.RetryDelay(err)
	since, kept := deletedBy(handled, r.finalizers)
	if !kept || err != nil && !putOff {
		r.objects.deletions.drop(key)
		return
	}
	r.objects.deletions.add(key, since)
	now, there := r.cached(key)
	if there {
		_, there = deletedBy(now, r.finalizers)
	}
	if !there {
		r.objects.deletions.drop(key)
	}
}
