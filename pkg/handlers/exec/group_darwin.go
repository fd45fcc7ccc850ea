package exec

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const supported = true

// group is the process group of a running program, which is its leader. Unlike on Linux it outlives
// a daemon that is killed.
type group struct{ id int }

func startGroup(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &group{id: cmd.Process.Pid}, nil
}

// awaitLeader returns when the leader has ended, and leaves it to be waited for.
func (g *group) awaitLeader() {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(queue) }()
	var change unix.Kevent_t
	unix.SetKevent(&change, g.id, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change.Fflags = unix.NOTE_EXIT
	events := make([]unix.Kevent_t, 1)
	for {
		// A leader that has ended already is an error, ESRCH.
		if _, err := unix.Kevent(queue, []unix.Kevent_t{change}, events, nil); err != unix.EINTR { //nolint:errorlint // a bare errno
			return
		}
	}
}

// terminate asks every process of the group to stop.
func (g *group) terminate() { g.signal(unix.SIGTERM) }

// kill kills every process of the group.
func (g *group) kill() { g.signal(unix.SIGKILL) }

func (g *group) signal(s syscall.Signal) { _ = unix.Kill(-g.id, s) }

// reap has nothing to do: orphans belong to launchd.
func (*group) reap() {}

// orphans has nothing to do here.
var orphans orphanReaper

type orphanReaper struct{}

func (orphanReaper) reap() {}
