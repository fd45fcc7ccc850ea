package exec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"kooperd.dev/kooperd/pkg/handlers"
)

// patience is how long tests wait for something that has to happen.
const patience = 30 * time.Second

// eventually waits until done returns true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(patience), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			t.Fatalf("waiting for %s: it has not happened after %s", what, patience)
		case <-tick.C:
		}
	}
}

// pids reads the process ids that programs have written.
func pids(t *testing.T, file string) []int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var found []int
	for line := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}

// state returns the state of a process as /proc gives it, "" when there is none.
func state(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := bytes.Cut(b, []byte(") ")) // the name before may have anything in it
	return string(after[:1])
}

// running reports whether a process can still do something: a zombie cannot.
func running(t *testing.T, pid int) bool {
	t.Helper()
	s := state(t, pid)
	return s != "" && s != "Z" && s != "X"
}

// mustBeGone reports processes that are left. A killed process needs a moment to be taken off its
// processor.
func mustBeGone(t *testing.T, file string, want int) {
	t.Helper()
	started := pids(t, file)
	if len(started) != want {
		t.Errorf("%d processes ran, want %d", len(started), want)
	}
	for _, pid := range started {
		eventually(t, fmt.Sprintf("the end of process %d", pid), func() bool { return !running(t, pid) })
	}
}

// Scripts that write their process ids to the file that is their last argument. They are not
// programs of this test binary: those start too slowly to be under way before their time is up.
const (
	// polite ends at SIGTERM.
	polite = `trap 'echo stopping >&2; exit 0' TERM; echo $$ >> "$1"; sleep 3600 & wait`
	// ignorant ignores SIGTERM.
	ignorant = `trap '' TERM; echo $$ >> "$1"; exec sleep 3600`
	// family ignores SIGTERM and has a child and a grandchild that do so too.
	family = `trap '' TERM; echo $$ >> "$1"
		sh -c 'echo $$ >> "$1"; sh -c '\''echo $$ >> "$1"; exec sleep 3600'\'' sh "$1" & exec sleep 3600' sh "$1" & exec sleep 3600`
	// orphaner ends at once and leaves three children in its group.
	orphaner = `trap '' TERM
		for i in 1 2 3; do sh -c 'echo $$ >> "$1"; exec sleep 3600' sh "$1" & done
		while [ "$(wc -l < "$1")" -lt 3 ]; do sleep 0.01; done`
)

// script returns a config that runs a script, and the file that the script writes process ids to.
func script(t *testing.T, text string) (c config, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "pids")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return config{"command": []string{"/bin/sh", "-c", text, "sh", file}}, file
}

func TestTimeout(t *testing.T) {
	tests := map[string]struct {
		script string
		grace  string
		pids   int
		want   string
	}{
		"program that stops at SIGTERM": {
			script: polite, grace: "1m", pids: 1, want: "it stopped at SIGTERM: stopping",
		},
		"program that does not": {
			script: ignorant, grace: "100ms", pids: 1, want: "it did not stop within 100ms and was killed",
		},
		"no grace": {
			script: ignorant, grace: "0s", pids: 1, want: "it did not stop within 0s and was killed",
		},
		"children and grandchildren that do not": {
			script: family, grace: "100ms", pids: 3, want: "it did not stop within 100ms and was killed",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, file := script(t, tc.script)
			c["timeout"], c["grace"] = "5s", tc.grace // The script has begun by then.
			h, _ := newHandler(t, c)
			_, err := h.Handle(t.Context(), request(t))
			if err == nil || handlers.IsTerminal(err) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Handle = %v, want a timeout to be retried", err)
			} else if !strings.HasPrefix(err.Error(), "running /bin/sh: timed out after 5s: ") || !strings.HasSuffix(err.Error(), tc.want) {
				t.Errorf("Handle = %v, want it to say %q", err, tc.want)
			}
			mustBeGone(t, file, tc.pids)
		})
	}
}

// TestProgramStopsBeforeTheDefinitionsTimeout names the timeout that has ended the program, and no
// time that is in no config.
func TestProgramStopsBeforeTheDefinitionsTimeout(t *testing.T) {
	tests := map[string]struct {
		definition           time.Duration
		timeout, grace, want string
	}{
		"the grace fits": {
			definition: 9 * time.Second, timeout: "0s", grace: "4s",
			want: "timed out 4s before the definition's timeout: it stopped at SIGTERM: stopping",
		},
		"the plugin's own timeout is longer": {
			definition: 9 * time.Second, timeout: "8s", grace: "4s",
			want: "timed out 4s before the definition's timeout: it stopped at SIGTERM: stopping",
		},
		"the grace does not fit": {
			definition: 8 * time.Second, timeout: "0s", grace: "1m",
			want: "timed out at half of the definition's timeout, in which a grace of 1m0s does not fit: it stopped at SIGTERM: stopping",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, file := script(t, polite)
			c["timeout"], c["grace"] = tc.timeout, tc.grace
			h, _ := newHandler(t, c)
			ctx, cancel := context.WithTimeout(t.Context(), tc.definition)
			defer cancel()
			_, err := h.Handle(ctx, request(t))
			if err == nil || err.Error() != "running /bin/sh: "+tc.want || ctx.Err() != nil {
				t.Errorf("Handle = %v, context %v; want %q before the context ends", err, ctx.Err(), tc.want)
			}
			mustBeGone(t, file, 1)
		})
	}
}

