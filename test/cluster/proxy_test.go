package cluster

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// throughProxy returns a new proxy before the shared cluster and a client behind it.
func throughProxy(t *testing.T) (*Proxy, kubernetes.Interface) {
	t.Helper()
	p := shared.Proxy(t)
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig(t, shared.AdminConfig(), ""))
	if err != nil {
		t.Fatal(err)
	}
	if config.ServerName != serverName || config.Insecure {
		t.Fatalf("the client verifies %q (insecure: %v), want %q", config.ServerName, config.Insecure, serverName)
	}
	return p, clientFor(t, config)
}

// create makes a ConfigMap where nothing is in the way.
func create(t *testing.T, client kubernetes.Interface, namespace, name string) error {
	t.Helper()
	return createWithin(t, requestTimeout, client, namespace, name)
}

// createInVain makes a ConfigMap where no answer comes, with a deadline of 500 ms.
func createInVain(t *testing.T, client kubernetes.Interface, namespace, name string) error {
	t.Helper()
	return createWithin(t, 500*time.Millisecond, client, namespace, name)
}

func createWithin(t *testing.T, limit time.Duration, client kubernetes.Interface, namespace, name string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	return second(client.CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{}))
}

func TestProxyBlackhole(t *testing.T) {
	namespace := shared.Namespace(t)
	p, client := throughProxy(t)
	if err := create(t, client, namespace, "before"); err != nil {
		t.Fatalf("creating through a healthy proxy: %v", err)
	}
	p.Blackhole()
	if err := createInVain(t, client, namespace, "lost"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("creating in the black hole: %v, want the deadline exceeded", err)
	}
	if _, err := shared.Client().CoreV1().ConfigMaps(namespace).Get(t.Context(), "lost", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the object of the lost request: %v, want not found", err)
	}
	p.Heal()
	if err := create(t, client, namespace, "after"); err != nil {
		t.Errorf("creating after the heal: %v", err)
	}
}

func TestProxyBlackholeReplies(t *testing.T) {
	namespace := shared.Namespace(t)
	p, client := throughProxy(t)
	if err := create(t, client, namespace, "before"); err != nil {
		t.Fatalf("creating through a healthy proxy: %v", err)
	}
	p.BlackholeReplies()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	created := make(chan error, 1)
	go func() {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "done"}}
		created <- second(client.CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{}))
	}()
	// The request is not given up before the API server has done what it asks for.
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, requestTimeout, true, func(ctx context.Context) (bool, error) {
		_, err := shared.Client().CoreV1().ConfigMaps(namespace).Get(ctx, "done", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		t.Errorf("the object of the request whose reply was lost: %v, want it there", err)
	}
	cancel()
	if err := <-created; !errors.Is(err, context.Canceled) {
		t.Errorf("creating without a reply: %v, want that it was waiting for one", err)
	}
}

func TestProxyStallSparesNewConnections(t *testing.T) {
	namespace := shared.Namespace(t)
	p, client := throughProxy(t)
	if err := create(t, client, namespace, "before"); err != nil {
		t.Fatalf("creating through a healthy proxy: %v", err)
	}
	p.Stall()
	if err := createInVain(t, client, namespace, "lost"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("creating on the stalled connection: %v, want the deadline exceeded", err)
	}
	fresh := p.Config(shared.AdminConfig())
	fresh.Dial = (&net.Dialer{}).DialContext // keeps client-go from sharing the stalled connection
	if err := create(t, clientFor(t, fresh), namespace, "after"); err != nil {
		t.Errorf("creating on a new connection: %v", err)
	}
}

func TestProxyResetEndsWatches(t *testing.T) {
	namespace := shared.Namespace(t)
	p, client := throughProxy(t)
	watch, err := client.CoreV1().ConfigMaps(namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	p.Reset()
	timeout := time.NewTimer(requestTimeout)
	defer timeout.Stop()
	for open := true; open; {
		select {
		case _, open = <-watch.ResultChan():
		case <-timeout.C:
			t.Fatal("the watch goes on after the reset")
		}
	}
	if err := create(t, client, namespace, "after"); err != nil {
		t.Errorf("creating after the reset: %v", err)
	}
	if got := p.Connections(); got != 2 {
		t.Errorf("%d connections, want a second one after the reset", got)
	}
}
