package reload_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
	"kooperd.dev/kooperd/test/reload/probe"
)

// The ConfigMaps of a replicated rig.
const (
	sourceName = "config"
	stateName  = sourceName + "-accepted"
	markerName = "marker"
)

// replicated is a rig whose config is in a ConfigMap. Every call writes its revision into another
// one.
type replicated struct {
	*rig
	mark cluster.AuditMark
}

func newReplicated(t *testing.T) *replicated {
	t.Helper()
	r := &replicated{rig: newRig(t), mark: shared.AuditMark(t)}
	r.lease = quickLease
	for i := range 3 {
		r.create(t, fmt.Sprintf("requeues-%d", i), probe.Requeues)
	}
	r.put(t, markerName, nil)
	r.offer(t, 1)
	return r
}

// put stores a ConfigMap.
func (r *replicated) put(t testing.TB, name string, data map[string]string) {
	t.Helper()
	configMaps := shared.Client().CoreV1().ConfigMaps(r.namespace)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	if _, err := configMaps.Get(t.Context(), name, metav1.GetOptions{}); err != nil {
		if _, err := configMaps.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatalf("storing ConfigMap %s: %v", name, err)
		}
	} else if _, err := configMaps.Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("storing ConfigMap %s: %v", name, err)
	}
}

// remove deletes a ConfigMap.
func (r *replicated) remove(t testing.TB, name string) {
	t.Helper()
	if err := shared.Client().CoreV1().ConfigMaps(r.namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting ConfigMap %s: %v", name, err)
	}
}

// offer makes a revision the newest config.
func (r *replicated) offer(t testing.TB, revision int) {
	t.Helper()
	handler := fmt.Sprintf(`revision: "%d", marker: %q, requeueAfter: "20ms"`, revision, markerName)
	r.put(t, sourceName, map[string]string{"controllers.cue": r.configOf(r.definition("d", handler, ""))})
}

// start runs a replica, and does not wait.
func (r *replicated) start(t testing.TB, kubeconfig string) *follower {
	t.Helper()
	opts := r.options("configmap:" + r.namespace + "/" + sourceName)
	if kubeconfig != "" {
		opts.Kubeconfig = kubeconfig
	}
	return &follower{daemon.Start(t, opts)}
}

// startLeader runs a replica that works.
func (r *replicated) startLeader(t testing.TB) *follower {
	t.Helper()
	f := r.start(t, "")
	f.AwaitLog(t, "became leader")
	return f
}

// startStandby runs a replica that knows that another one leads.
func (r *replicated) startStandby(t testing.TB, kubeconfig string) *follower {
	t.Helper()
	f := r.start(t, kubeconfig)
	f.AwaitLog(t, "leader changed")
	f.AwaitReady(t)
	return f
}

// awaitWork waits for a call by a revision after the first n.
func (r *replicated) awaitWork(t testing.TB, f *follower, revision, n int) {
	t.Helper()
	f.Await(t, fmt.Sprintf("a call of revision %d", revision), func() bool {
		_, found := r.record.first(t, "d", strconv.Itoa(revision), n)
		return found
	})
}

// judge fails the test when the API server has taken a write of an older revision after one of a
// newer revision, for the same object.
func (r *replicated) judge(t testing.TB) {
	t.Helper()
	newest := map[string]int{}
	writes := 0
	for _, e := range shared.AuditSince(t, r.mark, r.namespace) {
		if e.ObjectRef.Namespace != r.namespace || e.ObjectRef.Name != markerName || e.Verb != "patch" || e.ResponseStatus.Code != 200 {
			continue
		}
		var patch struct{ Data map[string]string }
		if err := json.Unmarshal(e.RequestObject, &patch); err != nil {
			t.Fatalf("reading the audit log: %v", err)
		}
		for object, revision := range patch.Data {
			writes++
			if n := number(revision); n < newest[object] {
				t.Errorf("%s was handled by revision %d after %d, at %s", object, n, newest[object], e.Answered)
			} else {
				newest[object] = n
			}
		}
	}
	if writes == 0 {
		t.Error("the audit log has no writes of handlers")
	}
}

// TestLeaderKilledDuringChange kills the leader again and again, at some moment of a change. The
// next one must work with the newer revision, and undo nothing of it.
func TestLeaderKilledDuringChange(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	leader := r.startLeader(t)
	standby := r.startStandby(t, "")
	random := rand.New(rand.NewPCG(10, 0))
	for revision := 2; revision < size(4, 30); revision++ {
		r.awaitWork(t, leader, revision-1, 0)
		r.offer(t, revision)
		at := time.Duration(random.Int64N(int64(400 * time.Millisecond)))
		time.Sleep(at) // Some moment: nothing is waited for.
		leader.Kill()
		n := len(r.record.all(t))
		r.awaitWork(t, standby, revision, n)
		t.Logf("revision %d: killed after %s, accepted before: %t", revision, at, len(leader.Lines("config changed")) > 0)
		leader, standby = standby, r.startStandby(t, "")
	}
	r.judge(t)
}

