package e2e_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

// kooperd runs the program to its end.
func kooperd(t *testing.T, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), daemon.Binary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running kooperd %q: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

const tenMistakes = `apiVersion: kooperd.dev/v1alpha1
leaderElection:
  leaseDuration: 15 seconds
controllers:
  Pods:
    watch: {apiVersion: v1, kind: Pod}
    handler: {log: {}}
  one:
    wacth: {apiVersion: v1, kind: Pod}
    watch: {apiVersion: v1}
    handler: {log: {levle: info}}
  two:
    watch: {apiVersion: v1, kind: Pod, labelSelector: "app in web"}
    workers: many
    mode: parallel
    handler: {lgo: {}}
  three:
    watch: {apiVersion: v1, kind: Pod}
    handler: {log: {}, exec: {command: ["true"]}}
`

// TestValidateTenMistakes counts connections to the API server of the kubeconfig: there must be
// none.
func TestValidateTenMistakes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var connections atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = conn.Close()
		}
	}()
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	write(t, kubeconfig, `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c"}}],`+
		`"clusters":[{"name":"c","cluster":{"server":"http://`+listener.Addr().String()+`"}}]}`)
	config := filepath.Join(dir, "controllers.yaml")
	write(t, config, tenMistakes)

	for name, args := range map[string][]string{"validate": {"validate", config}, "run": {"--config", config}} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := kooperd(t, []string{"KUBECONFIG=" + kubeconfig}, args...)
			if status != 2 {
				t.Errorf("exit status is %d, want 2", status)
			}
			lines := strings.Split(strings.TrimSpace(stdout+stderr), "\n")
			if len(lines) != 10 {
				t.Errorf("have %d lines, want ten:\n%s", len(lines), strings.Join(lines, "\n"))
			}
			for _, line := range lines {
				if !strings.HasPrefix(line, config+":") {
					t.Errorf("line %q does not begin with the file", line)
				}
			}
			if n := connections.Load(); n != 0 {
				t.Errorf("the API server was contacted %d times, want 0", n)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.yaml")
	write(t, good, "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n")
	cases := map[string]struct {
		env  []string
		args []string
		want string // in standard error
	}{
		"no config":       {args: nil, want: "no config: use --config FILE"},
		"unknown flag":    {args: []string{"--confg", "x"}, want: "unknown flag: --confg"},
		"unknown command": {args: []string{"valdate"}, want: `unknown command "valdate"`},
		"no such file":    {args: []string{"--config", "no/such/file.cue"}, want: "no/such/file.cue"},
		"log format":      {args: []string{"--config", good, "--log-format", "xml"}, want: `unknown format "xml"`},
		"no kubeconfig": {env: []string{"KUBECONFIG=", "HOME=/nonexistent"}, args: []string{"--config", good},
			want: "use --kubeconfig, set $KUBECONFIG, or run in a pod"},
		"kubeconfig missing": {args: []string{"--config", good, "--kubeconfig", "/no/such/kubeconfig"}, want: "/no/such/kubeconfig"},
		"unknown plugin":     {args: []string{"plugins", "lgo"}, want: `no plugin named "lgo"`},
		"unknown schema":     {args: []string{"schema", "--format", "xsd"}, want: `unknown format "xsd"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, stderr, status := kooperd(t, tc.env, tc.args...)
			if status != 2 {
				t.Errorf("exit status is %d, want 2", status)
			}
			if !strings.Contains(stderr, tc.want) || strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
				t.Errorf("standard error is %q, want one line with %q", stderr, tc.want)
			}
		})
	}
}

// TestAddressInUse is a failure at run time: another process may go away.
func TestAddressInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	good := filepath.Join(t.TempDir(), "good.yaml")
	write(t, good, "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n")
	_, stderr, status := kooperd(t, nil, "--config", good, "--kubeconfig", shared.AdminKubeconfig(),
		"--metrics-bind-address", listener.Addr().String(), "--health-probe-bind-address", "0")
	if status != 1 || !strings.Contains(stderr, "listening for metrics") || !strings.Contains(stderr, "address already in use") {
		t.Errorf("exit status is %d and standard error %q, want 1 and the address in use", status, stderr)
	}
}

func TestPrintIsAConfig(t *testing.T) {
	first, stderr, status := kooperd(t, nil, "print", filepath.Join(daemon.Root(t), "examples", "quickstart", "controllers.cue"))
	if status != 0 {
		t.Fatalf("exit status is %d, want 0: %s", status, stderr)
	}
	path := filepath.Join(t.TempDir(), "printed.yaml")
	write(t, path, first)
	second, stderr, status := kooperd(t, nil, "print", path)
	if status != 0 || second != first {
		t.Errorf("printing what was printed: exit status %d %s, output:\n%s\nwant:\n%s", status, stderr, second, first)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
