package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockPatience is how long the start waits for the directory to be released. The components of a
// devcluster that was killed keep the directory locked for the moment until they are gone too.
const lockPatience = 3 * time.Second

// layout names the files below the directory of one devcluster.
type layout struct{ dir string }

func (l layout) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}
func (l layout) kubeconfig() string              { return l.path("kubeconfig") }
func (l layout) etcdConfig() string              { return l.path("etcd.yaml") }
func (l layout) auditPolicy() string             { return l.path("audit-policy.yaml") }
func (l layout) ports() string                   { return l.path("ports.json") }
func (l layout) logFile(component string) string { return l.path(component + ".log") }
func (l layout) pidFile(component string) string { return l.path(component + ".pid") }
func (l layout) certFile(name string) string     { return l.path("pki", name+".crt") }
func (l layout) keyFile(name string) string      { return l.path("pki", name+".key") }

// controllerManagerKubeconfig is the identity of kube-controller-manager.
func (l layout) controllerManagerKubeconfig() string { return l.path("controller-manager.kubeconfig") }

// openLayout creates the directory if need be and locks it. The lock is the returned file, which
// holds the process id; it lasts until the file is closed in this process and in every process that
// was given it.
func openLayout(dir string) (layout, *os.File, error) {
	l := layout{dir: dir}
	if err := os.MkdirAll(l.path("pki"), 0o700); err != nil {
		return l, nil, fmt.Errorf("creating the directory: %w", err)
	}
	lock, err := os.OpenFile(l.pidFile("devcluster"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return l, nil, fmt.Errorf("locking the directory: %w", err)
	}
	if err := lockFile(lock, lockPatience); err != nil {
		return l, nil, errors.Join(err, lock.Close())
	}
	if err := lock.Truncate(0); err != nil {
		return l, nil, errors.Join(fmt.Errorf("locking the directory: %w", err), lock.Close())
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return l, nil, errors.Join(fmt.Errorf("locking the directory: %w", err), lock.Close())
	}
	return l, lock, nil
}

// lockFile takes the exclusive lock on f, trying until patience is over.
func lockFile(f *os.File, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("locking the directory: %w", err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is in use by another devcluster%s", filepath.Dir(f.Name()), holder(f.Name()))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// holder describes the process that path names, for an error message.
func holder(path string) string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return ""
	}
	return " (process " + strings.TrimSpace(string(data)) + ")"
}

// writeFile writes a file only its owner can read, so that a reader sees either the old or the
// whole new content.
func writeFile(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(temp.Name()))
	}
	return nil
}
