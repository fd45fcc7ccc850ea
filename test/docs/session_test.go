package docs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

const (
	// patience is how long something may take to come about.
	patience = time.Minute
	// commandTimeout is how long a command may take, such as go build with an empty cache.
	commandTimeout = 5 * time.Minute
)

// session is what a reader has who follows one page in a terminal: a folder that looks like the top
// of the repository, a cluster, and what the commands so far have set.
type session struct {
	page    string
	cluster *cluster.Cluster
	dir     string
	env     []string
	ports   map[string]string // by the port that the page names: the one that a kooperd serves on instead
	state   string            // file with folder and variables as the last block has left them
	jobs    []*job
}

// pagePorts are the ports that pages name, which another process of this machine may have.
var pagePorts = regexp.MustCompile(`\b(8080|8081|9080|9081)\b`)

// programs are what pages run, beside what every machine has.
var programs = map[string]string{"kooperd": "kooperd", "devcluster": "devcluster", "helm": "helm4"}

// newSession prepares a terminal for one page, with a cluster that no other page has meanwhile.
func newSession(t *testing.T, page string) *session {
	t.Helper()
	s := &session{page: page, dir: t.TempDir(), ports: map[string]string{}}
	shareClusters()
	s.cluster = <-free
	t.Cleanup(func() { free <- s.cluster })
	root, err := filepath.Abs(daemon.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	must(t, linkAll(root, s.dir))
	bin := filepath.Join(s.dir, "bin")
	must(t, os.Mkdir(bin, 0o755))
	for name, built := range programs {
		if _, err := os.Stat(filepath.Join(root, "bin", built)); err != nil {
			t.Fatalf("looking for %s: %v; run: make bin/%s", name, err, built)
		}
		must(t, os.Symlink(filepath.Join(root, "bin", built), filepath.Join(bin, name)))
	}
	must(t, os.WriteFile(filepath.Join(bin, "kubectl"), []byte("#!/bin/sh\nexec devcluster kubectl \"$@\"\n"), 0o755))
	must(t, os.Mkdir(filepath.Join(s.dir, ".devcluster"), 0o755))
	kubeconfig, err := os.ReadFile(s.cluster.AdminKubeconfig())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(s.dir, ".devcluster", "kubeconfig"), kubeconfig, 0o600))
	s.state = filepath.Join(t.TempDir(), "state")
	s.env = append(goEnvironment(t), "HOME="+t.TempDir(), "PATH="+bin+":"+os.Getenv("PATH"), "TERM=dumb",
		"KUBECONFIG="+filepath.Join(s.dir, ".devcluster", "kubeconfig"), "ROOT="+root,
		"CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false -ldflags=-s") // linking takes half the time without debugging information
	must(t, os.WriteFile(s.state, []byte("cd "+s.dir+"\n"), 0o600))
	t.Cleanup(func() {
		s.stopAll(t)
		cleanUp(t, s.cluster)
	})
	return s
}

