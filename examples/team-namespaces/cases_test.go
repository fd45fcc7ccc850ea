package main

import (
	"bytes"
	"testing"

	"kooperd.dev/kooperd/examples/team-namespaces/team"
	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

// TestCases runs the cases of this folder.
func TestCases(t *testing.T) {
	var out bytes.Buffer
	status := daemon.Run(t.Context(), daemon.Options{
		Args: []string{"test", "."}, Stdout: &out, Stderr: &out, Plugins: append(builtin.Plugins(), team.Plugin),
	})
	if status != daemon.ExitOK {
		t.Errorf("exit status is %d, and it prints\n%s", status, out.String())
	}
}
