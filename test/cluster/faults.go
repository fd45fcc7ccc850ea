package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Component is one process of the cluster.
type Component string

// The components of a cluster.
const (
	Etcd              Component = "etcd"
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
)

// components lists all of them.
func components() []Component { return []Component{Etcd, APIServer, ControllerManager} }

// Kill9 kills all processes of the cluster at once, as the kernel does when memory runs out. What
// the API server had acknowledged is still there after Start.
func (c *Cluster) Kill9(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		t.Fatal("killing the cluster: it is not running")
	}
	pids := c.pids(t, components())
	s := c.server
	c.server = nil
	clear(c.frozen)
	// devcluster first, so that it does not begin an orderly stop of what is left.
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatalf("killing devcluster: %v", err)
	}
	for name, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("killing %s: %v", name, err)
		}
	}
	<-s.done
	for name, pid := range pids {
		awaitState(t, string(name), pid, "gone", func(state byte) bool { return state == 0 || state == 'Z' })
	}
}

// Freeze stops the given components in their tracks, or all of them if none is given: connections
// stay open and are not answered. Thaw lets them go on; the end of the cluster does too.
func (c *Cluster) Freeze(t testing.TB, only ...Component) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		t.Fatal("freezing the cluster: it is not running")
	}
	for name, pid := range c.pids(t, only) {
		c.stood = append(c.stood, Standstill{Component: name, Began: time.Now()})
		signal(t, name, pid, syscall.SIGSTOP)
		awaitState(t, string(name), pid, "frozen", func(state byte) bool { return state == 'T' })
		c.frozen[name] = true
	}
}

// Standstill is a time for which a component was frozen.
type Standstill struct {
	Component Component
	Began     time.Time
	Ended     time.Time // just before the component goes on; zero while it does not
}

// Standstills returns all times for which a component was frozen, in the order of their beginning.
func (c *Cluster) Standstills() []Standstill {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.stood)
}

// Thaw lets frozen components go on: the given ones, or all of them if none is given.
func (c *Cluster) Thaw(t testing.TB, only ...Component) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		t.Fatal("thawing the cluster: it is not running")
	}
	for name, pid := range c.pids(t, only) {
		for i := range c.stood {
			if s := &c.stood[i]; s.Component == name && s.Ended.IsZero() {
				s.Ended = time.Now()
			}
		}
		signal(t, name, pid, syscall.SIGCONT)
		delete(c.frozen, name)
	}
}

func signal(t testing.TB, name Component, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("sending %s to %s: %v", sig, name, err)
	}
}

// pids returns the process ids of the given components, or of all if none is given.
func (c *Cluster) pids(t testing.TB, only []Component) map[Component]int {
	t.Helper()
	if len(only) == 0 {
		only = components()
	}
	found := map[Component]int{}
	for _, name := range only {
		pid, err := c.pid(name)
		if err != nil {
			t.Fatalf("looking for the process of %s: %v", name, err)
		}
		found[name] = pid
	}
	return found
}

func (c *Cluster) pid(name Component) (int, error) {
	data, err := os.ReadFile(filepath.Join(c.dataDir(), string(name)+".pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(data)))
}

// awaitState waits until the state letter of a process, 0 if it is gone, is as wanted.
func awaitState(t testing.TB, name string, pid int, want string, is func(state byte) bool) {
	t.Helper()
	var state byte
	err := wait.PollUntilContextTimeout(context.WithoutCancel(t.Context()), time.Millisecond, requestTimeout, true,
		func(context.Context) (bool, error) {
			var err error
			state, err = processState(pid)
			return err == nil && is(state), err
		})
	if err != nil {
		t.Fatalf("waiting for %s (process %d, state %q) to be %s: %v", name, pid, state, want, err)
	}
}

// processState returns the letter that Linux gives the state of a process, or 0 if there is none.
func processState(pid int) (byte, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the state of process %d: %w", pid, err)
	}
	_, rest, ok := bytes.Cut(stat, []byte(") "))
	if !ok || len(rest) == 0 {
		return 0, fmt.Errorf("reading the state of process %d: unexpected %q", pid, stat)
	}
	return rest[0], nil
}
