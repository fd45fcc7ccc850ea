package e2e_test

import (
	"fmt"
	"syscall"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

// TestStopLogsNoNews stops a standby and a leader in good order, with a definition that is Degraded
// and one that is Running. That the definitions end with the process is neither an error nor a new
// state.
func TestStopLogsNoNews(t *testing.T) {
	ns := shared.Namespace(t)
	createConfigMap(t, ns, "object")
	start := func() *daemon.Process {
		return daemon.Start(t, daemon.Options{Kubeconfig: shared.AdminKubeconfig(), Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "stop", namespace: %[1]q}
_watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q], labelSelector: "e2e"}
controllers: {
	running: {watch: _watch, handler: log: {}}
	failing: {watch: _watch, handler: exec: command: ["false"], retry: {maxRetries: 2, initialDelay: "10ms"}}
}`, ns)})
	}
	leader := start()
	leader.AwaitLog(t, "object seen", "controller", "running")
	leader.AwaitLog(t, "definition changed state", "controller", "running", "state", "Running")
	leader.AwaitLog(t, "handling object failed, out of retries until it changes", "controller", "failing")
	leader.AwaitLog(t, "definition changed state", "controller", "failing", "state", "Degraded")
	standby := start()
	standby.AwaitLog(t, "definition changed state", "controller", "running", "state", "Running")
	standby.AwaitLog(t, "definition changed state", "controller", "failing", "state", "Running")
	for _, p := range []*daemon.Process{standby, leader} {
		before := len(p.Log())
		p.Signal(t, syscall.SIGTERM)
		if got := p.AwaitExit(t); got != 0 {
			t.Errorf("exit status is %d, want 0", got)
		}
		for _, line := range p.Log()[before:] {
			if line.Field("level") == "ERROR" || line.Message == "definition changed state" {
				t.Errorf("the stop logs: %s", line.Raw)
			}
		}
	}
}
