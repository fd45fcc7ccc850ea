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
	a := start(t, shared.AdminConfig(), ns, "a", standard)
	a.leads()
	lease := getLease(t, ns)
	spec := lease.Spec
	if holderOf(lease) != "a" || *spec.LeaseDurationSeconds != 15 || *spec.LeaseTransitions != 0 || spec.AcquireTime == nil || spec.RenewTime == nil {
		t.Errorf("the new lease says %+v", spec)
	}
	patch(t, ns, `{"metadata":{"labels":{"team":"payments"},"annotations":{"note":"kept"}}}`)
	a.awaitRenewals(2)
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
	b := start(t, shared.AdminConfig(), ns, "b", standard)
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
	for i := range repeats(2, 30) {
		next := start(t, shared.AdminConfig(), ns, fmt.Sprintf("replica-%d", i+1), standard)
		next.awaitWatch()
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
	within(t, "half of the orderly handovers", p50, 50*time.Millisecond)
	within(t, "the longest orderly handover", largest, 500*time.Millisecond)
}

func TestTakeoverFromADeadLeader(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	var waits []time.Duration
	for i := range repeats(1, 10) {
		proxy := shared.Proxy(t)
		old := start(t, proxy.Config(shared.AdminConfig()), ns, fmt.Sprintf("old-%d", i), fast)
		old.leads()
		next := start(t, shared.AdminConfig(), ns, fmt.Sprintf("next-%d", i), fast)
		next.awaitWatch()
		time.Sleep(time.Duration(i) * 100 * time.Millisecond)
		stop := overlap(t, old.Leading, next.Leading)
		proxy.Blackhole() // as good as dead for all others
		time.Sleep(100 * time.Millisecond)
		renewed := getLease(t, ns).Spec.RenewTime.Time
		next.leads()
		waits = append(waits, time.Since(renewed))
		old.wantLost(election.ReasonDeadline)
		stop()
		next.stop()
	}
	_, largest := spreadOf(waits)
	if waits[0] < fast.lease {
		t.Errorf("led %s after the last renewal, want at least %s", waits[0], fast.lease)
	}
	within(t, "from the last renewal to the takeover", largest, fast.lease+300*time.Millisecond)
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
	within(t, "a restarted container leads", time.Since(began), 500*time.Millisecond)
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
				began := time.Now()
				tt.change(t, ns)
				<-term.Done()
				within(t, "stepped down", time.Since(began), standard.retry+500*time.Millisecond)
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
	second.awaitWatch()
	began := time.Now()
	first.stop()
	second.leads()
	within(t, "a handover without polling", time.Since(began), 500*time.Millisecond)
	second.stop()
}

func TestRightsWithdrawnFromALeader(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	config := shared.ServiceAccount(t, ns, "kooperd")
	revoke := shared.Grant(t, ns, "kooperd", cluster.InNamespace(ns, cluster.Allow("get,create,update,watch", "coordination.k8s.io", "leases")))
	a := start(t, config, ns, "a", moderate)
	a.leads()
	revoke()
	a.wantLost(election.ReasonDeadline)
	if err := a.Problem(); err == nil || !apierrors.IsForbidden(err) {
		t.Errorf("the problem is %v", err)
	}
	b := start(t, config, ns, "b", moderate)
	eventually(t, "the standby says that it is forbidden", func() bool { return apierrors.IsForbidden(b.Problem()) })
	if b.Leading() {
		t.Error("it leads without the right to the lease")
	}
	b.stop()
}

// A leader that cannot be reached does not hear that its lease was deleted. The standby waits until
// it must have stopped.
func TestDeletedUnderACutOffLeader(t *testing.T) {
	t.Parallel()
	ns := shared.Namespace(t)
	proxy := shared.Proxy(t)
	old := start(t, proxy.Config(shared.AdminConfig()), ns, "old", fast)
	old.leads()
	next := start(t, shared.AdminConfig(), ns, "next", fast)
	next.awaitWatch()
	stop := overlap(t, old.Leading, next.Leading)
	proxy.Blackhole()
	shared.Kubectl(t, "delete", "lease", "-n", ns, leaseName)
	deleted := time.Now()
	next.leads()
	within(t, "from the deletion to the next leader", time.Since(deleted), fast.lease+500*time.Millisecond)
	old.wantLost(election.ReasonDeadline)
	stop()
	next.stop()
}
