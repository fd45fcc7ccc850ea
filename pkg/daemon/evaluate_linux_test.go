package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// parentFile and the others are set in the environment of a test binary that is to be
// parentProgram.
const (
	parentFile   = "KOOPERD_TEST_PARENT_FILE"
	parentCgroup = "KOOPERD_TEST_PARENT_CGROUP"
	parentHolds  = "KOOPERD_TEST_PARENT_HOLDS"
)

// parentProgram joins a cgroup, takes some memory of it, and evaluates a file in a child. It prints
// the error.
func parentProgram(ctx context.Context) int {
	if dir := os.Getenv(parentCgroup); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			fmt.Println("joining the cgroup:", err)
			return 1
		}
	}
	size, _ := strconv.Atoi(os.Getenv(parentHolds))
	held := bytes.Repeat([]byte{1}, size)
	registry, err := handlers.NewRegistry(testPlugins()...)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	files, err := config.Read(ctx, []string{os.Getenv(parentFile)})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := os.Unsetenv(parentFile); err != nil { // The child is no parent.
		return 1
	}
	_, _, err = evaluateInChild(registry)(ctx, files)
	fmt.Println(err)
	if len(held) != size {
		return 1
	}
	return 0
}

// hangingPipe returns the name of a pipe for the hostile plugin. awaitHanging reads from it.
func hangingPipe(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// awaitHanging returns when the plugin hangs. Then gone returns when its process has ended.
func awaitHanging(t *testing.T, pipe string) (gone func()) {
	t.Helper()
	reader, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	lines := bufio.NewReader(reader)
	if line, err := lines.ReadString('\n'); err != nil {
		t.Fatalf("the plugin wrote %q: %v", line, err)
	}
	return func() {
		if _, err := io.Copy(io.Discard, lines); err != nil {
			t.Error(err)
		}
	}
}

// TestChildTellsOfItsCPULimit has a config that takes too much CPU time. The child has to say so
// itself: where others want the processor, too, the kernel may kill it at a limit that it has not
// reached by what is known of it afterwards.
func TestChildTellsOfItsCPULimit(t *testing.T) {
	e := newTestChild(t)
	e.limits.cpu = time.Second
	files := readText(t, cueHead+disjunctions())
	request, err := json.Marshal(evaluationRequest{Files: files.List()})
	if err != nil {
		t.Fatal(err)
	}
	c := &child{limits: e.limits, memory: e.limits.memory}
	c.run(t.Context(), e.program, request)
	answer, err := c.answer(files)
	const want = "controllers.cue: evaluating the config takes more than 1s of CPU time; look for comprehensions"
	if err != nil || len(answer.Diagnostics) != 1 || !strings.Contains(answer.Diagnostics[0].String(), want) {
		t.Errorf("the child has ended with %s, its answer is %+v (%v), want %q", c.state, answer, err, want)
	}
}

func TestEndOfContextKillsChild(t *testing.T) {
	child := newTestChild(t)
	pipe := hangingPipe(t)
	files := readText(t, hostile("hang", pipe))
	ctx, cancel := context.WithCancelCause(t.Context())
	returned := make(chan error, 1)
	go func() {
		_, _, err := child.evaluate(ctx, files)
		returned <- err
	}()
	gone := awaitHanging(t, pipe)
	stop := errors.New("stopping")
	cancel(stop)
	if err := <-returned; !errors.Is(err, stop) {
		t.Errorf("the error is %v, want the cause", err)
	}
	gone()
}

// TestSignalsAreForTheParent sends a child what all processes of the program's name may get.
func TestSignalsAreForTheParent(t *testing.T) {
	for _, signal := range []syscall.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			child := newTestChild(t)
			pipe := hangingPipe(t)
			if err := unix.Mkfifo(pipe+goOn, 0o600); err != nil {
				t.Fatal(err)
			}
			files := readText(t, hostile("wait", pipe))
			returned := make(chan error, 1)
			go func() {
				_, _, err := child.evaluate(t.Context(), files)
				returned <- err
			}()
			awaitHanging(t, pipe)
			pid, err := strconv.Atoi(filepath.Base(childProc(t)))
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Kill(pid, signal); err != nil {
				t.Fatal(err)
			}
			awaitHanging(t, pipe+goOn)
			if err := <-returned; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChildDiesWithParent kills the process that waits for the child.
func TestChildDiesWithParent(t *testing.T) {
	pipe := hangingPipe(t)
	parent := startParent(t, hostile("hang", pipe), "", 0)
	gone := awaitHanging(t, pipe)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	gone()
}

// startParent starts a parentProgram.
func startParent(t *testing.T, text, cgroup string, holds int) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "controllers.cue")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), ownProgram())
	cmd.Env = append(os.Environ(), parentFile+"="+file, parentCgroup+"="+cgroup, parentHolds+"="+strconv.Itoa(holds))
	cmd.Stdout, cmd.Stderr = &bytes.Buffer{}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestChildIsLimited looks at the limits of a process that evaluates.
