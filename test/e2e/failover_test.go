package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/daemon"
)

// pair are two replicas of one config with three definitions under one lease.
type pair struct {
	namespace string
	calls     callLog
	leader    *daemon.Process
	standby   *daemon.Process
}

const leaderName, standbyName = "first", "second"

var allDefinitions = []string{"alpha", "beta", "gamma"}

// The leases of pairs. One is short where its end is waited for. Everywhere else it lasts for as
// long as a machine may stand still.
const (
	shortLease = `leaseDuration: "3s", renewDeadline: "2s", retryPeriod: "500ms"`
	longLease  = `leaseDuration: "20s", renewDeadline: "15s", retryPeriod: "500ms"`
)

// startPair starts both with a lease and further arguments, and waits until the first one works and
// the second one could.
func startPair(t *testing.T, lease string, args ...string) pair {
	t.Helper()
	p := pair{namespace: shared.Namespace(t), calls: newCallLog(t)}
	config := fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "pair", namespace: %q, %s}
for name in ["alpha", "beta", "gamma"] {
	controllers: (name): {
		watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "e2e"}
		mode: "concurrent", workers: 2
		handler: %s
	}
}
`, p.namespace, lease, p.namespace, p.calls.handler("0.05"))
	for i := range 4 {
		createConfigMap(t, p.namespace, fmt.Sprintf("object-%d", i))
	}
	start := func(replica string) *daemon.Process {
		return daemon.Start(t, daemon.Options{
			Config: config, Kubeconfig: shared.AdminKubeconfig(), Env: []string{"REPLICA=" + replica}, Args: args,
		})
	}
	p.leader = start(leaderName)
	p.leader.AwaitLog(t, "became leader")
	p.standby = start(standbyName)
	p.standby.AwaitReady(t)
	p.await(t, p.leader, leaderName)
	return p
}

// await waits until a replica has finished calls of every definition for every object.
func (p pair) await(t *testing.T, process *daemon.Process, replica string) {
	t.Helper()
	process.Await(t, "calls of every definition for every object by "+replica, func() bool {
		done := slices.DeleteFunc(byReplica(p.calls.spans(t), replica), func(s span) bool { return s.end == 0 })
		return !slices.ContainsFunc(allDefinitions, func(d string) bool { return countObjects(done, d) < 4 })
	})
}

func createConfigMap(t *testing.T, namespace, name string) {
	t.Helper()
	shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, labels: {e2e: \"true\"}}\n", name, namespace))
}

func TestOnlyTheLeaderWorks(t *testing.T) {
	p := startPair(t, longLease)
	if code, _ := p.leader.Get(t, "health", "/leaderz"); code != 200 {
		t.Errorf("/leaderz of the leader is %d, want 200", code)
	}
	if code, _ := p.standby.Get(t, "health", "/leaderz"); code != 503 {
		t.Errorf("/leaderz of the standby is %d, want 503", code)
	}
	if got := byReplica(p.calls.spans(t), standbyName); len(got) > 0 {
		t.Errorf("the standby has handled %d objects, want none", len(got))
	}
	if got := p.standby.Stop(t); got != 0 {
		t.Errorf("exit status of the stopped standby is %d, want 0", got)
	}
	if got := byReplica(p.calls.spans(t), standbyName); len(got) > 0 {
		t.Errorf("the stopping standby has handled %d objects, want none", len(got))
	}
}

func TestFailoverAfterKill(t *testing.T) {
	p := startPair(t, shortLease)
	p.leader.Signal(t, syscall.SIGKILL)
	p.leader.AwaitExit(t)
	killed := time.Now().UnixNano()
	p.await(t, p.standby, standbyName)
	spans := p.calls.spans(t)
	assertNoOverlap(t, spans, killed)
	if diff := cmp.Diff(allDefinitions, definitionNames(byReplica(spans, standbyName))); diff != "" {
		t.Errorf("definitions of the new leader (-want +got):\n%s", diff)
	}
	if got := p.standby.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}

func TestFailoverAfterStop(t *testing.T) {
	p := startPair(t, longLease)
	before := time.Now()
	if got := p.leader.Stop(t); got != 0 {
		t.Errorf("exit status of the stopped leader is %d, want 0", got)
	}
	p.standby.AwaitLog(t, "became leader")
	t.Logf("the standby led %s after SIGTERM", time.Since(before).Round(time.Millisecond))
	p.await(t, p.standby, standbyName)
	assertNoOverlap(t, p.calls.spans(t), 0)
}

// TestStopFinishesCallsFirst stops a leader in the middle of long calls: they finish, and only then
// is the lease free.
func TestStopFinishesCallsFirst(t *testing.T) {
	ns, calls := shared.Namespace(t), newCallLog(t)
	createConfigMap(t, ns, "slow")
	p := daemon.Start(t, daemon.Options{
		Kubeconfig: shared.AdminKubeconfig(), Env: []string{"REPLICA=only"},
		Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "drain", namespace: %q, leaseDuration: "3s", renewDeadline: "2s", retryPeriod: "500ms"}
controllers: slow: {
	watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "e2e"}
	handler: %s
}`, ns, ns, calls.program(`until [ -e "$CALL_LOG.end" ]; do sleep 0.1; done`)),
	})
	p.Await(t, "the call", func() bool { return len(calls.spans(t)) == 1 })
	asked := time.Now()
	p.Signal(t, syscall.SIGTERM)
	p.AwaitLog(t, "stopping: no new work, waiting for handler calls")
	if code, body := p.Get(t, "health", "/readyz"); code != 503 || !strings.Contains(body, "shutting down") {
		t.Errorf("/readyz while draining is %d %q, want 503 and shutting down", code, body)
	}
	p.Await(t, "a renewal when the lease would have ended", func() bool {
		lease, err := shared.Client().CoordinationV1().Leases(ns).Get(t.Context(), "drain", metav1.GetOptions{})
		return err == nil && lease.Spec.RenewTime != nil && lease.Spec.RenewTime.Sub(asked) > 3*time.Second
	})
	write(t, calls.path+".end", "")
	if got := p.AwaitExit(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	released := time.Now().UnixNano()
	spans := calls.spans(t)
	if len(spans) != 1 || spans[0].end == 0 || spans[0].end > released {
		t.Errorf("calls are %+v, want one that has ended before the exit at %d", spans, released)
	}
	if holder := shared.Kubectl(t, "get", "lease", "drain", "-n", ns, "-o", "jsonpath={.spec.holderIdentity}"); holder != "" {
		t.Errorf("holder of the lease after the exit is %q, want none", holder)
	}
}

