// Package access_test checks on a real API server what kooperd says about rights: that the
// resources it knows by itself are those that are served, that `kooperd validate --live` finds what
// is missing, and that a running kooperd does.
package access_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

var shared *cluster.Cluster

// All API versions are served, so that the built-in kinds are all that there are.
func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.Options{Audit: true, APIServerArgs: []string{"runtime-config=api/all=true"}}, &shared))
}

// kooperd runs the program to its end.
func kooperd(t *testing.T, args ...string) (output string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), daemon.Binary(t), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("running kooperd %q: %v", args, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// write writes a config and returns its path.
func write(t *testing.T, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "controllers.cue")
	if err := os.WriteFile(path, []byte("apiVersion: \"kooperd.dev/v1alpha1\"\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
