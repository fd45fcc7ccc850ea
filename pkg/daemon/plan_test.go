package daemon_test

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/daemon"
)

func TestPlanUsage(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"--dry-run=client", `--dry-run is "client", want server or none`},
		{"-o yaml", "want one of: text, json"},
		{"--timeout=0s", "--timeout is 0s, want more than 0"},
	} {
		stdout, stderr, status := runArgs(t, append([]string{"plan", "testdata/none.yaml"}, strings.Fields(tc.args)...)...)
		if status != daemon.ExitUsage || !strings.Contains(stderr, tc.want) {
			t.Errorf("with %s, exit status is %d and it says %s%s, want %q", tc.args, status, stdout, stderr, tc.want)
		}
	}
}