// linkAll makes dir look like the repository, but for what git does not know.
func linkAll(root, dir string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "bin" {
			continue
		}
		if err := os.Symlink(filepath.Join(root, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// goEnvironment keeps the caches of Go where they are although the home of a session is elsewhere.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "GOROOT"}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	must(t, err)
	var env []string
	for i, value := range strings.Split(strings.TrimRight(string(out), "\n"), "\n") {
		env = append(env, names[i]+"="+value)
	}
	return env
}

// fatalf ends the page at one of its blocks.
func (s *session) fatalf(t testing.TB, b block, format string, args ...any) {
	t.Helper()
	t.Fatalf("%s:%d: %s", s.page, b.line, fmt.Sprintf(format, args...))
}

// write writes a block into its file.
func (s *session) write(t testing.TB, b block) {
	t.Helper()
	path := filepath.Join(s.folder(t), b.file)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if b.appended {
		flags = os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(path, flags, 0o644)
	must(t, err)
	if b.appended {
		b.text = "\n" + b.text
	}
	_, err = f.WriteString(b.text)
	must(t, errors.Join(err, f.Close()))
}

// folder is the folder that the commands so far have gone to.
func (s *session) folder(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(s.state)
	must(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimPrefix(first, "cd ")
}

// command prepares a script that goes on where the last one has ended.
func (s *session) command(ctx context.Context, script string) *exec.Cmd {
	script = pagePorts.ReplaceAllStringFunc(script, s.port)
	cmd := exec.CommandContext(ctx, "bash", "-c", fmt.Sprintf(
		"source %[1]s\ntrap '{ echo \"cd $PWD\"; export -p; } >%[1]s' EXIT\nset -eu -o pipefail\n%[2]s", s.state, script))
	cmd.Env = s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// port is the port that takes the place of one that the page names: 0, any free one, until a
// kooperd serves on it.
func (s *session) port(named string) string {
	if port, ok := s.ports[named]; ok {
		return port
	}
	return "0"
}

// run runs a script to its end and returns what it has printed, with the ports as the page names
// them.
func (s *session) run(t testing.TB, b block, script string) (output string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := s.command(ctx, script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		s.fatalf(t, b, "%s\n%v\n%s", script, err, out.String())
	}
	text := out.String()
	for named, port := range s.ports {
		text = strings.ReplaceAll(text, ":"+port, ":"+named)
	}
	return text, cmd.ProcessState.ExitCode()
}

// script runs a whole block, or a hidden command, as one script.
func (s *session) script(t testing.TB, b block, script string) {
	t.Helper()
	s.until(t, b, script, b.status, nil)
}

// shell runs an sh block.
func (s *session) shell(t testing.TB, b block) {
	t.Helper()
	if b.background {
		s.start(t, b, strings.TrimSpace(b.text))
		return
	}
	s.script(t, b, b.text)
}

// console runs a console block and compares what is printed.
func (s *session) console(t testing.TB, b block) {
	t.Helper()
	all := steps(b.text)
	for i, step := range all {
		if step.command == "" {
			s.fatalf(t, b, "output without a command: a command begins with \"$ \"")
		}
		last := i == len(all)-1
		if last && b.background {
			s.start(t, b, step.command).await(t, s, b, step.output)
			return
		}
		want := 0
		if last {
			want = b.status
		}
		if step.output == nil {
			step.output = []string{} // nothing is what it prints
		}
		s.until(t, b, step.command, want, step.output)
	}
}

// until runs a script and wants the exit status and, unless it is nil, the output; it does so
// repeatedly if the block says that it takes time.
func (s *session) until(t testing.TB, b block, script string, want int, shown []string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		out, status := s.run(t, b, script)
		if status == want && (shown == nil || shows(shown, out)) {
			return
		}
		retry := make(<-chan time.Time)
		if b.eventually {
			retry = time.After(100 * time.Millisecond)
		} else {
			deadline = time.After(0)
		}
		select {
		case <-retry:
		case <-deadline:
			s.fatalf(t, b, "$ %s\nexit status %d, want %d; it prints\n%s\nand the page shows\n%s",
				script, status, want, out, strings.Join(shown, "\n"))
		}
	}
}

// logged wants a block of text that is marked so in what the last command in the background prints.
func (s *session) logged(t testing.TB, b block) {
	t.Helper()
	if !b.logged {
		return
	}
	if len(s.jobs) == 0 {
		s.fatalf(t, b, "nothing runs in the background")
	}
	s.jobs[len(s.jobs)-1].await(t, s, b, strings.Split(strings.TrimRight(b.text, "\n"), "\n"))
}

// job is a command in the background.
type job struct {
	command string
	cmd     *exec.Cmd
	done    chan struct{}

	mu      sync.Mutex
	out     bytes.Buffer
	changed chan struct{}
}

// Write keeps what the command prints.
func (j *job) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.changed)
	j.changed = make(chan struct{})
	return j.out.Write(p)
}

func (j *job) printed() (text string, changed <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.out.String(), j.changed
}

var (
	bindFlag = regexp.MustCompile(`--(metrics|health)(?:-probe)?-bind-address \S*:(\d+)`)
	serving  = regexp.MustCompile(`server"?[=:]"?(metrics|health)"?[ ,]"?address"?[=:]"?\S*?:(\d+)\b`)
)

// start starts a command in the background. A kooperd takes free ports instead of those that the
// page names, and is waited for until it serves on them.
func (s *session) start(t testing.TB, b block, command string) *job {
	t.Helper()
	daemon := strings.Contains(command, "--config ")
	if daemon && !strings.Contains(command, "bind-address") {
		command += " --metrics-bind-address 127.0.0.1:8080 --health-probe-bind-address 127.0.0.1:8081"
	}
	j := &job{command: command, done: make(chan struct{}), changed: make(chan struct{})}
	j.cmd = s.command(context.WithoutCancel(t.Context()), "exec "+command)
	j.cmd.Stdout, j.cmd.Stderr = j, j
	must(t, j.cmd.Start())
	s.jobs = append(s.jobs, j)
	go func() {
		defer close(j.done)
		_ = j.cmd.Wait() // stopAll and await say what is wrong
	}()
	if daemon {
		j.await(t, s, b, []string{`…serving…metrics…`, `…serving…health…`})
		s.learnPorts(j)
	}
	return j
}

// learnPorts reads from the log of a kooperd on which ports it serves.
func (s *session) learnPorts(j *job) {
	named := map[string]string{}
	for _, flag := range bindFlag.FindAllStringSubmatch(j.command, -1) {
		named[flag[1]] = flag[2]
	}
	text, _ := j.printed()
	for _, line := range serving.FindAllStringSubmatch(text, -1) {
		if port, ok := named[line[1]]; ok {
			s.ports[port] = line[2]
		}
	}
}

// await waits until the command has printed the lines shown, in that order, whatever stands between
// them.
func (j *job) await(t testing.TB, s *session, b block, shown []string) {
	t.Helper()
	deadline := time.After(patience)
	between := []string{"…"}
	for _, line := range shown {
		between = append(between, line, "…")
	}
	for {
		text, changed := j.printed()
		if shows(between, text[:strings.LastIndex(text, "\n")+1]) {
			return
		}
		select {
		case <-changed:
		case <-j.done:
			if again, _ := j.printed(); again == text {
				s.fatalf(t, b, "it has ended: %v\n%s", j.cmd.ProcessState, text)
			}
		case <-deadline:
			s.fatalf(t, b, "it prints\n%s\nand the page shows\n%s", text, strings.Join(shown, "\n"))
		}
	}
}

// stopAll ends what runs in the background as Ctrl-C does, the last one first.
func (s *session) stopAll(t testing.TB) {
	t.Helper()
	for _, j := range slices.Backward(s.jobs) {
		_ = syscall.Kill(-j.cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-j.done:
		case <-time.After(patience):
			_ = syscall.Kill(-j.cmd.Process.Pid, syscall.SIGKILL)
			<-j.done
			t.Errorf("%s: %s has not stopped", s.page, j.command)
		}
		if code := j.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s: %s has ended with status %d", s.page, j.command, code)
		}
		if text, _ := j.printed(); t.Failed() {
			t.Logf("%s: a command in the background has printed\n%s", s.page, text)
		}
	}
	s.jobs = nil
	clear(s.ports)
}
