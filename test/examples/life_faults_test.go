package examples_test

import (
	"syscall"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

// fault is what happens to the process that leads, in the middle of what a change causes.
type fault string

const (
	// none is nothing.
	none fault = ""
	// terminated is a clean stop and another start.
	terminated fault = "SIGTERM"
	// killed is the start of another process in the same pod.
	killed fault = "kill -9"
	// replaced is the death of the leader beside another replica, which takes the lease when it has
	// expired.
	replaced fault = "failover"
)

// usualFaults are those of the steps without -conformance, one after the other.
var usualFaults = []fault{killed, none, replaced, terminated}

// suffer makes the change of a step, with a fault after the n-th write that it causes, and waits
// for the end. It reports whether there were that many.
func (r *resident) suffer(t *testing.T, s step, f fault, n int) bool {
	t.Helper()
	if f == none {
		r.person(t, s)
		r.arrive(t, s)
		return false
	}
	var standby *daemon.Process
	if f == replaced {
		standby = r.launch(t, r.nextPod())
		standby.AwaitReady(t)
	}
	reached := r.cutter.Arm(n)
	r.person(t, s)
	hit := r.arriveUnless(t, reached, s) || r.settleUnless(t, reached)
	switch {
	case !hit:
		t.Logf("%s: it has fewer than %d writes", s.name, n)
	case f == terminated:
		r.leader.Signal(t, syscall.SIGTERM)
		r.leader.AwaitLog(t, "stopping: no new work, waiting for handler calls")
		r.cutter.Release()
		r.ended(t)
		r.start(t)
	default:
		r.leader.Signal(t, syscall.SIGKILL)
		r.leader.AwaitExit(t)
	}
	r.cutter.Release()
	switch {
	case hit && f == killed:
		r.start(t)
	case hit && f == replaced:
		r.lead(t, standby)
	case standby != nil && standby.Stop(t) != 0:
		t.Error("the standby has not stopped cleanly")
	}
	r.arrive(t, s)
	return hit
}
