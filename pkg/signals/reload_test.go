package signals_test

import (
	"fmt"
	"syscall"
	"testing"

	"kooperd.dev/kooperd/pkg/signals"
)

// reloadProgram takes SIGHUP as a request to reload, to its end.
func reloadProgram() {
	ctx := signals.Context()
	notes, _ := signals.Reload(ctx)
	fmt.Println("ready")
	for stopping := ctx.Done(); ; {
		select {
		case <-notes:
			fmt.Println("reload")
		case <-stopping:
			stopping = nil
			fmt.Println("stopping")
		}
	}
}

// reloadOnceProgram takes the first SIGHUP as a request to reload, and no other.
func reloadOnceProgram() {
	ctx := signals.Context()
	notes, stop := signals.Reload(ctx)
	fmt.Println("ready")
	<-notes
	stop()
	stop()
	fmt.Println("reload")
	<-ctx.Done()
	fmt.Println("stopping")
	select {}
}

// coalescedProgram sends itself many signals before it reads a note. The last one asks for a stop.
func coalescedProgram() {
	ctx := signals.Context()
	notes, _ := signals.Reload(ctx)
	for range 100 {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGHUP)
	}
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGTERM)
	<-ctx.Done()
	<-notes
	fmt.Println(cap(notes))
}

func TestReload(t *testing.T) {
	p := start(t, "reload")
	p.await(t, "ready")
	for range 3 {
		p.signal(t, syscall.SIGHUP)
		p.await(t, "reload")
	}
	p.signal(t, syscall.SIGTERM)
	p.await(t, "stopping")
	p.signal(t, syscall.SIGHUP) // It ends nothing: a stop is clean.
	p.await(t, "reload")
	p.signal(t, syscall.SIGTERM)
	if got := p.endedBy(t); got != syscall.SIGTERM {
		t.Errorf("it was ended by %v, want the second SIGTERM", got)
	}
}

func TestReloadUnderNohup(t *testing.T) {
	p := start(t, "reload", "sh", "-c", `trap "" HUP; exec "$0"`)
	p.await(t, "ready")
	p.signal(t, syscall.SIGHUP)
	p.await(t, "reload")
	p.signal(t, syscall.SIGINT)
	p.await(t, "stopping")
	p.signal(t, syscall.SIGTERM)
	if got := p.endedBy(t); got != syscall.SIGTERM {
		t.Errorf("it was ended by %v, want SIGTERM", got)
	}
}

// TestReloadStopped shows that SIGHUP asks for a stop again.
func TestReloadStopped(t *testing.T) {
	p := start(t, "reload once")
	p.await(t, "ready")
	p.signal(t, syscall.SIGHUP)
	p.await(t, "reload")
	p.signal(t, syscall.SIGHUP)
	p.await(t, "stopping")
	p.signal(t, syscall.SIGHUP)
	if got := p.endedBy(t); got != syscall.SIGHUP {
		t.Errorf("it was ended by %v, want SIGHUP", got)
	}
}

// TestManyRequestsToReload shows that they become one note, and that the request to stop among them
// is heard.
func TestManyRequestsToReload(t *testing.T) {
	p := start(t, "reload coalesced")
	p.await(t, "1")
	if got := p.endedBy(t); got != -1 {
		t.Errorf("it was ended by %v", got)
	}
}

// TestReloadOfAnotherContext catches nothing: an embedder keeps its signals in its own hands.
func TestReloadOfAnotherContext(t *testing.T) {
	notes, stop := signals.Reload(t.Context())
	if notes != nil {
		t.Error("the channel is not nil")
	}
	stop()
}
