package election

import (
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/test/cluster"
)

func TestLifeOfALease(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	a := start(t, shared.AdminConfig(), ns, "a", fast)
	a.leads()
	lease := getLease(t, ns)
	spec := lease.Spec
	if holderOf(lease) != "a" || *spec.LeaseDurationSeconds != 3 || *spec.LeaseTransitions != 0 || spec.AcquireTime == nil || spec.RenewTime == nil {
		t.Errorf("the new lease says %+v", spec)
	}
	patch(t, ns, `{"metadata":{"labels":{"team":"payments"},"annotations":{"note":"kept"}}}`)
	time.Sleep(2 * fast.lease)
	if !a.Leading() {
		t.Fatal("an edit of labels cost the term")
	}
	renewed := getLease(t, ns)
	if !renewed.Spec.RenewTime.After(lease.Spec.RenewTime.Time) || !renewed.Spec.AcquireTime.Equal(lease.Spec.AcquireTime) {
		t.Errorf("renewed %s after %s, acquired %s after %s", renewed.Spec.RenewTime, lease.Spec.RenewTime, renewed.Spec.AcquireTime, lease.Spec.AcquireTime)
	}
	if renewed.Labels["team"] != "payments" || renewed.Annotations["note"] != "kept" {
		t.Errorf("metadata after renewals: %v %v", renewed.Labels, renewed.Annotations)
	}
	a.stop()
	if released := getLease(t, ns); holderOf(released) != "" || *released.Spec.LeaseDurationSeconds != 1 || released.Labels["team"] != "payments" {
		t.Errorf("the released lease is %+v", released)
	}
	b := start(t, shared.AdminConfig(), ns, "b", fast)
	b.leads()
	if got := *getLease(t, ns).Spec.LeaseTransitions; got != 1 {
		t.Errorf("leaseTransitions is %d", got)
	}
	b.stop()
}

func TestHandover(t *testing.T) {
	ns := shared.Namespace(t)
	var waits []time.Duration
	old := start(t, shared.AdminConfig(), ns, "replica-0", standard)
	old.leads()
	for i := range repeats(30) {
		next := start(t, shared.AdminConfig(), ns, fmt.Sprintf("replica-%d", i+1), standard)
		for next.Leader() == "" { // until it is a standby that knows the leader
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond) // its watch stands
		stop := overlap(t, old.Leading, next.Leading)
		stopped := time.Now()
		old.stop()
		next.leads()
		waits = append(waits, time.Since(stopped))
		stop()
		old = next
	}
	old.stop()
	p50, largest := spreadOf(waits)
	t.Logf("orderly handover, n=%d: p50 %s, max %s", len(waits), p50, largest)
	if p50 > 50*time.Millisecond || largest > 500*time.Millisecond {
		t.Errorf("p50 %s, max %s; want at most 50ms and 500ms", p50, largest)
	}
}

func TestTakeoverFromADeadLeader(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	var waits []time.Duration
	for i := range repeats(10) {
		proxy := shared.Proxy(t)
		old := start(t, proxy.Config(shared.AdminConfig()), ns, fmt.Sprintf("old-%d", i), fast)
		old.leads()
		next := start(t, shared.AdminConfig(), ns, fmt.Sprintf("next-%d", i), fast)
		time.Sleep(fast.retry + time.Duration(i)*100*time.Millisecond)
		stop := overlap(t, old.Leading, next.Leading)
		proxy.Blackhole() // as good as dead for everybody else
		time.Sleep(100 * time.Millisecond)
		renewed := getLease(t, ns).Spec.RenewTime.Time
		next.leads()
		waits = append(waits, time.Since(renewed))
		old.wantLost(election.ReasonDeadline)
		stop()
		next.stop()
	}
	p50, largest := spreadOf(waits)
	t.Logf("takeover after the last renewal at 3/2/1, n=%d: p50 %s, max %s", len(waits), p50, largest)
	if waits[0] < fast.lease || largest > fast.lease+300*time.Millisecond {
		t.Errorf("between %s and %s after the last renewal, want %s to %s", waits[0], largest, fast.lease, fast.lease+300*time.Millisecond)
	}
}

func TestRestartInPlace(t *testing.T) {
	ns := shared.Namespace(t)
	proxy := shared.Proxy(t)
	old := start(t, proxy.Config(shared.AdminConfig()), ns, "pod_uid", standard)
	old.leads()
	proxy.Blackhole()
	old.cancel() // it cannot release
	began := time.Now()
	again := start(t, shared.AdminConfig(), ns, "pod_uid", standard)
	again.leads()
	t.Logf("a restarted container leads after %s", time.Since(began))
	if got := time.Since(began); got > 500*time.Millisecond {
		t.Errorf("led after %s", got)
	}
	again.stop()
}

