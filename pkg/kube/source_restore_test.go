package kube

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"kooperd.dev/kooperd/pkg/status"
)

// TestSourceNoticesARestore has an API server that comes back with an older state, as after a
// restore from a backup: it would take the watch from the future and say nothing.
func TestSourceNoticesARestore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.send(watch.Added, pod("lost@150"))
		time.Sleep(time.Minute)
		r.takeEvents()
		r.edit(func() { r.noWatch = errRefused })
		r.hangUp()
		time.Sleep(time.Minute)
		r.takeStates()
		r.takeWatches()
		r.edit(func() { r.noWatch, r.version, r.pods = nil, 120, []string{"a@1", "back@110"} })
		time.Sleep(maxBackoff)
		synctest.Wait()
		expectEvents(t, r, "changed back", "deleted lost")
		expectStates(t, r, status.Running)
		if got := versions(r.takeWatches()); slices.Contains(got, "150") {
			t.Errorf("watches from %v, want none from the future", got)
		}
	}, func(r *rig) { r.pods = []string{"a@1"} })
}

// TestSourceAsksForVersionsAfterAFailureAlone has the end of a watch that every API server brings
// about.
func TestSourceAsksForVersionsAfterAFailureAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(5 * time.Minute)
		r.hangUp()
		time.Sleep(time.Minute)
		r.edit(func() {
			if r.probes != 0 {
				t.Errorf("asked for the newest version %d times, want 0", r.probes)
			}
			r.noWatch = errRefused
		})
		r.hangUp()
		time.Sleep(time.Minute)
		r.edit(func() {
			if r.probes == 0 {
				t.Error("not asked for the newest version after a failure")
			}
		})
	})
}

// TestUnansweredRequest has a request that obeys no context, as of a credential plugin that hangs.
func TestUnansweredRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		defer close(hangs)
		r := newRig(t, func(r *rig) {
			r.credentialPlugin = "plug.sh"
			r.hangs = hangs
		})
		time.Sleep(answerTimeout + time.Second)
		const want = `no answer from the API server for 10s; the credential plugin "plug.sh" of the kubeconfig may hang`
		if state, reason := r.stateAndReason(); state != status.Degraded || reason != want {
			t.Errorf("%s %q, want Degraded %q", state, reason, want)
		}
		r.stop()
		<-r.stopped // although the request has not returned
	})
}
