package cluster

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/net"
)

// TestServerFaults stops, kills and starts its own cluster: data, address and credentials
// stay.
func TestServerFaults(t *testing.T) {
	c := StartServer(t, Options{APIServerArgs: []string{"watch-cache=true"}})
	ctx := t.Context()
	config := c.ServiceAccount(t, "keeper", "keeper", InNamespace("keeper", Allow("create,get,list,watch", "", "configmaps")))
	client := clientFor(t, config).CoreV1().ConfigMaps("keeper")
	through := clientFor(t, c.Proxy(t).Config(config)).CoreV1().ConfigMaps("keeper")
	created, err := client.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	c.Kill9(t)
	if _, err := client.Get(ctx, "kept", metav1.GetOptions{}); !net.IsConnectionRefused(err) {
		t.Errorf("getting from a killed server: %v, want the connection refused", err)
	}
	c.Start(t)
	got, err := client.Get(ctx, "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("getting after the kill: %v", err)
	}
	if got.UID != created.UID {
		t.Errorf("the object has another uid after the kill")
	}
	if _, err := through.Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("getting through a proxy after the kill: %v", err)
	}

	c.Stop(t)
	if _, err := os.Stat(c.AdminKubeconfig()); err != nil {
		t.Errorf("kubeconfig of a stopped cluster: %v", err)
	}
	c.Start(t)
	if _, err := client.Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("getting after the stop: %v", err)
	}
}

func TestFreezeAndThaw(t *testing.T) {
	shared.Freeze(t, APIServer)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := shared.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err == nil || ctx.Err() == nil {
		t.Errorf("listing on a frozen server: %v, want the deadline exceeded", err)
	}
	shared.Thaw(t)
	if _, err := shared.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("listing after the thaw: %v", err)
	}
	if _, err := shared.Client().CoreV1().Nodes().Get(t.Context(), "none", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("getting after the thaw: %v, want not found", err)
	}
}

// TestStopOfFrozenServer shows that a test which forgets to thaw leaves nothing behind, and that
// the death of a component does not go unnoticed.
func TestStopOfFrozenServer(t *testing.T) {
	c := StartServer(t, Options{})
	c.Freeze(t)
	pids := c.pids(t, nil)
	c.Stop(t)
	for name, pid := range pids {
		if state, err := processState(pid); err != nil || (state != 0 && state != 'Z') {
			t.Errorf("%s is in state %q, %v; want it gone", name, state, err)
		}
	}

	c.Start(t)
	signal(t, Etcd, c.pids(t, []Component{Etcd})[Etcd], syscall.SIGKILL)
	<-c.server.done
	if err := c.stop(); err == nil || !strings.Contains(err.Error(), "etcd ended (signal: killed)") {
		t.Errorf("stopping after the death of etcd: %v, want it reported", err)
	}
}

func TestStartFails(t *testing.T) {
	c, err := newCluster(Options{APIServerArgs: []string{"no-such-flag=1"}})
	if err != nil {
		t.Fatal(err)
	}
	err = c.start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("error is %v, want what the API server says", err)
	}
	if err := c.remove(false); err != nil {
		t.Error(err)
	}
}
