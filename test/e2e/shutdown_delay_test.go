package e2e_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/daemon"
)

const (
	delayBegins = "asked to stop: this replica leads and goes on working"
	drainBegins = "stopping: no new work, waiting for handler calls"
)

// stopSoon asks a process to stop and fails when that takes anything like a shutdown delay of ten minutes.
func stopSoon(t *testing.T, p *daemon.Process, want int) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	if got := p.AwaitExit(t); got != want { // waits for a minute
		t.Errorf("exit status is %d, want %d", got, want)
	}
	if got := p.Lines(delayBegins); len(got) > 0 {
		t.Errorf("it was delayed: %v", got)
	}
}

// TestShutdownDelay asks a leader to stop. For longer than the lease lasts it goes on leading and handles what is new; the
// standby gets the lease only after it.
func TestShutdownDelay(t *testing.T) {
	const delay = 6 * time.Second // twice the lease
	p := startPair(t, "--shutdown-delay-duration", delay.String())
	asked := time.Now()
	p.leader.Signal(t, syscall.SIGTERM)
	p.leader.AwaitLog(t, delayBegins)
	if code, _ := p.leader.Get(t, "health", "/readyz"); code != 503 {
		t.Errorf("/readyz in the delay is %d, want 503", code)
	}
	if code, _ := p.leader.Get(t, "health", "/leaderz"); code != 200 {
		t.Errorf("/leaderz in the delay is %d, want 200", code)
	}
	if code, _ := p.leader.Get(t, "health", "/livez"); code != 200 {
		t.Errorf("/livez in the delay is %d, want 200", code)
	}
	calls := func(replica, name string) bool {
		for _, s := range by(p.journal.spans(t), replica) {
			if s.object == p.namespace+"/"+name && s.end != 0 {
				return true
			}
		}
		return false
	}
	createConfigMap(t, p.namespace, "at-once")
	p.leader.Await(t, "a call for a new object in the delay", func() bool { return calls(leaderName, "at-once") })
	// Longer than the lease: it has been renewed.
	p.leader.Await(t, "most of the delay", func() bool { return time.Since(asked) > delay-time.Second })
	if p.leader.Exited() || len(p.leader.Lines(drainBegins)) > 0 || len(p.standby.Lines("became leader")) > 0 {
		t.Fatalf("the leader has not waited for the delay:\n%s", p.leader.Tail(10))
	}
	drain := p.leader.AwaitLog(t, drainBegins)
	if took := drain.Time.Sub(asked); took < delay || took > delay+2*time.Second {
		t.Errorf("the drain began %s after SIGTERM, want %s", took, delay)
	}
	if got := p.leader.AwaitExit(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	took := p.standby.AwaitLog(t, "became leader")
	if took.Time.Before(drain.Time) || took.Time.Sub(p.leader.Ended()) > 2*time.Second {
		t.Errorf("the standby led at %s, want it at the end of the leader at %s", took.Time, p.leader.Ended())
	}
	p.await(t, p.standby, standbyName)
	assertNoOverlap(t, p.journal.spans(t), 0)
}

func TestStandbyIsNotDelayed(t *testing.T) {
	p := startPair(t, "--shutdown-delay-duration=10m")
	stopSoon(t, p.standby, 0)
	if p.leader.Exited() {
		t.Error("the leader has stopped, too")
	}
}

func TestSecondSignalEndsTheDelay(t *testing.T) {
	p := startPair(t, "--shutdown-delay-duration=10m")
	p.leader.Signal(t, syscall.SIGTERM)
	p.leader.AwaitLog(t, delayBegins)
	p.leader.Signal(t, syscall.SIGINT)
	if got := p.leader.AwaitExit(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	p.leader.AwaitLog(t, "asked to stop again: the shutdown delay ends")
	p.await(t, p.standby, standbyName)
	assertNoOverlap(t, p.journal.spans(t), 0)
}

// TestSignalsOfAWorkingLeader sends three: the second ends the delay and the calls under way may finish, the third ends the
// process. Without a delay the second does.
func TestSignalsOfAWorkingLeader(t *testing.T) {
	for name, delay := range map[string]string{"no delay": "0s", "delay": "10m"} {
		t.Run(name, func(t *testing.T) {
			ns, j := shared.Namespace(t), newJournal(t)
			createConfigMap(t, ns, "slow")
			p := daemon.Start(t, daemon.Options{
				Kubeconfig: shared.AdminKubeconfig(), Env: []string{"REPLICA=only"}, Args: []string{"--shutdown-delay-duration", delay},
				Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "signals", namespace: %q}
controllers: slow: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "e2e"}, handler: %s}`, ns, ns, j.handler("300")),
			})
			p.Await(t, "the call", func() bool { return len(j.spans(t)) == 1 })
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

// TestLostLeaseEndsTheDelay: that leadership was lost counts more than that a stop was asked for, unless the config takes
// a loss for nothing special.
func TestLostLeaseEndsTheDelay(t *testing.T) {
	for onLost, want := range map[string]int{"exit": 3, "standby": 0} {
		t.Run(onLost, func(t *testing.T) {
			ns := shared.Namespace(t)
			p := daemon.Start(t, daemon.Options{
				Kubeconfig: shared.AdminKubeconfig(), Args: []string{"--shutdown-delay-duration=10m"},
				Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "lost", namespace: %q, leaseDuration: "3s", renewDeadline: "2s", retryPeriod: "500ms", onLost: %q}
controllers: only: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q]}, handler: log: {}}`, ns, onLost, ns),
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

// TestDelayIsForTheLease runs without leader election, and with it but with nothing under the lease.
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
			stopSoon(t, p, 0)
		})
	}
}