// TestTimeoutOfTheDefinitionIsSaidOnce lets the context end at its deadline. That a timeout has
// passed is for the engine to say, so the handler says only how the program ended.
func TestTimeoutOfTheDefinitionIsSaidOnce(t *testing.T) {
	c, file := script(t, ignorant)
	c["grace"] = "0s" // SIGTERM comes at the deadline, when the context ends too
	h, _ := newHandler(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := h.Handle(ctx, request(t))
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("Handle = %v, context %v; want both to end at the deadline", err, ctx.Err())
	}
	if !strings.HasPrefix(err.Error(), "running /bin/sh: it ") {
		t.Errorf("Handle = %v, want it to say how the program ended, and no more", err)
	}
	mustBeGone(t, file, len(pids(t, file))) // the script may not have come to write its own
}

func TestEndOfContextKillsAtOnce(t *testing.T) {
	lost := errors.New("the term is over")
	c, file := script(t, family)
	c["grace"], c["timeout"] = "1h", "1h"
	h, _ := newHandler(t, c)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := h.Handle(ctx, request(t))
		done <- err
	}()
	eventually(t, "three processes", func() bool { return len(pids(t, file)) == 3 })
	within(t, 20*time.Second, func() {
		cancel(lost)
		err := <-done
		if !errors.Is(err, lost) || !strings.HasSuffix(err.Error(), ": killed: the term is over") {
			t.Errorf("Handle = %v, want it to say why the program was killed", err)
		}
	})
	mustBeGone(t, file, 3)
}

func TestEndOfContextDuringTheGraceKillsAtOnce(t *testing.T) {
	c, file := script(t, ignorant)
	t.Parallel()
	c["timeout"], c["grace"] = "4s", "1h" // The script has begun by then.
	h, _ := newHandler(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(6*time.Second, cancel)
	defer timer.Stop()
	within(t, 20*time.Second, func() {
		if _, err := h.Handle(ctx, request(t)); err == nil || !strings.HasSuffix(err.Error(), ": it was killed") {
			t.Errorf("Handle = %v, want the program to be killed", err)
		}
	})
	mustBeGone(t, file, 1)
}

func TestNothingOfTheGroupOutlivesTheProgram(t *testing.T) {
	c, file := script(t, orphaner)
	h, _ := newHandler(t, c)
	within(t, 20*time.Second, func() {
		if _, err := h.Handle(t.Context(), request(t)); err != nil {
			t.Error(err)
		}
	})
	mustBeGone(t, file, 3)
}

func TestProcessThatLeftTheGroupDoesNotHoldTheCall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	h, _ := newHandler(t, program(t, "leaver", file))
	within(t, 20*time.Second, func() {
		if _, err := h.Handle(t.Context(), request(t)); err != nil {
			t.Error(err)
		}
	})
	for _, pid := range pids(t, file) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Errorf("ending the process that left its group: %v", err)
		}
	}
}

// TestOrphansAreReaped makes this process the parent of orphans, as process 1 of a container is.
func TestOrphansAreReaped(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	c, file := script(t, orphaner)
	h, _ := newHandler(t, c)
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			if _, err := h.Handle(t.Context(), request(t)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	for _, pid := range pids(t, file) {
		if s := state(t, pid); s != "" {
			t.Errorf("process %d is left in state %s", pid, s)
		}
	}
}

// TestKilledDaemonLeavesNothing kills the daemon once its programs are tied to it. Before that only
// the program itself goes with the daemon, and not what it has started.
func TestKilledDaemonLeavesNothing(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, file := script(t, family)
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := osexec.CommandContext(t.Context(), self, string(raw))
	cmd.Env = append(os.Environ(), programVariable+"=daemon")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const processes = 9 // three calls with three generations each
	eventually(t, "the processes", func() bool {
		started := pids(t, file)
		return len(started) == processes && !slices.ContainsFunc(started, func(pid int) bool { return !tied(t, pid) })
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("daemon: %v", err)
	}
	mustBeGone(t, file, processes)
}

// tied reports whether the end of the daemon kills the group of a process. Handle sets O_ASYNC
// last, and all who share the pipe's reading end share its flags.
func tied(t *testing.T, pid int) bool {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/20", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "flags:")
	text, _, _ := strings.Cut(strings.TrimSpace(after), "\n")
	flags, err := strconv.ParseUint(text, 8, 32)
	if err != nil {
		t.Fatalf("reading the flags of descriptor 20: %v", err)
	}
	return flags&unix.O_ASYNC != 0
}

// TestDescriptors checks that a program gets none of the daemon's own descriptors.
func TestDescriptors(t *testing.T) {
	own, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	// What the test binary itself was started with may get through above the pipe.
	inherited, err := osexec.CommandContext(t.Context(), "ls", "-1", "/proc/self/fd").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"0", "1", "2", "3", "20"} // 3 is the folder that ls reads, 20 the parent-death pipe
	for fd := range strings.FieldsSeq(string(inherited)) {
		if n, err := strconv.Atoi(fd); err != nil || n > 20 {
			want = append(want, fd)
		}
	}
	h, logs := newHandler(t, config{"command": []string{"ls", "-1", "/proc/self/fd"}})
	if _, err := h.Handle(t.Context(), request(t)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range logs.Entries() {
		got = append(got, fmt.Sprint(e.Values["line"]))
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("open descriptors (-want +got):\n%s", diff)
	}
}
