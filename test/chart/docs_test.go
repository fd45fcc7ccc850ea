package chart

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/daemon"
)

// releaseBlock is a block of commands that test/docs leaves to this test.
var releaseBlock = regexp.MustCompile("(?s)<!-- test: release -->\n[ \t]*```sh\n(.*?\n)[ \t]*```\n")

// portForward is a command that goes on until somebody ends it.
var portForward = regexp.MustCompile(`(?m)^([ \t]*)(kubectl .*port-forward \S+) ([0-9]+)$`)

// docsPrelude defines what ends a port-forward as soon as it works.
const docsPrelude = `set -eu -o pipefail
forwards() { grep --quiet 'Forwarding from' < <("$@" 2>&1); }
kubectl() { ` + `"$DEVCLUSTER" kubectl "$@"` + `; }
`

// commandsOfDocs runs what the pages say of a release, and what the notes of this one say, as they
// are written.
func (r *release) commandsOfDocs(t *testing.T) {
	t.Helper()
	shared.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hello, namespace: payments, labels: {watched: \"\"}}")
	r.leader(t).AwaitLog(t, "a configmap", "name", "hello")
	pages, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range pages {
		var script strings.Builder
		for _, block := range releaseBlock.FindAllStringSubmatch(readFile(t, page), -1) {
			script.WriteString(block[1])
			found++
		}
		if script.Len() > 0 {
			r.runScript(t, page, strings.NewReplacer("controllers-kooperd", objectName,
				"RELEASE=controllers", "RELEASE="+releaseName, "platform", r.namespace).Replace(script.String()))
		}
	}
	if found < 8 {
		t.Errorf("found %d blocks for a release, want at least 8", found)
	}
	var script strings.Builder
	_, notes, _ := strings.Cut(helm(t, r.helm, "get", "notes", releaseName, "--namespace", r.namespace), "NOTES:\n")
	for line := range strings.Lines(notes) {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "  helm ") {
			script.WriteString(strings.ReplaceAll(line, "KIND/NAMESPACE/NAME", "configmap/payments/hello"))
		}
	}
	if !strings.Contains(script.String(), "kooperd status") {
		t.Errorf("the notes name no command:\n%s", notes)
	}
	r.runScript(t, "NOTES.txt", script.String())
}

// runScript runs commands in bash, as an administrator of the cluster.
func (r *release) runScript(t *testing.T, name, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), daemon.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", docsPrelude+portForward.ReplaceAllString(script, "${1}forwards $2 :$3"))
	cmd.Env = append(os.Environ(), "KUBECONFIG="+shared.AdminKubeconfig(), "POD_NAMESPACE=", "DEVCLUSTER="+binary("devcluster"),
		"PATH="+filepath.Dir(binary("kooperd"))+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", name, err, script, out.String())
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the port-forwards
}
