// Package daemon runs the built bin/kooperd as a user would, as a separate process, and reads its
// log, probes, metrics and exit status. It is for tests, and looks at nothing inside the process.
// The package cluster has clusters for it.
//
//	d := daemon.Start(t, daemon.Options{Config: "controllers.cue", Kubeconfig: c.AdminKubeconfig()})
//	d.AwaitLog(t, "became leader")
package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
)

// Timeout is how long the Await functions wait: long enough for a slow machine, as they return at
// once when they can. A namespace can take a minute to go where many go.
const Timeout = 150 * time.Second

// Options say what to run.
type Options struct {
	// Binary is the program; empty means bin/kooperd of this repository.
	Binary string
	// Config is the text of the config file, the path of one when it ends in .cue, .yaml, .yml or
	// .json, an absolute path of a directory, or a ConfigMap as configmap:NAMESPACE/NAME.
	Config string
	// Extension is that of a config given as text. Default: .cue.
	Extension string
	// Kubeconfig is the path of the kubeconfig.
	Kubeconfig string
	// Args are further arguments.
	Args []string
	// Env are further environment variables, as NAME=value.
	Env []string
}

// Line is one line of the log.
type Line struct {
	// Time is when the daemon wrote it.
	Time time.Time
	// Message is the constant text.
	Message string
	// Fields are all keys of the line.
	Fields map[string]any
	// Raw is the line as written.
	Raw string
}

// Field returns the value of a key as text, empty when there is none.
func (l Line) Field(key string) string {
	if v, ok := l.Fields[key]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// Process is a running or ended daemon. Its methods may be called concurrently.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed after the process has ended and its log is read

	mu      sync.Mutex
	lines   []Line
	changed chan struct{} // closed and replaced with every line
	state   *os.ProcessState
	ended   time.Time
}

// Root returns the top folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	root, err := cluster.RepositoryRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Binary returns the path of bin/kooperd and fails the test when it is not built.
func Binary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(Root(t), "bin", "kooperd")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("finding kooperd: %v; run: make build", err)
	}
	return path
}

// Start runs the daemon until the test ends or it is stopped.
func Start(t testing.TB, opts Options) *Process {
	t.Helper()
	if opts.Binary == "" {
		opts.Binary = Binary(t)
	}
	args := append([]string{"--config", configPath(t, opts), "--log-format", "json",
		"--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"}, opts.Args...)
	cmd := exec.Command(opts.Binary, args...)
	cmd.Env = append(os.Environ(), append(opts.Env, "KUBECONFIG="+opts.Kubeconfig)...)
	p, err := Run(cmd)
	if err != nil {
		t.Fatalf("starting kooperd: %v", err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of kooperd %d:\n%s", p.Pid(), p.Tail(60))
		}
	})
	return p
}