func TestChildIsLimited(t *testing.T) {
	pipe := hangingPipe(t)
	child := newTestChild(t)
	files := readText(t, hostile("hang", pipe))
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		_, _, _ = child.evaluate(ctx, files)
	}()
	gone := awaitHanging(t, pipe)
	proc := childProc(t)
	for name, want := range map[string]string{"oom_score_adj": "1000\n", "limits": "Max core file size        0                    0 "} {
		if text, err := os.ReadFile(filepath.Join(proc, name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is %s (%v), want %q", name, text, err, want)
		}
	}
	tasks, err := filepath.Glob(filepath.Join(proc, "task", "*", "stat"))
	if err != nil || len(tasks) == 0 {
		t.Fatal("no threads", err)
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if nice := fields[16]; nice != strconv.Itoa(niceness) {
			t.Errorf("the niceness of %s is %s, want %d", task, nice, niceness)
		}
	}
	if env, err := os.ReadFile(filepath.Join(proc, "environ")); err != nil || !bytes.Contains(env, []byte("\x00GOMAXPROCS=1\x00")) {
		t.Errorf("GOMAXPROCS is not 1 (%v)", err)
	}
	cancel()
	<-returned
	gone()
}

// childProc returns the folder in /proc of the one child of this process.
func childProc(t *testing.T) string {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if pids, err := os.ReadFile(task); err == nil && len(pids) > 0 {
			return "/proc/" + strings.Fields(string(pids))[0]
		}
	}
	t.Skip("the kernel does not say what the children of a process are")
	return ""
}

// TestCgroupIsNotFilled offers a file that takes all memory to a process in a cgroup of 128 MiB,
// half of which it has taken itself.
func TestCgroupIsNotFilled(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes memory that no limit counts")
	}
	for name, text := range map[string]string{
		"strings": cueHead + doublings(29),
		"values":  "import \"list\"\n" + cueHead + "x: [for i in list.Range(0, 10000000, 1) {\"\\(i)\"}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			group := newCgroup(t, 128<<20)
			parent := startParent(t, text, group.dir, 60<<20)
			if err := parent.Wait(); err != nil {
				t.Errorf("the parent ended with %v", err)
			}
			const want = "controllers.cue: evaluating the config takes more than "
			out := fmt.Sprint(parent.Stdout)
			if !strings.Contains(out, want) || !strings.Contains(out, " MiB of memory") {
				t.Errorf("the parent says %s", out)
			}
			if kills := group.kills(t); kills != "0" {
				t.Errorf("the kernel has killed %s processes", kills)
			}
			t.Log(strings.TrimSpace(out))
		})
	}
}

// testCgroup is a cgroup below that of the test.
type testCgroup struct {
	dir    string
	events string // the file with a line "oom_kill N"
}

func newCgroup(t *testing.T, limit int) testCgroup {
	t.Helper()
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skipf("no cgroups here: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Skipf("no cgroups here: %v", err)
	}
	own, ok := findMemoryCgroup(string(cgroups), string(mounts))
	if !ok {
		t.Skip("no cgroup accounts the memory of this process")
	}
	dir, err := os.MkdirTemp(own.dir, "kooperd-test-") //nolint:usetesting // it is no folder for files
	if err != nil {
		t.Skipf("no cgroup can be made here: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := os.WriteFile(filepath.Join(dir, own.files.limit), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Skipf("a cgroup of the test has no memory limit: %v", err)
	}
	group := testCgroup{dir, filepath.Join(dir, "memory.events")}
	if own.files == cgroupV1 {
		group.events = filepath.Join(dir, "memory.oom_control")
	}
	return group
}

func (g testCgroup) kills(t *testing.T) string {
	t.Helper()
	events, err := os.ReadFile(g.events)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut("\n"+string(events), "\noom_kill ")
	if !ok {
		t.Fatalf("no number of kills in %s", events)
	}
	kills, _, _ := strings.Cut(rest, "\n")
	return kills
}
