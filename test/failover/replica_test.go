package failover_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// replica is a place where one process after the other runs, with a service account and a proxy of
// its own.
type replica struct {
	scene      *scene
	name       string
	proxy      *cluster.Proxy
	kubeconfig string
	process    *daemon.Process
	pod        int  // counts the pods in this place; each is another identity
	stopped    bool // it was asked to stop
	killed     bool // it was killed
}

// identity is the holderIdentity of the present pod.
func (r *replica) identity() string { return fmt.Sprintf("%s_%d", r.name, r.pod) }

// start runs a process in a new pod and waits until its caches are warm.
func (r *replica) start(t testing.TB) {
	t.Helper()
	r.pod++
	r.launch(t)
	r.scene.program.ready(t, r.process)
}

// launch runs a process in the present pod, where another may have run before, and does not wait.
func (r *replica) launch(t testing.TB) {
	t.Helper()
	r.stopped, r.killed = false, false
	r.process = daemon.Start(t, daemon.Options{
		Binary: r.scene.program.binary, Config: r.scene.config, Kubeconfig: r.kubeconfig,
		Env: []string{"POD_NAME=" + r.name, fmt.Sprintf("POD_UID=%d", r.pod)},
	})
}

// hasLooked reports whether the process, if there is one, has seen the lease.
func (r *replica) hasLooked() bool {
	return r.process.Exited() || len(r.process.Lines("leader changed")) > 0
}

// stop asks the process to stop and does not wait.
func (r *replica) stop(t testing.TB) {
	t.Helper()
	r.stopped = true
	r.process.Signal(t, syscall.SIGTERM)
}

// kill ends the process at once.
func (r *replica) kill(t testing.TB) {
	t.Helper()
	r.killed = true
	r.process.Signal(t, syscall.SIGKILL)
}

func (r *replica) freeze(t testing.TB) {
	t.Helper()
	r.process.Signal(t, syscall.SIGSTOP)
}

func (r *replica) thaw(t testing.TB) {
	t.Helper()
	r.process.Signal(t, syscall.SIGCONT)
}

// ended waits for the end of the process and checks how it ended, if it is kooperd.
func (r *replica) ended(t testing.TB) (status int) {
	t.Helper()
	status = r.process.AwaitExit(t)
	if !r.scene.program.ours {
		return status
	}
	for _, complaint := range r.complaints(status) {
		t.Errorf("%s: %s", r.identity(), complaint)
	}
	return status
}

// complaints says what is wrong with the way in which the process has ended.
func (r *replica) complaints(status int) []string {
	var found []string
	want := []int{3}
	if r.stopped {
		want = append(want, 0)
	}
	// A signal can also be faster than a program that has just been started, and has said nothing.
	if r.killed || r.stopped && r.process.Tail(1) == "" {
		want = append(want, -1)
	}
	if !slices.Contains(want, status) {
		found = append(found, fmt.Sprintf("exit status %d, want one of %v; its last words:\n%s", status, want, r.process.Tail(15)))
	}
	if log := r.process.Tail(math.MaxInt); strings.Contains(log, "panic") {
		found = append(found, "its log has a panic:\n"+r.process.Tail(60))
	}
	return found
}
