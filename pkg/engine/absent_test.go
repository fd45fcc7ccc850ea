package engine

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

// TestHeldObjectsThatAreGone has an object that waits for a kind which is not served, and is
// deleted meanwhile: nothing of it is kept.
func TestHeldObjectsThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.api.unsynced[secretKind], r.api.absent = true, map[schema.GroupVersionKind]bool{secretKind: true}
		r.start(r.composing("pods", nil, "Secret"))
		defer r.stop()
		r.api.settle(secretKind, status.Waiting, errComposing)
		time.Sleep(time.Second)
		held := func() []kube.Key {
			d := r.controllers["pods"].dispatcher.Load()
			d.held.mu.Lock()
			defer d.held.mu.Unlock()
			return slices.Collect(maps.Keys(d.held.keys))
		}
		if n := len(held()); n != 2 {
			t.Fatalf("%d objects are held, want 2", n)
		}
		r.api.remove(podKind, key(0))
		synctest.Wait()
		if keys := held(); !slices.Equal(keys, []kube.Key{key(1)}) {
			t.Errorf("held are %v, want what exists", keys)
		}
	})
}
