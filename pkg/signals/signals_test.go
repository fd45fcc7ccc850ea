package signals_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/signals"
)

// programKey is set in the environment of a test binary that is to be the program of main below.
const programKey = "SIGNALS_TEST_PROGRAM"

func TestMain(m *testing.M) {
	programs := map[string]func(){
		"stop": stopProgram, "next": nextProgram, "pipe": pipeProgram,
		"reload": reloadProgram, "reload once": reloadOnceProgram, "reload coalesced": coalescedProgram,
		"cpu limit": cpuLimitProgram,
	}
	if program, ok := programs[os.Getenv(programKey)]; ok {
		program()
		return
	}
	// What this process catches has its default effect in the programs that it starts, also when
	// SIGHUP was ignored because of nohup.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

// stopProgram says when it can be asked to stop, and when it was; it never ends by itself.
func stopProgram() {
	ctx := signals.Context()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("stopping")
	select {}
}

// nextProgram hears of one more request.
func nextProgram() {
	ctx := signals.Context()
	fmt.Println("ready")
	<-ctx.Done()
	again, release := signals.Next(ctx)
	fmt.Println("stopping")
	<-again.Done()
	release()
	fmt.Println("again")
	select {}
}

// pipeProgram writes to standard error until that fails, and says so on standard output.
func pipeProgram() {
	signals.Context()
	for {
		if _, err := fmt.Fprintln(os.Stderr, "a line of the log"); err != nil {
			fmt.Println(errors.Is(err, syscall.EPIPE))
			return
		}
	}
}

// program is a process of this test binary.
type program struct {
	cmd    *exec.Cmd
	stdout *bufio.Scanner
}

func start(t *testing.T, name string, wrapper ...string) *program {
	t.Helper()
	return startWith(t, name, nil, wrapper...)
}

// startWith starts the program with the file, if any, as its controlling terminal.
func startWith(t *testing.T, name string, terminal *os.File, wrapper ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := slices.Concat(wrapper, []string{self})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // A test that fails must not wait for ever.
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), programKey+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Whether it has a terminal is for the test to say.
	if terminal != nil {
		cmd.Stdin, cmd.SysProcAttr.Setctty = terminal, true
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &program{cmd: cmd, stdout: bufio.NewScanner(stdout)}
}

// await reads one line, which must be want.
func (p *program) await(t *testing.T, want string) {
	t.Helper()
	if !p.stdout.Scan() || p.stdout.Text() != want {
		t.Fatalf("the program wrote %q, want %q (%v)", p.stdout.Text(), want, p.stdout.Err())
	}
}

func (p *program) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// endedBy waits for the end and returns the signal that brought it, or -1.
func (p *program) endedBy(t *testing.T) syscall.Signal {
	t.Helper()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		t.Fatalf("the state of the process is a %T", p.cmd.ProcessState.Sys())
	}
	return status.Signal()
}

func TestFirstSignalEndsTheContext(t *testing.T) {
	for _, first := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(first.String(), func(t *testing.T) {
			p := start(t, "stop")
			p.await(t, "ready")
			p.signal(t, first)
			p.await(t, "stopping")
			p.signal(t, syscall.SIGTERM)
			if got := p.endedBy(t); got != syscall.SIGTERM {
				t.Errorf("it was ended by %v, want the second signal", got)
			}
		})
	}
}

// TestSecondSignalIsNeverLost sends both at once: whenever the second one arrives, the process
// ends.
func TestSecondSignalIsNeverLost(t *testing.T) {
	for range 20 {
		p := start(t, "stop")
		p.await(t, "ready")
		p.signal(t, syscall.SIGINT) // Two of one kind would become one while the first is pending.
		p.signal(t, syscall.SIGTERM)
		if got := p.endedBy(t); got != syscall.SIGTERM && got != syscall.SIGINT {
			t.Errorf("it was ended by %v, want one of the signals", got)
		}
	}
}

func TestNextHearsOfOneMore(t *testing.T) {
	p := start(t, "next")
	p.await(t, "ready")
	p.signal(t, syscall.SIGTERM)
	p.await(t, "stopping")
	p.signal(t, syscall.SIGHUP)
	p.await(t, "again")
	p.signal(t, syscall.SIGHUP)
	if got := p.endedBy(t); got != syscall.SIGHUP {
		t.Errorf("it was ended by %v, want the third signal", got)
	}
}

func TestNohup(t *testing.T) {
	p := start(t, "stop", "sh", "-c", `trap "" HUP; exec "$0"`)
	p.await(t, "ready")
	p.signal(t, syscall.SIGHUP)
	p.signal(t, syscall.SIGINT)
	p.await(t, "stopping") // Had SIGHUP not been ignored, SIGINT would have been the second one.
	p.signal(t, syscall.SIGTERM)
	if got := p.endedBy(t); got != syscall.SIGTERM {
		t.Errorf("it was ended by %v, want SIGTERM", got)
	}
}

// TestClosedPipe closes the reading end of standard error. Without Context the process would be
// ended by SIGPIPE.
func TestClosedPipe(t *testing.T) {
	p := start(t, "pipe", "sh", "-c", `exec 3>&1; "$0" 2>&1 >&3 | true`)
	p.await(t, "true")
	if got := p.endedBy(t); got != -1 {
		t.Errorf("it was ended by %v", got)
	}
}

// TestNextOfAnotherContext catches nothing: an embedder keeps its signals in its own hands.
func TestNextOfAnotherContext(t *testing.T) {
	asked, ask := context.WithCancel(t.Context())
	ask()
	next, release := signals.Next(asked)
	if next.Err() != nil {
		t.Errorf("the next request has come: %v", next.Err())
	}
	release()
	if next.Err() == nil {
		t.Error("the context goes on after its release")
	}
}

func ExampleContext() {
	run := func(ctx context.Context) { // a program
		<-ctx.Done()
		fmt.Println("stopping cleanly")
	}

	ctx := signals.Context()
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // as Kubernetes does when it ends a pod
	run(ctx)
	// Output: stopping cleanly
}
