package daemon_test

import (
	"bytes"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

// runArgs runs the program with arguments that it refuses, or that make it print something.
func runArgs(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = daemon.Run(t.Context(), daemon.Options{Args: args, Stdout: &out, Stderr: &errs, Plugins: builtin.Plugins()})
	return out.String(), errs.String(), status
}

func TestBadUsage(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no config":         {want: "kooperd: no config: use --config FILE\n"},
		"version as a flag": {args: []string{"--version"}, want: "kooperd: unknown flag: --version; the version is printed by: kooperd version\n"},
		"config as an argument": {args: []string{"c.yaml"},
			want: "kooperd: unknown command \"c.yaml\" for \"kooperd\"; to run a config: kooperd --config c.yaml\n"},
		"misspelt command":      {args: []string{"validte", "c.yaml"}, want: "kooperd: unknown command \"validte\" for \"kooperd\"; did you mean \"validate\"?\n"},
		"beginning of commands": {args: []string{"pl"}, want: "kooperd: unknown command \"pl\" for \"kooperd\"; did you mean \"plan\" or \"plugins\"?\n"},
		"unlike any command":    {args: []string{"deploy"}, want: "kooperd: unknown command \"deploy\" for \"kooperd\"\n"},
		"empty command":         {args: []string{""}, want: "kooperd: unknown command \"\" for \"kooperd\"\n"},
		"unknown plugin":        {args: []string{"plugins", "lgo"}, want: "kooperd: no plugin named \"lgo\"; this binary has apply, exec, log and webhook\n"},
		"verbosity below":       {args: []string{"-c", "c.yaml", "-v=-3"}, want: "kooperd: -v is -3, want a number from 0 to 9\n"},
		"verbosity above":       {args: []string{"-c", "c.yaml", "-v=99"}, want: "kooperd: -v is 99, want a number from 0 to 9\n"},
		"empty address": {args: []string{"-c", "c.yaml", "--metrics-bind-address="},
			want: "kooperd: --metrics-bind-address is empty; to turn the server off use --metrics-bind-address=0\n"},
		"negative timeout": {args: []string{"-c", "c.yaml", "--shutdown-timeout=-1s"}, want: "kooperd: --shutdown-timeout is -1s, want 0 or more\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, stderr, status := runArgs(t, tc.args...)
			if status != daemon.ExitUsage || stderr != tc.want {
				t.Errorf("exit status is %d and standard error %q, want %d and %q", status, stderr, daemon.ExitUsage, tc.want)
			}
		})
	}
}

// TestHelp has one line for each flag, which fits a terminal.
func TestHelp(t *testing.T) {
	help, _, status := runArgs(t, "--help")
	if status != daemon.ExitOK {
		t.Errorf("exit status is %d, want 0", status)
	}
	_, flags, ok := strings.Cut(help, "\nFlags:\n")
	if !ok {
		t.Fatalf("the help has no flags:\n%s", help)
	}
	for line := range strings.Lines(flags) {
		if line == "\n" {
			break
		}
		if len(strings.TrimSpace(line)) > 105 || !strings.HasPrefix(strings.TrimSpace(line), "-") {
			t.Errorf("line %q is not one flag on one line", line)
		}
	}
}
