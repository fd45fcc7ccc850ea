package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/test/daemon"
)

// fullPipe returns a pipe that takes no more. The test holds both ends.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	if err := w.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("filling a pipe of at most 1 MiB: %v", err)
	}
	return r, w
}

// awaitHolder waits until a lease is held, or with held false until it is free.
func awaitHolder(t *testing.T, namespace, lease string, held bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, daemon.Timeout, true, func(ctx context.Context) (bool, error) {
		got, err := shared.Client().CoordinationV1().Leases(namespace).Get(ctx, lease, metav1.GetOptions{})
		if err != nil {
			return false, nil //nolint:nilerr // it is not there yet
		}
		holder := got.Spec.HolderIdentity
		return (holder != nil && *holder != "") == held, nil
	})
	if err != nil {
		t.Fatalf("waiting for lease %s to be held (%t): %v", lease, held, err)
	}
}

// TestLogThatIsNotRead stops a leader whose standard error is a full pipe: calls end, the lease is
// released, and the process ends.
func TestLogThatIsNotRead(t *testing.T) {
	t.Parallel()
	ns, calls := shared.Namespace(t), newCallLog(t)
	createConfigMap(t, ns, "one")
	config := filepath.Join(t.TempDir(), "controllers.cue")
	write(t, config, fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "unread", namespace: %[1]q}
controllers: {
	loud: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q]}, resync: "1s", handler: log: {}}
	busy: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q], labelSelector: "e2e"}, resync: "1s", handler: %[2]s}
}`, ns, calls.handler("0.05")))
	_, w := fullPipe(t)
	cmd := exec.CommandContext(t.Context(), daemon.Binary(t), "--config", config, "-v=9", "--kubeconfig", shared.AdminKubeconfig(),
		"--metrics-bind-address=0", "--health-probe-bind-address=0")
	cmd.Env = append(os.Environ(), "REPLICA=only")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	awaitHolder(t, ns, "unread", true)
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, daemon.Timeout, true,
		func(context.Context) (bool, error) { return len(calls.spans(t)) > 2, nil }); err != nil {
		t.Fatalf("waiting for calls: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v, want status 0", err)
		}
	case <-time.After(daemon.Timeout):
		t.Fatal("the process goes on")
	}
	awaitHolder(t, ns, "unread", false)
	assertNoOverlap(t, calls.spans(t), 0)
}

// TestLogWhoseReaderIsGone goes on working: a closed pipe ends no leader.
func TestLogWhoseReaderIsGone(t *testing.T) {
	t.Parallel()
	ns, calls := shared.Namespace(t), newCallLog(t)
	createConfigMap(t, ns, "one")
	config := filepath.Join(t.TempDir(), "controllers.cue")
	write(t, config, fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "gone", namespace: %[1]q}
controllers: busy: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q], labelSelector: "e2e"}, resync: "1s", handler: %[2]s}
`, ns, calls.handler("0.05")))
	cmd := exec.CommandContext(t.Context(), daemon.Binary(t), "--config", config, "-v=1", "--kubeconfig", shared.AdminKubeconfig(),
		"--metrics-bind-address=0", "--health-probe-bind-address=0")
	cmd.Env = append(os.Environ(), "REPLICA=only")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stderr, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := stderr.Close(); err != nil {
		t.Fatal(err)
	}
	before := len(calls.spans(t))
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, daemon.Timeout, true,
		func(context.Context) (bool, error) { return len(calls.spans(t)) > before+2, nil }); err != nil {
		t.Fatalf("waiting for calls without a log: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v, want status 0", err)
	}
	awaitHolder(t, ns, "gone", false)
}
