package kube

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/handlers"
)

// gatedClients are a handler's clients of an HTTP server, behind a gate whose term is what
// remaining says.
func gatedClients(t *testing.T, handler http.Handler, remaining func() time.Duration) handlers.Clients {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	metrics, _ := newTestMetrics()
	cluster, err := New(&rest.Config{Host: server.URL}, Options{Metrics: metrics})
	if err != nil {
		t.Fatalf("making the cluster: %v", err)
	}
	t.Cleanup(cluster.Close)
	clients, err := cluster.Clients("pods", NewGate(remaining, metrics), nil)
	if err != nil {
		t.Fatalf("making the clients: %v", err)
	}
	return clients
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// Whichever client of client-go a handler uses, a refused write says why and never leaves the
// process.
func TestRefusalIsFoundThroughClients(t *testing.T) {
	var arrived atomic.Int32
	clients := gatedClients(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		w.WriteHeader(http.StatusTeapot)
	}), always(0))
	typed, err := kubernetes.NewForConfig(clients.REST)
	if err != nil {
		t.Fatal(err)
	}
	pods := typed.CoreV1().Pods("payments")
	generic := clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace("payments")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a"}}}
	writes := map[string]func(ctx context.Context) error{
		"typed create": func(ctx context.Context) error { _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); return err },
		"typed status": func(ctx context.Context) error {
			_, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
			return err
		},
		"typed delete": func(ctx context.Context) error { return pods.Delete(ctx, "a", metav1.DeleteOptions{}) },
		"typed evict": func(ctx context.Context) error {
			return typed.CoreV1().RESTClient().Post().AbsPath(podPath, "eviction").Do(ctx).Error()
		},
		"generic": func(ctx context.Context) error {
			_, err := generic.Update(ctx, object, metav1.UpdateOptions{})
			return err
		},
		"generic apply": func(ctx context.Context) error {
			_, err := generic.Apply(ctx, "a", object, metav1.ApplyOptions{FieldManager: "x"})
			return err
		},
		"generic patch": func(ctx context.Context) error {
			_, err := generic.Patch(ctx, "a", types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
			return err
		},
		"delete collection": func(ctx context.Context) error {
			return generic.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		},
		"exec": func(ctx context.Context) error {
			return typed.CoreV1().RESTClient().Get().AbsPath(podPath, "exec").Do(ctx).Error()
		},
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			if err := write(t.Context()); !errors.Is(err, ErrNotLeading) {
				t.Errorf("error %v, want ErrNotLeading", err)
			}
		})
	}
	if n := arrived.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
	if _, err := pods.Get(t.Context(), "a", metav1.GetOptions{}); errors.Is(err, ErrNotLeading) || arrived.Load() != 1 {
		t.Errorf("a read: %v, %d requests reached the server", err, arrived.Load())
	}
}

// A write that the server does not answer within the term ends with it.
func TestWriteEndsWithTheTerm(t *testing.T) {
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done() // Ends when the client gives up.
	})
	resource := corev1.SchemeGroupVersion.WithResource("pods")
	for name, renewed := range map[string]bool{"the term is over": false, "the lease was renewed meanwhile": true} {
		var sent atomic.Pointer[time.Time]
		remaining := func() time.Duration {
			now := time.Now()
			if sent.CompareAndSwap(nil, &now) {
				return 100 * time.Millisecond
			}
			if renewed {
				return 10 * time.Second
			}
			return 100*time.Millisecond - now.Sub(*sent.Load())
		}
		pods := gatedClients(t, silent, remaining).Dynamic.Resource(resource).Namespace("payments")
		began := time.Now()
		err := pods.Delete(t.Context(), "a", metav1.DeleteOptions{})
		if errors.Is(err, ErrNotLeading) == renewed || time.Since(began) < 100*time.Millisecond {
			t.Errorf("%s, after %s: %v", name, time.Since(began), err)
		}
		slow, ok := errors.AsType[*SlowWriteError](err)
		if renewed && (!ok || slow.Within != 100*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "within 100ms, all that")) {
			t.Errorf("%s: %v", name, err)
		}
	}

	pods := gatedClients(t, silent, always(time.Minute)).Dynamic.Resource(resource).Namespace("payments")
	own := errors.New("the caller's reason")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, own)
	defer cancel()
	if err := pods.Delete(ctx, "a", metav1.DeleteOptions{}); err == nil || errors.Is(err, ErrNotLeading) {
		t.Errorf("the caller gave up first: %v, want another error than ErrNotLeading", err)
	}
}

// The deadline must not cut an answer that has begun within the term while it is being read, and
// its timer is freed when the answer is closed.
func TestAnswerIsReadableUntilClosed(t *testing.T) {
	metrics, _ := newTestMetrics()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-release
		_, _ = io.WriteString(w, " second")
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	seen := make(chan context.Context, 1)
	spy := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		seen <- req.Context()
		return transport.RoundTrip(req)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+podsPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := NewGate(always(patience), metrics).Wrap(spy).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	ctx := <-seen
	close(release)
	body, err := io.ReadAll(resp.Body)
	if string(body) != "first second" || err != nil {
		t.Errorf("read %q, %v", body, err)
	}
	if ctx.Err() != nil {
		t.Errorf("the context has ended before the body was closed: %v", context.Cause(ctx))
	}
	if err := resp.Body.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if ctx.Err() == nil {
		t.Error("the context goes on after the body was closed")
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// After a switch of protocols the body is a connection in both directions, within the term.
func TestUpgradeWithinTheTerm(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijacking: %v", err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString(strings.ToUpper(line))
		_ = rw.Flush()
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	metrics, _ := newTestMetrics()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+podPath+"/exec", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}
	resp, err := NewGate(always(patience), metrics).Wrap(transport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("the body of the upgraded connection cannot be written to: %T", resp.Body)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "HELLO\n" {
		t.Errorf("the other end answered %q, %v", line, err)
	}
}