// Run starts cmd, whose standard error is the log. The caller ends the process, by Signal, Stop or
// Kill.
func Run(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, done: make(chan struct{}), changed: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(stderr, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Kill ends the process at once, whatever its state, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Done is closed when the process has ended and its log is read.
func (p *Process) Done() <-chan struct{} { return p.done }

// run starts the process on a thread that lives as long as it, because the kernel ties Pdeathsig to
// that thread.
func (p *Process) run(stderr io.Reader, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	scanner := bufio.NewScanner(stderr)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.add(scanner.Text())
	}
	_ = p.cmd.Wait() // The state says it all.
	p.mu.Lock()
	p.state, p.ended = p.cmd.ProcessState, time.Now()
	p.mu.Unlock()
}

func (p *Process) add(raw string) {
	line := Line{Raw: raw, Fields: map[string]any{}}
	if json.Unmarshal([]byte(raw), &line.Fields) == nil {
		line.Message = line.Field("msg")
		line.Time, _ = time.Parse(time.RFC3339Nano, line.Field("time"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	close(p.changed)
	p.changed = make(chan struct{})
}

func configPath(t testing.TB, opts Options) string {
	t.Helper()
	if !strings.Contains(opts.Config, "\n") {
		switch filepath.Ext(opts.Config) {
		case ".cue", ".yaml", ".yml", ".json":
			return opts.Config
		}
		if filepath.IsAbs(opts.Config) || strings.HasPrefix(opts.Config, "configmap:") {
			return opts.Config
		}
	}
	if opts.Extension == "" {
		opts.Extension = ".cue"
	}
	path := filepath.Join(t.TempDir(), "controllers"+opts.Extension)
	if err := os.WriteFile(path, []byte(opts.Config), 0o600); err != nil {
		t.Fatalf("writing the config: %v", err)
	}
	return path
}

// Pid returns the process ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal; that the process has ended already is no error.
func (p *Process) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("sending %s to kooperd: %v", sig, err)
	}
}

// AwaitExit waits for the end of the process and returns its exit status, -1 when a signal ended
// it.
func (p *Process) AwaitExit(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(Timeout):
		t.Fatalf("kooperd is still running after %s; its log:\n%s", Timeout, p.Tail(40))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.ExitCode()
}

// Exited reports whether the process has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Ended returns when the process was seen to have ended; it must have.
func (p *Process) Ended() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Stop asks for a clean stop and waits for the exit status.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	return p.AwaitExit(t)
}

// Lines returns the lines so far that have the message and, in keysAndValues, the fields.
func (p *Process) Lines(message string, keysAndValues ...string) []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []Line
	for _, line := range p.lines {
		if line.Message == message && line.has(keysAndValues) {
			found = append(found, line)
		}
	}
	return found
}

func (l Line) has(keysAndValues []string) bool {
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		if l.Field(keysAndValues[i]) != keysAndValues[i+1] {
			return false
		}
	}
	return true
}

// Log returns all lines so far.
func (p *Process) Log() []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// Tail returns the last n lines as written.
func (p *Process) Tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, line := range p.lines[max(0, len(p.lines)-n):] {
		b.WriteString(line.Raw + "\n")
	}
	return b.String()
}

// Await waits until done returns true; it is called again after each line of the log, and at least
// ten times a second.
func (p *Process) Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(Timeout)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond):
		case <-deadline.C:
			t.Fatalf("after %s: %s has not happened; the log of kooperd %d:\n%s", Timeout, what, p.Pid(), p.Tail(40))
		}
	}
}

// AwaitLog waits for a line with the message and the fields, and returns the first one.
func (p *Process) AwaitLog(t testing.TB, message string, keysAndValues ...string) Line {
	t.Helper()
	var found []Line
	p.Await(t, fmt.Sprintf("the log line %q %q", message, keysAndValues), func() bool {
		found = p.Lines(message, keysAndValues...)
		return len(found) > 0
	})
	return found[0]
}

// Get returns status and body of a path of the server "metrics" or "health".
func (p *Process) Get(t testing.TB, server, path string) (int, string) {
	t.Helper()
	address := p.AwaitLog(t, "serving", "server", server).Field("address")
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		t.Fatalf("asking kooperd for %s: %v", path, err)
	}
	client := http.Client{Timeout: Timeout}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("asking kooperd for %s: %v; its log:\n%s", path, err, p.Tail(20))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading %s of kooperd: %v", path, err)
	}
	return resp.StatusCode, string(body)
}

// AwaitReady waits until /readyz answers 200.
func (p *Process) AwaitReady(t testing.TB) {
	t.Helper()
	p.Await(t, "/readyz answering 200", func() bool {
		code, _ := p.Get(t, "health", "/readyz")
		return code == http.StatusOK
	})
}

// Metric returns the value of a series, such as `kooperd_leader` or `x{controller="a"}`, and
// whether /metrics has it.
func (p *Process) Metric(t testing.TB, series string) (string, bool) {
	t.Helper()
	_, body := p.Get(t, "metrics", "/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// Build compiles the main package in dir, which belongs to the main module, and returns the
// program's path.
func Build(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(dir))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", dir, err, out)
	}
	return path
}
