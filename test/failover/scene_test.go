package failover_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/failover/marker"
)

// scene is one lease with the replicas that compete for it, in its own namespace.
type scene struct {
	cluster   *cluster.Cluster
	program   program
	timing    timing
	workload  workload
	namespace string
	config    string // path of the config file
	replicas  []*replica
	history   *history
	mark      cluster.AuditMark
	random    *rand.Rand

	leader *replica  // who worked before an outage of the API server
	healed time.Time // when the API server was back
}

// newScene makes everything but processes.
func newScene(t *testing.T, c *cluster.Cluster, p program, tm timing, w workload, names ...string) *scene {
	t.Helper()
	s := &scene{cluster: c, program: p, timing: tm, workload: w, namespace: c.Namespace(t), random: rand.New(rand.NewPCG(flags.seed, 0))}
	text, extension := p.config(t, s)
	s.config = filepath.Join(t.TempDir(), "controllers"+extension)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatalf("writing the config: %v", err)
	}
	for i := range w.targets {
		name := fmt.Sprintf("target-%d", i)
		s.createConfigMap(t, name, marker.LabelTarget)
		s.createConfigMap(t, marker.Prefix+name, marker.LabelMarker)
	}
	for _, name := range names {
		s.addReplica(t, name)
	}
	version, err := s.client().Discovery().ServerVersion()
	if err != nil {
		t.Fatalf("asking the API server for its version: %v", err)
	}
	table.measuredOn(version.GitVersion)
	s.mark = c.AuditMark(t)
	s.history = record(t, c, s.namespace)
	return s
}

func (s *scene) createConfigMap(t *testing.T, name, label string) {
	t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{label: ""}}}
	if _, err := s.client().CoreV1().ConfigMaps(s.namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
}

// addReplica makes the place for a replica.
func (s *scene) addReplica(t *testing.T, name string) {
	t.Helper()
	account := s.cluster.ServiceAccount(t, s.namespace, name, cluster.InNamespace(s.namespace,
		cluster.Allow("get,list,watch,create,update", "coordination.k8s.io", "leases"),
		cluster.Allow("get,list,watch,patch", "", "configmaps"),
	))
	proxy := s.cluster.Proxy(t)
	s.replicas = append(s.replicas, &replica{
		scene: s, name: name, proxy: proxy, kubeconfig: proxy.Kubeconfig(t, account, s.namespace),
	})
}

func (s *scene) client() kubernetes.Interface { return s.cluster.Client() }

// accountPrefix is what the name of a replica's user has before the replica's name.
func (s *scene) accountPrefix() string { return "system:serviceaccount:" + s.namespace + ":" }

// start runs all replicas and returns them, the leader first. The first replica leads.
func (s *scene) start(t testing.TB) (leader *replica, others []*replica) {
	t.Helper()
	leader = s.replicas[0]
	leader.start(t)
	s.awaitWork(t, leader, 0)
	for _, r := range s.replicas[1:] {
		r.start(t)
	}
	return leader, s.replicas[1:]
}

// startPair is start for two replicas.
func (s *scene) startPair(t testing.TB) (leader, standby *replica) {
	t.Helper()
	leader, others := s.start(t)
	return leader, others[0]
}

// awaitWork waits for a marker of the replica's present pod, recorded at position from or later.
func (s *scene) awaitWork(t testing.TB, r *replica, from int) event {
	t.Helper()
	identity := r.identity()
	return s.history.await(t, from, "a marker by "+identity, func(e event) bool { return e.marker != nil && e.marker.Identity == identity })
}

// awaitTakeover waits for a marker by the present pod of any other replica than old.
func (s *scene) awaitTakeover(t testing.TB, old *replica, from int) *replica {
	t.Helper()
	next := s.takeoverWithin(t, old, from, patience)
	if next == nil {
		t.Fatalf("waiting for a marker by another replica than %s: nothing after %s", old.identity(), patience)
	}
	return next
}

// takeoverWithin is awaitTakeover with a limit, after which it returns nil.
func (s *scene) takeoverWithin(t testing.TB, old *replica, from int, limit time.Duration) *replica {
	t.Helper()
	var next *replica
	s.history.awaitWithin(t, from, limit, func(e event) bool {
		if e.marker == nil {
			return false
		}
		// A former pod's last write may be stored late: what counts is the pod that is there now.
		if r := s.replica(place(e.marker.Identity)); r != nil && r != old && r.identity() == e.marker.Identity {
			next = r
		}
		return next != nil
	})
	return next
}

// replica returns the replica of that name, nil if there is none.
func (s *scene) replica(name string) *replica {
	for _, r := range s.replicas {
		if r.name == name {
			return r
		}
	}
	return nil
}

// stopAll stops every process and checks how it ends.
func (s *scene) stopAll(t testing.TB) {
	t.Helper()
	for _, r := range s.replicas {
		if r.process != nil && !r.process.Exited() {
			r.stop(t)
		}
	}
	for _, r := range s.replicas {
		if r.process != nil && !r.killed {
			r.ended(t)
		}
	}
}

// pause waits for d.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatalf("waiting for %s: %v", d, context.Cause(t.Context()))
	}
}
