package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestReadyNeedsTheAPIServer keeps a replica that cannot reach the API server, or that it does not
// know, from being ready: a rolling update must not replace pods that work with pods that never
// will.
func TestReadyNeedsTheAPIServer(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	config := fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: "disabled"
controllers: pods: {watch: {apiVersion: "v1", kind: "Pod", namespaces: [%q]}, handler: log: {}}
`, namespace)
	account := shared.ServiceAccount(t, namespace, "kooperd", cluster.InNamespace(namespace, cluster.Allow("list,watch", "", "pods")))
	t.Run("cannot be reached", func(t *testing.T) {
		t.Parallel()
		proxy := shared.Proxy(t)
		proxy.Refuse()
		p := daemon.Start(t, daemon.Options{Config: config, Kubeconfig: proxy.Kubeconfig(t, account, namespace)})
		p.AwaitLog(t, "definition changed state", "state", "Degraded")
		assertUnready(t, p)
		proxy.Heal()
		p.AwaitReady(t)
	})
	t.Run("does not know the token", func(t *testing.T) {
		t.Parallel()
		stranger := *account
		stranger.BearerToken = "not-a-token"
		p := daemon.Start(t, daemon.Options{Config: config, Kubeconfig: cluster.WriteKubeconfig(t, &stranger, namespace)})
		p.AwaitLog(t, "definition changed state", "state", "Degraded")
		assertUnready(t, p)
	})
}

func assertUnready(t *testing.T, p *daemon.Process) {
	t.Helper()
	if status, text := p.Get(t, "health", "/readyz"); status != 503 || strings.TrimSpace(text) != "not ready: an answer of the API server" {
		t.Errorf("/readyz: %d %q", status, text)
	}
}
