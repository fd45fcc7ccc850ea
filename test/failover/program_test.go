package failover_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/daemon"
	"kooperd.dev/kooperd/test/failover/marker"
)

// leaseName is the name of the lease in the namespace of every scene.
const leaseName = "failover"

// program is one of the two that compete.
type program struct {
	name   string // as the figures call it
	dir    string // of its main package
	binary string
	ours   bool // it must keep the law; the other one is only measured
	config func(testing.TB, *scene) (text, extension string)
	ready  func(testing.TB, *daemon.Process) // waits until the caches are warm
}

// timing is that of a lease.
type timing struct{ lease, renew, retry time.Duration }

// The timings of the cases: Kubernetes' own, and one for many repetitions.
var (
	slow = timing{15 * time.Second, 10 * time.Second, 2 * time.Second}
	fast = timing{3 * time.Second, 2 * time.Second, time.Second}
)

// String returns the three numbers in seconds, as people write them.
func (t timing) String() string {
	return fmt.Sprintf("%g/%g/%g", t.lease.Seconds(), t.renew.Seconds(), t.retry.Seconds())
}

// workload is what the leader does all the time.
type workload struct {
	targets      int           // objects to handle, by as many workers
	interval     time.Duration // between two calls for one object
	writeTimeout time.Duration
	takes        time.Duration // a call waits so long between two writes
	ignores      time.Duration // a call does not look at its context for so long
}

// busy is a workload that leaves gaps of some milliseconds between writes, and steady one that
// leaves room for many scenes.
var (
	busy   = workload{targets: 4, interval: 5 * time.Millisecond, writeTimeout: 500 * time.Millisecond}
	steady = workload{targets: 3, interval: 100 * time.Millisecond, writeTimeout: 250 * time.Millisecond}
)

// config is the workload as the config of the plugin.
func (w workload) config() marker.Config {
	return marker.Config{
		Interval: handlers.Duration(w.interval), WriteTimeout: handlers.Duration(w.writeTimeout),
		Takes: handlers.Duration(w.takes), IgnoresContextFor: handlers.Duration(w.ignores),
	}
}

func kooperdConfig(t testing.TB, s *scene) (text, extension string) {
	t.Helper()
	handler, err := json.Marshal(s.workload.config())
	if err != nil {
		t.Fatalf("encoding the config: %v", err)
	}
	return fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: %q, namespace: %q, leaseDuration: %q, renewDeadline: %q, retryPeriod: %q}
controllers: markers: {
	watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: %q}
	mode: "concurrent", workers: %d
	timeout: "10m"
	handler: marker: %s
}
`, leaseName, s.namespace, s.timing.lease, s.timing.renew, s.timing.retry,
		s.namespace, marker.LabelTarget, s.workload.targets, handler), ".cue"
}

func kooperdReady(t testing.TB, p *daemon.Process) {
	t.Helper()
	p.AwaitReady(t)
}

func yardstickConfig(t testing.TB, s *scene) (text, extension string) {
	t.Helper()
	config := map[string]any{
		"namespace": s.namespace, "lease": leaseName, "workers": s.workload.targets,
		"leaseDuration": s.timing.lease.String(), "renewDeadline": s.timing.renew.String(), "retryPeriod": s.timing.retry.String(),
		"interval": s.workload.interval.String(), "writeTimeout": s.workload.writeTimeout.String(), "takes": s.workload.takes.String(),
	}
	text1, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		t.Fatalf("encoding the config: %v", err)
	}
	return string(text1) + "\n", ".json"
}

func yardstickReady(t testing.TB, p *daemon.Process) {
	t.Helper()
	p.AwaitLog(t, "caches are warm")
}
