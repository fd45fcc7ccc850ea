package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// credentialPlugin is a program that prints a token for a kubeconfig, which is valid for some
// seconds, or hangs.
type credentialPlugin struct{ kubeconfig, hangs, program string }

// newCredentialPlugin makes the credential plugin of a service account that may do what the tests
// here need.
func newCredentialPlugin(t *testing.T, namespace string) credentialPlugin {
	t.Helper()
	account := shared.ServiceAccount(t, namespace, "plugged", cluster.InNamespace(namespace,
		cluster.Allow("list,watch", "", "configmaps"),
		cluster.Allow("get,list,watch,create,update,patch", "coordination.k8s.io", "leases"),
		cluster.Allow("create", "events.k8s.io", "events")))
	dir := t.TempDir()
	p := credentialPlugin{hangs: filepath.Join(dir, "hangs"), program: filepath.Join(dir, "plug.sh")}
	script := fmt.Sprintf(`#!/bin/sh
echo "a word of the plugin" >&2
if [ -e %q ]; then exec sleep 1000; fi
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%%s","expirationTimestamp":"%%s"}}' \
	%q "$(date -u -d '+2 seconds' +%%Y-%%m-%%dT%%H:%%M:%%SZ)"
`, p.hangs, account.BearerToken)
	if err := os.WriteFile(p.program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	anonymous := *account
	anonymous.BearerToken = ""
	p.kubeconfig = cluster.WriteKubeconfig(t, &anonymous, namespace)
	kubeconfig, err := clientcmd.LoadFromFile(p.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig.AuthInfos["user"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1", Command: p.program, InteractiveMode: clientcmdapi.IfAvailableExecInteractiveMode,
	}}
	if err := clientcmd.WriteToFile(*kubeconfig, p.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return p
}

// hang lets the plugin hang from its next run on.
func (p credentialPlugin) hang(t *testing.T) {
	t.Helper()
	write(t, p.hangs, "")
}

// start runs a daemon with the plugin and one definition, under a lease.
func (p credentialPlugin) start(t *testing.T, namespace, lease string) *daemon.Process {
	t.Helper()
	return daemon.Start(t, daemon.Options{Kubeconfig: p.kubeconfig, Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "t", namespace: %[1]q, %[2]s}
controllers: maps: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q]}, handler: log: {}}`, namespace, lease)})
}

const pluginHangs = "waiting for the kubeconfig's credential plugin: nothing can be sent to the API server until it returns"

// TestCredentialPluginHangs ends a leader by status 3 when it cannot renew its lease, and by status
// 0 when it is asked to stop, although the requests under way never end.
func TestCredentialPluginHangs(t *testing.T) {
	t.Parallel()
	t.Run("leader", func(t *testing.T) {
		t.Parallel()
		ns := shared.Namespace(t)
		plugin := newCredentialPlugin(t, ns)
		p := plugin.start(t, ns, `leaseDuration: "6s", renewDeadline: "4s", retryPeriod: "1s"`)
		p.AwaitLog(t, "became leader")
		plugin.hang(t)
		p.AwaitLog(t, "stopped leading")
		if got := p.AwaitExit(t); got != 3 {
			t.Errorf("exit status is %d, want 3", got)
		}
		if got := p.Lines("credential plugin wrote", "program", plugin.program, "line", "a word of the plugin"); len(got) == 0 {
			t.Errorf("what the plugin writes is not logged as its words:\n%s", p.Tail(20))
		}
		if strings.Contains("\n"+p.Tail(1000), "\na word of the plugin") {
			t.Error("what the plugin writes is in the log as it is")
		}
	})
	t.Run("standby", func(t *testing.T) {
		t.Parallel()
		ns := shared.Namespace(t)
		plugin, healthy := newCredentialPlugin(t, ns), newCredentialPlugin(t, ns)
		leader := healthy.start(t, ns, longLease)
		leader.AwaitLog(t, "became leader")
		p := plugin.start(t, ns, longLease)
		p.AwaitReady(t)
		plugin.hang(t)
		p.AwaitLog(t, pluginHangs, "program", plugin.program)
		if got := p.Stop(t); got != 0 {
			t.Errorf("exit status is %d, want 0", got)
		}
	})
	t.Run("at the start", func(t *testing.T) {
		t.Parallel()
		ns := shared.Namespace(t)
		plugin := newCredentialPlugin(t, ns)
		plugin.hang(t)
		p := plugin.start(t, ns, longLease)
		p.AwaitLog(t, pluginHangs, "program", plugin.program)
		p.Signal(t, syscall.SIGTERM)
		if got := p.AwaitExit(t); got != 0 {
			t.Errorf("exit status is %d, want 0", got)
		}
		if log := p.Tail(1000); strings.Contains(log, "constructor") {
			t.Errorf("a plugin's constructor is blamed:\n%s", log)
		}
	})
}
