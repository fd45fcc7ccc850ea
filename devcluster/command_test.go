package main

import (
	"bytes"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	takenPort := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := writeFile(file, nil); err != nil {
		t.Fatal(err)
	}
	held := t.TempDir()
	_, lock, err := openLayout(held)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()

	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no directory":           {nil, exitUsage, "--dir is required"},
		"unknown flag":           {[]string{"--dir", "x", "--bogus"}, exitUsage, "unknown flag: --bogus"},
		"flag of a library":      {[]string{"--dir", "x", "--version"}, exitUsage, "unknown flag: --version"},
		"argument":               {[]string{"start"}, exitUsage, `unexpected argument "start"`},
		"argument of version":    {[]string{"version", "short"}, exitUsage, `unexpected argument "short"`},
		"port out of range":      {[]string{"--dir", "x", "--apiserver-port", "70000"}, exitUsage, "between 0 and 65535"},
		"component flag as flag": {[]string{"--dir", "x", "--apiserver-arg", "--v=4"}, exitUsage, "want KEY=VALUE"},
		"component flag no value": {
			[]string{"--dir", "x", "--controller-manager-arg", "profiling"}, exitUsage, "--controller-manager-arg",
		},
		"negative quota":      {[]string{"--dir", "x", "--etcd-quota-bytes", "-1"}, exitUsage, "must not be negative"},
		"no time":             {[]string{"--dir", "x", "--ready-timeout", "0s"}, exitUsage, "must be positive"},
		"no component":        {[]string{componentCommand}, exitUsage, "devcluster's own use"},
		"unknown component":   {[]string{componentCommand, "kubelet"}, exitUsage, `no component is called "kubelet"`},
		"directory is a file": {[]string{"--dir", file}, exitFailure, "not a directory"},
		"directory in use":    {[]string{"--dir", held}, exitFailure, "in use by another devcluster (process "},
		"port in use": {
			[]string{"--dir", t.TempDir(), "--apiserver-port", takenPort}, exitFailure, "port " + takenPort + " of 127.0.0.1 is not free",
		},
		"audit log in no directory": {
			[]string{"--dir", t.TempDir(), "--audit-log", filepath.Join(file, "audit.log")}, exitFailure, "opening the audit log",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(tc.args, neverEnding{}, &stdout, &stderr); code != tc.code {
				t.Errorf("exit status %d, want %d", code, tc.code)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout has %q, want nothing", stdout.String())
			}
			message := stderr.String()
			if !strings.Contains(message, tc.want) {
				t.Errorf("stderr is %q, want %q in it", message, tc.want)
			}
			if !strings.HasPrefix(message, "devcluster: ") || strings.Count(message, "\n") != 1 {
				t.Errorf("stderr is %q, want one line that begins with the program's name", message)
			}
		})
	}
}

// neverEnding is a standard input that stays open.
type neverEnding struct{}

func (neverEnding) Read([]byte) (int, error) { select {} }

func TestRunVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"version"}, neverEnding{}, &stdout, &stderr); code != exitOK {
		t.Errorf("exit status %d, want %d; stderr: %s", code, exitOK, stderr.String())
	}
	if !strings.HasPrefix(stdout.String(), "Kubernetes v") {
		t.Errorf("stdout is %q, want the version of Kubernetes", stdout.String())
	}
}

func TestMergeArgs(t *testing.T) {
	own := []string{"authorization-mode=RBAC", "profiling=true"}
	for name, tc := range map[string]struct{ extra, want []string }{
		"nothing extra": {nil, []string{"--authorization-mode=RBAC", "--profiling=true"}},
		"another key":   {[]string{"v=4"}, []string{"--authorization-mode=RBAC", "--profiling=true", "--v=4"}},
		"replaced, with an equals sign in the value": {
			[]string{"profiling=a=b"}, []string{"--authorization-mode=RBAC", "--profiling=a=b"},
		},
		"replaced by a list": {
			[]string{"authorization-mode=Node", "authorization-mode=RBAC"},
			[]string{"--profiling=true", "--authorization-mode=Node", "--authorization-mode=RBAC"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, mergeArgs(own, tc.extra)); diff != "" {
				t.Errorf("flags differ (-want +got):\n%s", diff)
			}
		})
	}
}
