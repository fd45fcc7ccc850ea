// Package kube_test tests package kube on a real API server: shared sources, kinds that come and
// go, rights that are missing, servers that die. How sources decide when nothing real can be made
// to do so is tested beside their code.
package kube_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
	"kooperd.dev/kooperd/test/cluster"
)

// shared is the cluster of all tests but those that break theirs.
var shared *cluster.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.Options{Audit: true}, &shared)) }

// patience is how long a test waits for what should come soon, on a machine that has much else to
// do.
const patience = time.Minute

var configMapKind = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}

// agent is a user agent by which the requests of one test are found in the API server's audit log.
func agent(t *testing.T) string { return "kooperd-test/" + t.Name() }

// connect returns package kube's way to the API server, and the metrics it keeps.
func connect(t *testing.T, config *rest.Config) (*kube.Cluster, *prometheus.Registry) {
	t.Helper()
	config.UserAgent = agent(t)
	registry := prometheus.NewRegistry()
	c, err := kube.New(config, kube.Options{Metrics: telemetry.NewMetrics(registry)})
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(c.Close)
	return c, registry
}

// spectator keeps what a view reports.
type spectator struct {
	*kube.View
	unsubscribe func()
	closed      bool
	changed     chan struct{} // has something when there is something new

	mu     sync.Mutex
	events []string
	states []string
	last   status.State               // the state reported last
	at     map[status.State]time.Time // when each state was last reported
}

func labelSelector(t *testing.T, text string) labels.Selector {
	t.Helper()
	selector, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return selector
}

// spectate subscribes to a view, which is closed when the test ends.
func spectate(t *testing.T, c *kube.Cluster, w kube.Watch) *spectator {
	t.Helper()
	s := &spectator{View: c.Sources.Watch(t.Context(), w), changed: make(chan struct{}, 1), at: map[status.State]time.Time{}}
	s.unsubscribe = s.Subscribe(s.onEvent, s.onStatus)
	t.Cleanup(s.close)
	s.onStatus()
	return s
}

// close ends the view; once is enough.
func (s *spectator) close() {
	if s.closed {
		return
	}
	s.closed = true
	s.unsubscribe()
	s.View.Close()
}

func (s *spectator) onEvent(e kube.Event) {
	word := map[kube.EventType]string{kube.Listed: "listed", kube.Changed: "changed", kube.Deleted: "deleted"}[e.Type]
	s.mu.Lock()
	s.events = append(s.events, word+" "+telemetry.ObjectName(e.Key.Namespace, e.Key.Name))
	s.mu.Unlock()
	s.wake()
}

func (s *spectator) onStatus() {
	s.mu.Lock()
	state, _ := s.Status() // Under the mutex, as the sources of several namespaces report at the same time.
	if n := len(s.states); n == 0 || s.states[n-1] != string(state) {
		s.states = append(s.states, string(state))
	}
	s.last, s.at[state] = state, time.Now()
	s.mu.Unlock()
	s.wake()
}

func (s *spectator) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// awaitState waits until the view is in a state and returns since when, and the reason.
func (s *spectator) awaitState(t *testing.T, want status.State) (since time.Time, reason string) {
	t.Helper()
	s.await(t, "state "+string(want), func() bool {
		state, err := s.Status()
		if reason = ""; err != nil {
			reason = err.Error()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return state == want && s.last == want // Being in a state comes a moment before it is reported.
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[want], reason
}

// awaitEvent waits for an event and forgets it with all before it.
func (s *spectator) awaitEvent(t *testing.T, want string) {
	t.Helper()
	s.await(t, "event "+want, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, event := range s.events {
			if event == want {
				s.events = s.events[i+1:]
				return true
			}
		}
		return false
	})
}

func (s *spectator) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-s.changed:
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			state, reason := s.Status()
			t.Fatalf("%s has not come; the state is %s, %v, after %q, events %q", what, state, reason, s.takeStates(), s.takeEvents())
		}
	}
}

func (s *spectator) takeEvents() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

func (s *spectator) takeStates() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := s.states
	s.states = nil
	return states
}

// metric returns the sum of a metric's series, or false if there is none.
func metric(t *testing.T, registry *prometheus.Registry, name string) (sum float64, ok bool) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("gathering: %v", err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			ok = true
		}
	}
	return sum, ok
}

// createConfigMap makes a ConfigMap with one label.
func createConfigMap(t *testing.T, c *cluster.Cluster, namespace, name, label string) {
	t.Helper()
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": label}},
		Data:       map[string]string{"key": "value"},
	}
	if _, err := c.Client().CoreV1().ConfigMaps(namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating ConfigMap %s/%s: %v", namespace, name, err)
	}
}

func labelConfigMap(ctx context.Context, t *testing.T, namespace, name, label string) {
	t.Helper()
	object, err := shared.Client().CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading ConfigMap %s/%s: %v", namespace, name, err)
	}
	object.Labels = map[string]string{"app": label}
	if _, err := shared.Client().CoreV1().ConfigMaps(namespace).Update(ctx, object, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("updating ConfigMap %s/%s: %v", namespace, name, err)
	}
}

func deleteConfigMap(t *testing.T, c *cluster.Cluster, namespace, name string) {
	t.Helper()
	if err := c.Client().CoreV1().ConfigMaps(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting ConfigMap %s/%s: %v", namespace, name, err)
	}
}

// definition is the CustomResourceDefinition of a kind of group, one version v1.
func definition(group, kind, scope string) string {
	lower := strings.ToLower(kind)
	return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[2]ss.%[1]s}
spec:
  group: %[1]s
  scope: %[4]s
  names: {kind: %[3]s, plural: %[2]ss, singular: %[2]s}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, group, lower, kind, scope)
}
