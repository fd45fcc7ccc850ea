package exec

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const supported = true

// deathPipeFD is the program's end of the parent-death pipe: above the descriptors that scripts use
// (up to 9) and below those that shells take from the top (63 and down).
const deathPipeFD = 20

const (
	// reapTimeout is how long reap waits for killed processes to go.
	reapTimeout = time.Second
	reapPoll    = 2 * time.Millisecond
)

// group is the process group of a running program, which is its leader.
type group struct {
	id        int
	deathPipe *os.File
}

// startGroup starts cmd as the leader of a process group that does not outlive the daemon, not even
// when that is killed.
//
// The parent-death signal kills the program itself, but not what it has started. For those there is
// the parent-death pipe. Only the daemon has its writing end: when the kernel closes that, it sends
// a signal, set to be SIGKILL, to the owner of the reading end, set to be the group. That works as
// long as one process of the group keeps the descriptor, as the children of shells do.
//
// The kernel accepts no group that does not exist yet, so the pipe is tied right after the program
// has started. What the program starts before that is not killed with a daemon that is killed in
// that moment.
func startGroup(cmd *exec.Cmd) (*group, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("opening a pipe: %w", err)
	}
	defer func() { _ = reader.Close() }()
	cmd.ExtraFiles = make([]*os.File, deathPipeFD-2)
	cmd.ExtraFiles[deathPipeFD-3] = reader
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		_ = writer.Close()
		return nil, err
	}
	g := &group{id: cmd.Process.Pid, deathPipe: writer}
	if err := tie(reader, g.id); err != nil {
		g.kill()
		_ = cmd.Wait()
		g.reap()
		return nil, fmt.Errorf("tying the program to the daemon: %w", err)
	}
	return g, nil
}

// tie makes the end of the pipe's writer kill the group.
func tie(reader *os.File, group int) error {
	raw, err := reader.SyscallConn()
	if err != nil {
		return err
	}
	var tied error
	err = raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil {
			tied = err
			return
		}
		for _, set := range []struct{ command, arg int }{
			{unix.F_SETOWN, -group},
			{unix.F_SETSIG, int(unix.SIGKILL)},
			{unix.F_SETFL, flags | unix.O_ASYNC},
		} {
			if _, tied = unix.FcntlInt(fd, set.command, set.arg); tied != nil {
				return
			}
		}
	})
	return errors.Join(err, tied)
}

// awaitLeader returns when the leader has ended. It does not collect its exit status, so the
// group's number is not given to other processes.
func (g *group) awaitLeader() {
	for {
		err := unix.Waitid(unix.P_PID, g.id, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// terminate asks every process of the group to stop.
func (g *group) terminate() { g.signal(unix.SIGTERM) }

// kill kills every process of the group: none of them executes another instruction of its program.
func (g *group) kill() { g.signal(unix.SIGKILL) }

// signal ignores the error: no such process means that the group is gone, and a process that has
// changed its user can be reached by its parent only.
func (g *group) signal(s syscall.Signal) { _ = unix.Kill(-g.id, s) }

// reap collects the exit statuses of processes of the killed group that have become the daemon's
// children, as orphans do when the daemon is process 1 of its container. See orphanReaper for those
// that have left the group.
func (g *group) reap() {
	defer func() { _ = g.deathPipe.Close() }()
	for begun := time.Now(); ; {
		pid, err := unix.Wait4(-g.id, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR), pid > 0:
			continue
		case err != nil, time.Since(begun) > reapTimeout: // no children left in the group, or one stuck in the kernel
			return
		}
		time.Sleep(reapPoll)
	}
}
