package e2e_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"kooperd.dev/kooperd/pkg/statusz"
	"kooperd.dev/kooperd/test/daemon"
)

// TestStatusOfAProcess asks a process by its address, and watches it until Ctrl-C.
func TestStatusOfAProcess(t *testing.T) {
	ns := shared.Namespace(t)
	createConfigMap(t, ns, "a")
	p := daemon.Start(t, daemon.Options{Config: watching(ns), Kubeconfig: shared.AdminKubeconfig()})
	p.AwaitReady(t)
	address := p.AwaitLog(t, "serving", "server", "health").Field("address")
	p.AwaitLog(t, "object seen", "name", "a")

	stdout, stderr, status := kooperd(t, nil, "explain", "configmaps/"+ns+"/a", "--address", address, "-o", "json")
	var object statusz.ObjectReport
	if err := json.Unmarshal([]byte(stdout), &object); err != nil || status != 0 || len(object.Definitions) != 1 || !object.Definitions[0].Matches {
		t.Errorf("explain ends with %d, %q, %v and prints %s", status, stderr, err, stdout)
	}
	_, stderr, status = kooperd(t, nil, "explain", "secret/"+ns+"/a", "--address", address)
	if want := "no definition watches secret " + ns + "/a, and it is nobody's child; watched are: ConfigMap"; status != 1 || !strings.Contains(stderr, want) {
		t.Errorf("explain of a Secret ends with %d and %q, want 1 and %q", status, stderr, want)
	}

	cmd := exec.CommandContext(t.Context(), daemon.Binary(t), "status", "--address", address, "--watch", "--interval", "100ms", "-o", "json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for range 3 {
		var report statusz.Report
		if !lines.Scan() {
			t.Fatalf("the watch has ended: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &report); err != nil || len(report.Definitions) != 1 || !report.Leadership.Disabled {
			t.Errorf("the watch prints %v: %s", err, lines.Text())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("on Ctrl-C the watch ends with %v, want status 0", err)
	}
}
