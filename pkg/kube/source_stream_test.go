package kube

import (
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"kooperd.dev/kooperd/pkg/status"
)

// In the real minute, and with a watch that is otherwise alive: changes alone must not keep the
// deadline off.
func TestSlowStreamIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for range 5 {
			time.Sleep(10 * time.Second)
			r.send(watch.Modified, pod("a@120"))
		}
		synctest.Wait()
		expectStates(t, r)
		time.Sleep(streamingListDeadline - 50*time.Second - time.Millisecond)
		if len(r.takeLists()) != 0 {
			t.Error("listed before the deadline")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		expectStates(t, r, status.Running)
		expectEvents(t, r, "listed a")
		if n := r.metric("kooperd_source_lists_total"); n != 1 {
			t.Errorf("%v lists are counted, want 1", n)
		}
	}, func(r *rig) { r.pods, r.noMark = []string{"a@1"}, true })
}

// A streaming list that breaks off is begun again by the reflector without a pause; the source
// makes one, and the deadline holds for all of them.
func TestBrokenStreamsArePaced(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(streamingListDeadline + time.Second)
		streams := 0
		for _, opts := range r.takeWatches() {
			if opts.SendInitialEvents != nil {
				streams++
			}
		}
		if streams > 20 {
			t.Errorf("%d streaming lists were begun in a minute", streams)
		}
		r.edit(func() { r.cut = false })
		time.Sleep(2 * maxBackoff)
		r.send(watch.Bookmark, r.bookmark(nil))
		synctest.Wait()
		if state, reason := r.stateAndReason(); state != status.Running {
			t.Errorf("status %s: %s", state, reason)
		}
	}, func(r *rig) { r.pods, r.noMark, r.cut = []string{"a@1"}, true, true })
}

// A streaming list that breaks off with an error is followed by a plain one within the same
// attempt, which has all the time it needs, and is no success before a watch follows it.
func TestListAfterABrokenStream(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(3*streamingListDeadline + time.Second)
		if n := len(r.takeLists()); n != 1 {
			t.Errorf("%d lists were made, want one", n)
		}
		expectEvents(t, r, "listed a")
		expectStates(t, r, status.Degraded, status.Running) // The API server was silent for a while.
	}, func(r *rig) {
		r.pods, r.slow = []string{"a@1"}, 3*streamingListDeadline
		r.broken = apierrors.NewBadRequest("the stream is broken")
	})
	inBubble(t, func(t *testing.T, r *rig) {
		r.edit(func() { r.noWatch = errForbidden })
		time.Sleep(time.Minute)
		expectEvents(t, r, "listed a")
		expectStates(t, r, status.Degraded)
	}, func(r *rig) {
		r.pods, r.slow = []string{"a@1"}, time.Second
		r.broken = apierrors.NewBadRequest("the stream is broken")
	})
}