// TestFrozenLeader stops the leader's process for longer than the lease. When it goes on it must
// notice at once that its time is over: no call begins any more, and it ends with status 3.
func TestFrozenLeader(t *testing.T) {
	p := startPair(t, shortLease)
	p.leader.Signal(t, syscall.SIGSTOP)
	p.await(t, p.standby, standbyName)
	// Work for the frozen leader to fall for when it wakes up.
	for i := range 4 {
		createConfigMap(t, p.namespace, fmt.Sprintf("late-%d", i))
	}
	woken := time.Now().UnixNano()
	p.leader.Signal(t, syscall.SIGCONT)
	if got := p.leader.AwaitExit(t); got != 3 {
		t.Errorf("exit status of the woken leader is %d, want 3", got)
	}
	p.standby.Await(t, "calls for the late objects", func() bool {
		return countObjects(byReplica(p.calls.spans(t), standbyName), "alpha") == 8
	})
	p.standby.Stop(t) // Calls under way end.
	spans := p.calls.spans(t)
	assertNoOverlap(t, spans, 0)
	for _, s := range byReplica(spans, leaderName) {
		if s.begin > woken {
			t.Errorf("the woken leader has called %s for %s", s.definition, s.object)
		}
	}
	if diff := cmp.Diff(allDefinitions, definitionNames(byReplica(spans, standbyName))); diff != "" {
		t.Errorf("definitions of the new leader (-want +got):\n%s", diff)
	}
}

// TestStolenLease writes another holder into the lease. The leader stops because of that, and not
// because its renew deadline is over.
func TestStolenLease(t *testing.T) {
	p := startPair(t, longLease)
	shared.Kubectl(t, "patch", "lease", "pair", "-n", p.namespace, "--type=merge",
		"-p", `{"spec":{"holderIdentity":"somebody-else","leaseDurationSeconds":3}}`)
	if got := p.leader.AwaitExit(t); got != 3 {
		t.Errorf("exit status is %d, want 3", got)
	}
	if got := p.leader.AwaitLog(t, "stopped leading"); !strings.Contains(got.Raw, "TakenByAnother") {
		t.Errorf("the log says %s, want TakenByAnother", got.Raw)
	}
	p.await(t, p.standby, standbyName) // The thief never renews.
	p.standby.Stop(t)                  // Calls under way end.
	assertNoOverlap(t, p.calls.spans(t), 0)
}
