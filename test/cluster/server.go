package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopTimeout is how long a devcluster may take to stop, which includes the patience it has with
// each of its components.
const stopTimeout = time.Minute

// server is one run of devcluster.
type server struct {
	cmd    *exec.Cmd
	stdin  io.Closer // devcluster stops when it is closed, also by the death of the test
	stdout *firstLine
	stderr bytes.Buffer  // complete when done is closed
	done   chan struct{} // closed when the process has ended
	err    error         // how it ended; valid when done is closed
}

// firstLine is a writer that reports when it has been given a whole line.
type firstLine struct {
	once sync.Once
	seen chan struct{}
}

func (f *firstLine) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, '\n') >= 0 {
		f.once.Do(func() { close(f.seen) })
	}
	return len(p), nil
}

// Start starts the cluster again after Stop or Kill9, on the same data and the same port. It
// returns when the cluster is ready.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	if err := c.start(t.Context()); err != nil {
		t.Fatalf("starting the cluster: %v", err)
	}
}

// Stop stops the cluster in an orderly way. It returns when no process of it is left.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	if err := c.stop(); err != nil {
		t.Fatalf("stopping the cluster: %v", err)
	}
}

// args is the command line of devcluster.
func (c *Cluster) args() []string {
	args := []string{"--dir", c.dataDir(), "--exit-on-stdin-eof", "--ready-timeout", c.opts.StartTimeout.String()}
	if c.opts.Audit {
		args = append(args, "--audit-log", c.auditLog())
	}
	if c.opts.Fsync {
		args = append(args, "--fsync")
	}
	if c.opts.EtcdQuotaBytes > 0 {
		args = append(args, "--etcd-quota-bytes", strconv.FormatInt(c.opts.EtcdQuotaBytes, 10))
	}
	for _, arg := range c.opts.APIServerArgs {
		args = append(args, "--apiserver-arg", arg)
	}
	for _, arg := range c.opts.ControllerManagerArgs {
		args = append(args, "--controller-manager-arg", arg)
	}
	return args
}

func (c *Cluster) start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		return errors.New("it is running already")
	}
	s, err := launch(c.binary, c.args(), c.env)
	if err != nil {
		return err
	}
	select {
	case <-s.stdout.seen:
	case <-s.done:
		return fmt.Errorf("running %s: %w: %s", c.binary, s.err, bytes.TrimSpace(s.stderr.Bytes()))
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), s.stop())
	}
	c.server = s
	return c.connect()
}

// launch starts the process, with env besides the environment of this one. The goroutine that waits
// for it ends with it.
func launch(binary string, args, env []string) (*server, error) {
	s := &server{
		cmd:    exec.Command(binary, args...),
		stdout: &firstLine{seen: make(chan struct{})},
		done:   make(chan struct{}),
	}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.stdout, &s.stderr
	// Ctrl-C at the terminal is for the test; its death closes the standard input of devcluster.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("running %s: %w", binary, err)
	}
	s.stdin = stdin
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("running %s: %w", binary, err)
	}
	go func() {
		defer close(s.done)
		s.err = s.cmd.Wait()
	}()
	return s, nil
}

// stop stops the cluster if it is running, and reports whether it had stopped by itself.
func (c *Cluster) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return nil
	}
	s := c.server
	c.server = nil
	clear(c.frozen)
	select {
	case <-s.done:
		return fmt.Errorf("devcluster had ended by itself: %w: %s", s.err, bytes.TrimSpace(s.stderr.Bytes()))
	default:
		return s.stop()
	}
}

// stop ends the process and waits for it.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling devcluster: %w", err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		_ = s.cmd.Process.Kill()
		<-s.done
		return fmt.Errorf("devcluster has not stopped after %s and was killed", stopTimeout)
	}
	if s.err != nil {
		return fmt.Errorf("stopping devcluster: %w: %s", s.err, bytes.TrimSpace(s.stderr.Bytes()))
	}
	return nil
}

// running reports whether devcluster is there and not frozen.
func (c *Cluster) responsive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server != nil && len(c.frozen) == 0
}
