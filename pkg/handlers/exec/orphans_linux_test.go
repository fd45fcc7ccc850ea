package exec

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOrphansOfOtherGroupsAreReaped makes this process the parent of orphans, as process 1 of a
// container is. It also has children of which the status is asked for later: theirs must not be
// taken.
func TestOrphansOfOtherGroupsAreReaped(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	orphan := startOrphan(t)
	sameGroup := startEnded(t, false)

	now := time.Now()
	r := orphanReaper{now: func() time.Time { return now }, adopts: func() bool { return true }}
	r.reap()
	if s := stateOf(t, orphan); s != "Z" {
		t.Fatalf("the orphan is in state %q at once, want it to be left for a minute", s)
	}
	now = now.Add(orphanAge / 2)
	young := startEnded(t, true)
	r.reap()
	now = now.Add(orphanAge / 2)
	r.reap()
	if s := stateOf(t, orphan); s != "" {
		t.Errorf("the orphan is left in state %q", s)
	}
	for name, cmd := range map[string]*exec.Cmd{"of this group": sameGroup, "that has just ended": young} {
		var status *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &status) || status.ExitCode() != 7 {
			t.Errorf("the child %s: %v, want its exit status 7", name, err)
		}
	}

	none := orphanReaper{now: time.Now, adopts: func() bool { return false }}
	none.reap()
	if !none.scanned.IsZero() {
		t.Error("a process that adopts no orphans has looked for them")
	}
}

// startOrphan returns the number of a zombie that has left the group of its parent, which has
// ended.
func startOrphan(t *testing.T) int {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	// The orphan ends when the pipe does, after its parent, which would take its status otherwise.
	ends, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	script := `exec 3<&0; setsid sh -c 'read -r line <&3; exit 0' & echo "$!" > "$1"`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", file)
	cmd.Stdin = ends
	err = cmd.Run()
	if err := errors.Join(err, ends.Close(), end.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	awaitZombie(t, pid)
	return pid
}

// startEnded starts a child of this process, in another group if so asked, and waits for its end
// without taking its status.
func startEnded(t *testing.T, otherGroup bool) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "exit 7")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: otherGroup}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitZombie(t, cmd.Process.Pid)
	return cmd
}

func awaitZombie(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatalf("waiting for process %d: %v", pid, err)
	}
}

// stateOf returns the state of a process, "" when there is none.
func stateOf(t *testing.T, pid int) string {
	t.Helper()
	stat, err := readStat("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return stat.state
}