// TestStandbyCatchesUp gives the lease to a replica whose watch has shown nothing of the newest
// revision. It must not work before it runs that.
func TestStandbyCatchesUp(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	leader := r.startLeader(t)
	r.awaitWork(t, leader, 1, 0)
	proxy := shared.Proxy(t)
	standby := r.startStandby(t, proxy.Kubeconfig(t, shared.AdminConfig(), r.namespace))
	proxy.Stall()
	r.offer(t, 2)
	r.awaitWork(t, leader, 2, 0)
	if lines := standby.Lines("config changed"); len(lines) > 0 {
		t.Errorf("the standby has seen the change: %s", lines[0].Raw)
	}
	leader.Kill()
	n := len(r.record.all(t))
	standby.Await(t, "the standby leading", func() bool {
		return len(standby.Lines("waiting to work until the accepted config is known and stored")) > 0 || len(r.record.all(t)) > n
	})
	proxy.Heal()
	r.awaitWork(t, standby, 2, n)
	for _, c := range r.record.all(t)[n:] {
		if c.Revision != "2" {
			t.Errorf("the new leader has made a call by revision %s: %+v", c.Revision, c)
		}
	}
	r.judge(t)
}

// TestAllKilledWhileRefused kills all replicas while the newest config is refused. They must come
// up with the last accepted one.
func TestAllKilledWhileRefused(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	first := r.startLeader(t)
	r.offer(t, 2)
	r.awaitWork(t, first, 2, 0)
	second := r.startStandby(t, "")
	r.put(t, sourceName, map[string]string{"controllers.cue": "rubbish"})
	for _, f := range []*follower{first, second} {
		f.awaitStatus(t, "the changed config: ReloadPending", "rubbish")
		f.Kill()
	}
	n := len(r.record.all(t))
	for range 2 {
		f := r.start(t, "")
		line := f.AwaitLog(t, "the config does not run; the last accepted one does", "result", "refused")
		if line.Field("err") == "" {
			t.Errorf("the log does not say why: %s", line.Raw)
		}
		f.awaitStatus(t, "the changed config: ReloadPending", "rubbish")
		f.AwaitReady(t)
		if v := f.value(t, "kooperd_config_last_reload_successful"); v != 0 {
			t.Errorf("kooperd_config_last_reload_successful is %v, want 0", v)
		}
		first, second = second, f
	}
	r.awaitWork(t, first, 2, n)
	r.offer(t, 3)
	r.awaitWork(t, first, 3, n)
	for _, f := range []*follower{first, second} {
		f.Await(t, "the refused config being forgotten", func() bool {
			return !f.hasStatus(t, "the changed config") && f.value(t, "kooperd_config_last_reload_successful") == 1
		})
	}
	r.judge(t)
}

// TestSourceDeleted deletes the ConfigMap with the config, and makes it anew.
func TestSourceDeleted(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	f := r.startLeader(t)
	r.awaitWork(t, f, 1, 0)
	r.remove(t, sourceName)
	f.awaitStatus(t, "the changed config: ReloadPending", "ConfigMap "+r.namespace+"/"+sourceName, "does not exist")
	r.awaitWork(t, f, 1, len(r.record.all(t)))
	f.Kill()
	n := len(r.record.all(t))
	f = r.start(t, "")
	f.AwaitLog(t, "the config does not run; the last accepted one does")
	r.awaitWork(t, f, 1, n)
	r.offer(t, 2)
	r.awaitWork(t, f, 2, 0)
	r.judge(t)
}

// TestStateLost deletes the ConfigMap with the accepted config, and fills it with rubbish. Neither
// keeps a good config from running.
func TestStateLost(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)
	f := r.startLeader(t)
	r.awaitWork(t, f, 1, 0)
	r.remove(t, stateName)
	r.offer(t, 2)
	r.awaitWork(t, f, 2, 0)
	r.spoilState(t)
	r.offer(t, 3)
	r.awaitWork(t, f, 3, 0)
	r.spoilState(t)
	f.Kill()
	n := len(r.record.all(t))
	f = r.startLeader(t)
	r.awaitWork(t, f, 3, n)
	f.AwaitLog(t, "storing the config that runs in place of the accepted one")
	f.Kill()
	r.spoilState(t)
	r.put(t, sourceName, map[string]string{"controllers.cue": "rubbish"})
	f = r.start(t, "")
	if status := f.AwaitExit(t); status != 1 && status != 2 {
		t.Errorf("without any good config, the exit status is %d, want 1 or 2", status)
	}
	t.Logf("without any good config:\n%s", f.Tail(5))
	r.judge(t)
}

// spoilState fills the ConfigMap with the accepted config with rubbish.
func (r *replicated) spoilState(t testing.TB) {
	t.Helper()
	const patch = `{"binaryData": {"accepted.json.gz": "cnViYmlzaA=="}}`
	_, err := shared.Client().CoreV1().ConfigMaps(r.namespace).
		Patch(t.Context(), stateName, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("spoiling ConfigMap %s: %v", stateName, err)
	}
}