func TestLeaseChangedByHand(t *testing.T) {
	t.Parallel()
	thief := "thief"
	tests := map[string]struct {
		change func(t *testing.T, ns string)
		reason election.Reason
		holder *string // afterwards; nil: there is no lease
	}{
		"stolen": {func(t *testing.T, ns string) { patch(t, ns, `{"spec":{"holderIdentity":"thief"}}`) }, election.ReasonTaken, &thief},
		"emptied": {func(t *testing.T, ns string) {
			patch(t, ns, `{"spec":{"holderIdentity":null,"renewTime":null,"acquireTime":null,"leaseTransitions":null}}`)
		}, election.ReasonEdited, new(string)},
		"shortened": {func(t *testing.T, ns string) { patch(t, ns, `{"spec":{"leaseDurationSeconds":1}}`) }, election.ReasonEdited, nil},
		"deleted": {func(t *testing.T, ns string) {
			shared.Kubectl(t, "delete", "lease", "-n", ns, leaseName)
		}, election.ReasonDeleted, nil},
	}
	for name, tt := range tests {
		for _, rights := range []string{"get,create,update,watch", "get,create,update"} {
			t.Run(name+" with "+rights, func(t *testing.T) {
				t.Parallel()
				ns := shared.Namespace(t)
				config := shared.ServiceAccount(t, ns, "kooperd", cluster.InNamespace(ns, cluster.Allow(rights, "coordination.k8s.io", "leases")))
				a := start(t, config, ns, "a", standard)
				term := a.leads()
				time.Sleep(300 * time.Millisecond)
				began := time.Now()
				tt.change(t, ns)
				<-term.Done()
				t.Logf("stepped down after %s", time.Since(began))
				if got := time.Since(began); got > standard.retry+500*time.Millisecond {
					t.Errorf("stepped down after %s", got)
				}
				a.wantLost(tt.reason)
				time.Sleep(standard.retry)
				if tt.reason == election.ReasonDeleted {
					if list, err := shared.Client().CoordinationV1().Leases(ns).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
						t.Errorf("the deleted lease is back: %v, %v", list.Items, err)
					}
					return
				}
				if got := holderOf(getLease(t, ns)); tt.holder != nil && got != *tt.holder {
					t.Errorf("the holder is %q afterwards: it fights", got)
				}
			})
		}
	}
}

func TestRightsForOneLeaseAreEnough(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	named := cluster.Allow("get,update,watch", "coordination.k8s.io", "leases")
	named.ResourceNames = []string{leaseName}
	config := shared.ServiceAccount(t, ns, "kooperd", cluster.InNamespace(ns, named, cluster.Allow("create", "coordination.k8s.io", "leases")))
	a := start(t, config, ns, "a", standard)
	b := start(t, config, ns, "b", standard)
	first, second := a, b
	select {
	case <-a.terms:
	case <-b.terms:
		first, second = b, a
	}
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	first.stop()
	second.leads()
	if got := time.Since(began); got > 500*time.Millisecond {
		t.Errorf("without polling the handover would take milliseconds, not %s", got)
	}
	second.stop()
}

func TestRightsWithdrawnFromALeader(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	config := shared.ServiceAccount(t, ns, "kooperd")
	revoke := shared.Grant(t, ns, "kooperd", cluster.InNamespace(ns, cluster.Allow("get,create,update,watch", "coordination.k8s.io", "leases")))
	a := start(t, config, ns, "a", moderate)
	a.leads()
	time.Sleep(moderate.retry)
	revoke()
	a.wantLost(election.ReasonDeadline)
	if err := a.Problem(); err == nil || !apierrors.IsForbidden(err) {
		t.Errorf("the problem is %v", err)
	}
	b := start(t, config, ns, "b", moderate)
	time.Sleep(2 * moderate.lease)
	if b.Leading() || !apierrors.IsForbidden(b.Problem()) {
		t.Errorf("leading=%v, problem %v", b.Leading(), b.Problem())
	}
	b.stop()
}

// A leader that cannot be reached does not hear that its lease was deleted. The standby waits until it must have stopped.
func TestDeletedUnderACutOffLeader(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	proxy := shared.Proxy(t)
	old := start(t, proxy.Config(shared.AdminConfig()), ns, "old", fast)
	old.leads()
	next := start(t, shared.AdminConfig(), ns, "next", fast)
	time.Sleep(fast.retry)
	stop := overlap(t, old.Leading, next.Leading)
	proxy.Blackhole()
	shared.Kubectl(t, "delete", "lease", "-n", ns, leaseName)
	deleted := time.Now()
	next.leads()
	t.Logf("the standby led %s after the deletion", time.Since(deleted))
	if got := time.Since(deleted); got > fast.lease+500*time.Millisecond {
		t.Errorf("led %s after the deletion", got)
	}
	old.wantLost(election.ReasonDeadline)
	stop()
	next.stop()
}
