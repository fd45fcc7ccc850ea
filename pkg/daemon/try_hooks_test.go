package daemon_test

import (
	"strings"
	"testing"
)

const (
	hooksFile = `apiVersion: kooperd.dev/v1alpha1
leaderElection: {namespace: default}
controllers:
  sites:
    watch: {apiVersion: demo.kooperd.dev/v1, kind: Website}
    handler:
      exec:
        compose: true
        command:
          - /bin/sh
          - -c
          - |
            cat >/dev/null
            echo '{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page"},"data":{"a":"b"}}],"status":{"pages":1}}'
        children: [{apiVersion: v1, kind: ConfigMap}]
`
	site = "{apiVersion: demo.kooperd.dev/v1, kind: Website, metadata: {name: shop, namespace: a}}\n"
)

// TestTryRunsProgramsWhenAsked tries a definition that runs a program: that is done only when it is
// allowed.
func TestTryRunsProgramsWhenAsked(t *testing.T) {
	stdout, stderr, status := runTry(t, hooksFile, "--object", file(t, site))
	want := "definition sites asks a program what should exist (exec), which is run only with --run-programs"
	if status != 2 || !strings.Contains(stderr, want) || stdout != "" {
		t.Errorf("status %d, %q and %q, want the error %q", status, stdout, stderr, want)
	}
	for _, flag := range []string{"--run-programs", "--run-hooks"} {
		stdout, stderr, status = runTry(t, hooksFile, "--object", file(t, site), flag)
		if status != 0 || !strings.Contains(stdout, "ConfigMap a/page") {
			t.Errorf("with %s: status %d, and\n%s\n%s", flag, status, stdout, stderr)
		}
	}
}
