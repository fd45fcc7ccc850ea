package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// startTestProcess runs this binary as devcluster running a component that does not exist.
func startTestProcess(t *testing.T, name string, flags ...string) (*process, layout) {
	t.Helper()
	t.Setenv(actAsProgram, "1")
	l, lock, err := openLayout(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	p, err := startProcess(l, lock, name, flags)
	if err != nil {
		t.Fatal(err)
	}
	return p, l
}

func TestProcessFailureNamesLogAndReason(t *testing.T) {
	p, l := startTestProcess(t, etcdComponent, "/does/not/exist.yaml")
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatal("the component is still there")
	}
	message := p.failure().Error()
	for _, want := range []string{
		"etcd ended (exit status 1): Error: reading the configuration of etcd", "/does/not/exist.yaml", l.logFile(etcdComponent),
	} {
		if !strings.Contains(message, want) {
			t.Errorf("message is %q, want %q in it", message, want)
		}
	}
	if err := p.stop(0); err != nil {
		t.Errorf("stopping what has ended: %v", err)
	}
	if _, err := os.Stat(p.pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("process id file after the stop: %v, want it gone", err)
	}
}

func TestLastError(t *testing.T) {
	for name, tc := range map[string]struct{ log, want string }{
		"empty":              {"", ""},
		"last line":          {"one\ntwo\n\n", "two"},
		"error before usage": {"Error: unknown flag: --x\nUsage: y\n", "Error: unknown flag: --x"},
		"klog":               {"I1 started\nE1 run.go:72] \"command failed\" err=\"no\"\nI1 bye\n", `E1 run.go:72] "command failed" err="no"`},
		"panic":              {"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n", "panic: boom"},
		"only the end of a long log": {
			"Error: of an earlier run\n" + strings.Repeat("noise\n", logTail), "noise",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/log"
			if err := writeFile(path, []byte(tc.log)); err != nil {
				t.Fatal(err)
			}
			if got := lastError(path); got != tc.want {
				t.Errorf("last error is %q, want %q", got, tc.want)
			}
		})
	}
	if got := lastError(t.TempDir() + "/missing"); got != "" {
		t.Errorf("last error of a missing log is %q, want none", got)
	}
}
