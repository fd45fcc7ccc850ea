package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestStandbyAfterLoss freezes a leader whose config says onLost: "standby". The process goes on,
// does nothing while the other one leads, and leads again after it.
func TestStandbyAfterLoss(t *testing.T) {
	ns, calls := shared.Namespace(t), newCallLog(t)
	createConfigMap(t, ns, "object")
	config := fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "again", namespace: %q, leaseDuration: "3s", renewDeadline: "2s", retryPeriod: "500ms", onLost: "standby"}
controllers: only: {
	watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "e2e"}
	handler: %s
}`, ns, ns, calls.handler("0.05"))
	start := func(replica string) *daemon.Process {
		return daemon.Start(t, daemon.Options{Config: config, Kubeconfig: shared.AdminKubeconfig(), Env: []string{"REPLICA=" + replica}})
	}
	first := start(leaderName)
	first.Await(t, "a call by the first leader", func() bool { return len(byReplica(calls.spans(t), leaderName)) == 1 })
	second := start(standbyName)
	second.AwaitReady(t)
	first.Signal(t, syscall.SIGSTOP)
	second.Await(t, "a call by the second leader", func() bool { return len(byReplica(calls.spans(t), standbyName)) == 1 })
	first.Signal(t, syscall.SIGCONT)
	first.AwaitLog(t, "standing by after the loss of the lease")
	createConfigMap(t, ns, "late")
	second.Await(t, "a call for the late object", func() bool { return countObjects(byReplica(calls.spans(t), standbyName), "only") == 2 })
	if got := len(byReplica(calls.spans(t), leaderName)); got != 1 {
		t.Errorf("the former leader has made %d calls, want the one of its term", got)
	}
	if got, _ := first.Metric(t, `kooperd_leader_transitions_total{to="lost"}`); got != "1" {
		t.Errorf("lost terms in its metrics: %s, want 1", got)
	}
	if got := second.Stop(t); got != 0 {
		t.Errorf("exit status of the second is %d, want 0", got)
	}
	first.Await(t, "calls for both objects in the second term", func() bool { return len(byReplica(calls.spans(t), leaderName)) == 3 })
	if got := first.Stop(t); got != 0 {
		t.Errorf("exit status of the first is %d, want 0", got)
	}
	assertNoOverlap(t, calls.spans(t), 0)
}

// TestConfigMapLock lets an old operator hold the lock, as Kooper v0 and client-go up to v0.23 did,
// and then vanish. The rights are those that Kooper's documentation lists, beside those for the
// watched kind.
func TestConfigMapLock(t *testing.T) {
	ns := shared.Namespace(t)
	kubeconfig := shared.ServiceAccountKubeconfig(t, ns, "kooperd",
		cluster.InNamespace(ns, cluster.Allow("get,create,update", "", "configmaps")),
		cluster.InNamespace(ns, cluster.Allow("list,watch", "", "serviceaccounts")))
	renew := func(lock *corev1.ConfigMap) *corev1.ConfigMap {
		t.Helper()
		now := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
		lock.Annotations = map[string]string{"control-plane.alpha.kubernetes.io/leader": fmt.Sprintf(
			`{"holderIdentity":"old_operator","leaseDurationSeconds":3,"acquireTime":"2018-07-24T10:00:05Z","renewTime":%q,"leaderTransitions":2}`, now)}
		updated, err := shared.Client().CoreV1().ConfigMaps(ns).Update(t.Context(), lock, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			return nil
		}
		if err != nil {
			t.Fatalf("renewing as the old operator: %v", err)
		}
		return updated
	}
	lock, err := shared.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "my-controller"}, Data: map[string]string{"kept": "yes"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	last := time.Now()
	lock = renew(lock)
	p := daemon.Start(t, daemon.Options{Kubeconfig: kubeconfig, Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {lock: "configMap", name: "my-controller", namespace: %q, leaseDuration: "3s", renewDeadline: "2s", retryPeriod: "500ms"}
controllers: accounts: {watch: {apiVersion: "v1", kind: "ServiceAccount", namespaces: [%q]}, handler: log: {}}
`, ns, ns)})
	pace := time.NewTicker(1100 * time.Millisecond)
	defer pace.Stop()
	for n := 0; n < 4; { // Longer than the lease, when it could lead.
		<-pace.C
		now := time.Now()
		renewed := renew(lock)
		if time.Since(last) >= 3*time.Second {
			break // This machine has stood still for as long as the lease: kooperd may lead.
		}
		if got := p.Lines("became leader"); renewed == nil || len(got) > 0 {
			t.Fatalf("kooperd leads while the old operator renews: %v", got)
		}
		lock, last = renewed, now
		if len(p.Lines("serving", "server", "health")) == 0 {
			continue
		}
		if code, _ := p.Get(t, "health", "/readyz"); code == 200 {
			n++
		}
	}
	line := p.AwaitLog(t, "became leader")
	if took := line.Time.Sub(last); took < 3*time.Second {
		t.Errorf("kooperd leads %s after the last renewal, want at least the lease of 3s", took)
	}
	p.AwaitLog(t, "object seen", "controller", "accounts")
	lock, err = shared.Client().CoreV1().ConfigMaps(ns).Get(t.Context(), "my-controller", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var record struct { // as an old candidate reads it
		HolderIdentity    string      `json:"holderIdentity"`
		RenewTime         metav1.Time `json:"renewTime"`
		LeaderTransitions int         `json:"leaderTransitions"`
	}
	if err := json.Unmarshal([]byte(lock.Annotations["control-plane.alpha.kubernetes.io/leader"]), &record); err != nil {
		t.Fatalf("reading the record as an old candidate does: %v", err)
	}
	if record.HolderIdentity == "" || record.HolderIdentity == "old_operator" || record.LeaderTransitions != 3 || time.Since(record.RenewTime.Time) > 30*time.Second {
		t.Errorf("record is %+v, want a fresh one of kooperd after 3 transitions", record)
	}
	if lock.Data["kept"] != "yes" || len(lock.Annotations) != 1 {
		t.Errorf("the config map has data %v and annotations %v, want what was in it and the record", lock.Data, lock.Annotations)
	}
	lock.ResourceVersion = "" // whatever kooperd has written meanwhile
	renew(lock)               // The old operator comes back and takes the lock by force.
	if got := p.AwaitExit(t); got != 3 {
		t.Errorf("exit status is %d, want 3", got)
	}
}

func TestLeaseEvents(t *testing.T) {
	ns := shared.Namespace(t)
	p := daemon.Start(t, daemon.Options{Kubeconfig: shared.AdminKubeconfig(), Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "events", namespace: %q}
controllers: only: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q]}, handler: log: {}}
`, ns, ns)})
	p.AwaitLog(t, "became leader")
	if got, _ := p.Metric(t, "kooperd_lease_remaining_seconds"); got == "" || got == "0" {
		t.Errorf("remaining validity of the leader is %q", got)
	}
	if got, _ := p.Metric(t, `leader_election_master_status{name="events"}`); got != "1" {
		t.Errorf("leader_election_master_status is %q, want 1", got)
	}
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	described := shared.Kubectl(t, "describe", "lease", "events", "-n", ns)
	for _, want := range []string{"became leader", "released the leadership"} {
		if !strings.Contains(described, want) {
			t.Errorf("kubectl describe lease does not show %q:\n%s", want, described)
		}
	}
}
