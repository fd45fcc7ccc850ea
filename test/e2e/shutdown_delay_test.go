package e2e_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

const (
	delayBegins = "asked to stop: this replica leads and goes on working"
	drainBegins = "stopping: no new work, waiting for handler calls"
)

// stopUndelayed asks a process to stop and fails if it delays that. The delay is ten minutes.
func stopUndelayed(t *testing.T, p *daemon.Process, want int) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	if got := p.AwaitExit(t); got != want { // waits for a minute
		t.Errorf("exit status is %d, want %d", got, want)
	}
	if got := p.Lines(delayBegins); len(got) > 0 {
		t.Errorf("it was delayed: %v", got)
	}
}

// TestShutdownDelay asks a leader to stop. It goes on leading for longer than the lease lasts, and
// the standby gets the lease only when the delay is over.
func TestShutdownDelay(t *testing.T) {
	p := startPair(t, shortLease, "--shutdown-delay-duration=6s") // twice the lease
	p.leader.Signal(t, syscall.SIGTERM)
	p.leader.AwaitLog(t, delayBegins)
	over := p.leader.AwaitLog(t, "the shutdown delay is over")
	drain := p.leader.AwaitLog(t, drainBegins)
	if drain.Time.Before(over.Time) {
		t.Errorf("the drain began at %s, want it after the delay, which ended at %s", drain.Time, over.Time)
	}
	if got := p.leader.AwaitExit(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	released := p.leader.AwaitLog(t, "stopped leading; the lease is released")
	if led := p.standby.AwaitLog(t, "became leader"); led.Time.Before(drain.Time) {
		t.Errorf("the standby led at %s, want it after the drain of the leader, which began at %s and ended at %s",
			led.Time, drain.Time, released.Time)
	}
	p.await(t, p.standby, standbyName)
	assertNoOverlap(t, p.calls.spans(t), 0)
}

// TestShutdownDelayIsWork looks at a leader in its delay, which is not ready, but leads and handles
// what is new. The next signal ends the delay.
func TestShutdownDelayIsWork(t *testing.T) {
	p := startPair(t, longLease, "--shutdown-delay-duration=10m")
	p.leader.Signal(t, syscall.SIGTERM)
	p.leader.AwaitLog(t, delayBegins)
	for path, want := range map[string]int{"/readyz": 503, "/leaderz": 200, "/livez": 200} {
		if code, _ := p.leader.Get(t, "health", path); code != want {
			t.Errorf("%s in the delay is %d, want %d", path, code, want)
		}
	}
	createConfigMap(t, p.namespace, "new")
	p.leader.Await(t, "a call for a new object in the delay", func() bool {
		return slices.ContainsFunc(byReplica(p.calls.spans(t), leaderName), func(s span) bool {
			return s.object == p.namespace+"/new" && s.end != 0
		})
	})
	p.leader.Signal(t, syscall.SIGINT)
	p.leader.AwaitLog(t, "asked to stop again: the shutdown delay ends")
	if got := p.leader.AwaitExit(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	p.await(t, p.standby, standbyName)
	assertNoOverlap(t, p.calls.spans(t), 0)
}

func TestStandbyIsNotDelayed(t *testing.T) {
	p := startPair(t, longLease, "--shutdown-delay-duration=10m")
	stopUndelayed(t, p.standby, 0)
	if p.leader.Exited() {
		t.Error("the leader has stopped, too")
	}
}

// TestSignalsOfAWorkingLeader sends three: the second ends the delay and the calls under way may
// finish, the third ends the process. Without a delay the second does.
func TestSignalsOfAWorkingLeader(t *testing.T) {
	for name, delay := range map[string]string{"no delay": "0s", "delay": "10m"} {
		t.Run(name, func(t *testing.T) {
			ns, calls := shared.Namespace(t), newCallLog(t)
			createConfigMap(t, ns, "slow")
			p := daemon.Start(t, daemon.Options{
				Kubeconfig: shared.AdminKubeconfig(), Env: []string{"REPLICA=only"}, Args: []string{"--shutdown-delay-duration", delay},
				Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "signals", namespace: %q}
controllers: slow: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "e2e"}, handler: %s}`, ns, ns, calls.handler("300")),
			})
			p.Await(t, "the call", func() bool { return len(calls.spans(t)) == 1 })
			p.Signal(t, syscall.SIGTERM)
			if delay != "0s" {
				p.AwaitLog(t, delayBegins)
				p.Signal(t, syscall.SIGTERM)
			}
			p.AwaitLog(t, drainBegins)
			p.Signal(t, syscall.SIGTERM)
			if got := p.AwaitExit(t); got != -1 {
				t.Errorf("exit status is %d, want -1 for an end by the signal", got)
			}
		})
	}
}

// TestLostLeaseEndsTheDelay loses the lease in the delay. The exit status says so, unless the
// config lets a replica stand by after a loss.
func TestLostLeaseEndsTheDelay(t *testing.T) {
	for onLost, want := range map[string]int{"exit": 3, "standby": 0} {
		t.Run(onLost, func(t *testing.T) {
			ns := shared.Namespace(t)
			p := daemon.Start(t, daemon.Options{
				Kubeconfig: shared.AdminKubeconfig(), Args: []string{"--shutdown-delay-duration=10m"},
				Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "lost", namespace: %q, %s, onLost: %q}
controllers: only: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q]}, handler: log: {}}`, ns, longLease, onLost, ns),
			})
			p.AwaitLog(t, "object seen")
			p.Signal(t, syscall.SIGTERM)
			p.AwaitLog(t, delayBegins)
			shared.Kubectl(t, "patch", "lease", "lost", "-n", ns, "--type=merge",
				"-p", `{"spec":{"holderIdentity":"somebody-else","leaseDurationSeconds":3}}`)
			if got := p.AwaitExit(t); got != want {
				t.Errorf("exit status is %d, want %d", got, want)
			}
			if got := len(p.Lines("became leader")); got != 1 {
				t.Errorf("it became leader %d times, want once", got)
			}
		})
	}
}

// TestDelayIsForTheLease runs without leader election, and with it but with nothing under the
// lease.
func TestDelayIsForTheLease(t *testing.T) {
	ns := shared.Namespace(t)
	for name, tc := range map[string]struct{ definition, arg string }{
		"no leader election": {arg: "--leader-elect=false"},
		"every replica":      {definition: `leaderElection: "disabled"`, arg: "--leader-elect=true"},
	} {
		t.Run(name, func(t *testing.T) {
			p := daemon.Start(t, daemon.Options{
				Kubeconfig: shared.AdminKubeconfig(), Args: []string{"--shutdown-delay-duration=10m", tc.arg},
				Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "free", namespace: %q}
controllers: only: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q]}, handler: log: {}, %s}`, ns, ns, tc.definition),
			})
			p.AwaitLog(t, "object seen")
			stopUndelayed(t, p, 0)
		})
	}
}
