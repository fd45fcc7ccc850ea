package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// logTail is how many bytes at the end of a log are searched for the reason of a failure.
const logTail = 8 << 10

// process is one running component.
type process struct {
	name string
	log  string
	pid  string // the file that holds the process id
	cmd  *exec.Cmd
	// lifeline is held open as long as the component may live: its end is the component's end.
	lifeline *os.File
	done     chan struct{} // closed when the process has ended
	err      error         // how it ended; to be read after done
}

// startProcess runs this program again as the component called name. Its output goes to the log,
// and lock is kept locked by it too.
func startProcess(l layout, lock *os.File, name string, flags []string) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	log, err := os.OpenFile(l.logFile(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer log.Close()
	theirs, lifeline, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer theirs.Close()

	p := &process{name: name, log: l.logFile(name), pid: l.pidFile(name), lifeline: lifeline, done: make(chan struct{})}
	// It has no context: the end of one would kill it, and it is to be stopped in order.
	p.cmd = exec.Command(program, append([]string{componentCommand, name}, flags...)...) //nolint:noctx // see above
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, log, log
	p.cmd.ExtraFiles = []*os.File{lock}
	// In a separate group Ctrl-C reaches devcluster alone, which then stops the components in
	// order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", name, err), lifeline.Close())
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	if err := writeFile(p.pid, []byte(strconv.Itoa(p.cmd.Process.Pid)+"\n")); err != nil {
		return nil, errors.Join(err, p.stop(0))
	}
	return p, nil
}

// wake lets the process go on if somebody has frozen it.
func (p *process) wake() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// stop ends the process: by a signal, and by force when it is still there after grace.
func (p *process) stop(grace time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	err := os.Remove(p.pid)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(p.lifeline.Close(), err)
}

// failure is the error of a component that ended without having been told to. It is valid once the
// process has ended.
func (p *process) failure() error {
	if p.err == nil {
		return fmt.Errorf("%s ended (exit status 0); its log is %s", p.name, p.log)
	}
	// Who is killed has no time to write why.
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok && exit.Exited() {
		if last := lastError(p.log); last != "" {
			return fmt.Errorf("%s ended (%w): %s; its log is %s", p.name, p.err, last, p.log)
		}
	}
	return fmt.Errorf("%s ended (%w); its log is %s", p.name, p.err, p.log)
}

// lastError returns the line at the end of a log that most likely says why its writer ended, or "".
func lastError(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	if len(data) > logTail {
		data = data[len(data)-logTail:]
	}
	lines := strings.Split(string(bytes.TrimSpace(data)), "\n")
	for _, line := range slices.Backward(lines) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Error: ") || strings.HasPrefix(line, "panic: ") || strings.Contains(line, `"command failed"`) {
			return line
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
