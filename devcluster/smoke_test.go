package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// program is the real devcluster, running as a process of its own.
type program struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// startProgram runs devcluster and returns when it says that it is ready.
func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), actAsProgram+"=1")
	p.cmd.Stderr = &p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("reading the ready line: %v, %v; stderr: %s", err, p.cmd.Wait(), p.stderr.String())
	}
	if want := "ready: export KUBECONFIG=" + filepath.Join(args[1], "kubeconfig") + "\n"; line != want {
		t.Fatalf("stdout is %q, want %q", line, want)
	}
	return p
}

// wait returns the exit status once the program has ended, and what else it wrote to stdout.
func (p *program) wait(t *testing.T) (code int, stdout string) {
	t.Helper()
	rest, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatalf("reading stdout: %v", err)
	}
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		t.Fatalf("waiting for devcluster: %v", err)
	}
	return p.cmd.ProcessState.ExitCode(), string(rest)
}

// pids returns the process ids of the components.
func pids(t *testing.T, dir string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, name := range []string{etcdComponent, apiserverComponent, controllerManagerComponent} {
		pid, err := strconv.Atoi(strings.TrimSpace(string(mustRead(t, layout{dir: dir}.pidFile(name)))))
		if err != nil {
			t.Fatal(err)
		}
		found[name] = pid
	}
	return found
}

// awaitGone waits until none of the processes is left.
func awaitGone(t *testing.T, pids map[string]int) {
	t.Helper()
	for name, pid := range pids {
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
			return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || isZombie(pid), nil
		})
		if err != nil {
			t.Errorf("%s (process %d) is still there", name, pid)
		}
	}
}

// isZombie reports whether the process has ended and nobody has asked yet how.
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(state, []byte("Z"))
}

// clientOf returns a client for the admin kubeconfig in dir.
func clientOf(t *testing.T, dir string) (*rest.Config, kubernetes.Interface) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return config, client
}

// TestSmoke goes through the life of a devcluster: first start, kill, start on the same data, death
// of a component, and a stop.
func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	readyFile := filepath.Join(t.TempDir(), "ready")
	auditLog := filepath.Join(t.TempDir(), "audit.log")
	args := []string{"--dir", dir, "--ready-file", readyFile, "--audit-log", auditLog, "--apiserver-arg", "v=1"}
	p := startProgram(t, args...)
	config, client := clientOf(t, dir)
	token := checkFirstRun(t, dir, readyFile, client)

	components := pids(t, dir)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	awaitGone(t, components)

	p = startProgram(t, args...)
	checkSecondRun(t, config, client, token)
	checkKubectl(t, dir)
	if !bytes.Contains(mustRead(t, auditLog), []byte(`"name":"kept"`)) {
		t.Error("the audit log does not tell of the ConfigMap that was made")
	}

	components = pids(t, dir)
	if err := syscall.Kill(components[etcdComponent], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	code, stdout := p.wait(t)
	if want := "devcluster: etcd ended (signal: killed); its log is " + filepath.Join(dir, "etcd.log") + "\n"; code != exitFailure || stdout != "" || p.stderr.String() != want {
		t.Errorf("after the death of etcd: exit status %d, stdout %q, stderr %q; want status 1 and stderr %q", code, stdout, p.stderr.String(), want)
	}
	awaitGone(t, components)

	p = startProgram(t, append(args, "--exit-on-stdin-eof")...)
	components = pids(t, dir)
	freeze(t, components[controllerManagerComponent])
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	checkStopped(t, p, components, readyFile)
}

// checkFirstRun looks at a fresh cluster and leaves a ConfigMap and a token behind.
func checkFirstRun(t *testing.T, dir, readyFile string, client kubernetes.Interface) (token string) {
	t.Helper()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if info, err := os.Stat(kubeconfig); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig: %v, %v; want mode 600", info, err)
	}
	if got := string(mustRead(t, readyFile)); got != kubeconfig+"\n" {
		t.Errorf("ready file has %q, want the path of the kubeconfig", got)
	}
	ctx := t.Context()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "none.example/none"}}},
	}
	if _, err := client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Errorf("creating a Pod at once: %v", err)
	}
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	if _, err := client.CoreV1().ConfigMaps("default").Create(ctx, kept, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating a ConfigMap: %v", err)
	}
	request, err := client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("requesting a token: %v", err)
	}
	return request.Status.Token
}

// checkSecondRun looks for what the first run has left, through the addresses and credentials of
// then.
func checkSecondRun(t *testing.T, config *rest.Config, client kubernetes.Interface, token string) {
	t.Helper()
	ctx := t.Context()
	if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("getting the ConfigMap of the first run: %v", err)
	}
	account := rest.AnonymousClientConfig(config)
	account.BearerToken = token
	asAccount, err := kubernetes.NewForConfig(account)
	if err != nil {
		t.Fatal(err)
	}
	self, err := asAccount.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("using the token of the first run: %v", err)
	}
	if got := self.Status.UserInfo.Username; got != "system:serviceaccount:default:default" {
		t.Errorf("the token of the first run belongs to %q", got)
	}
	if _, err := asAccount.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("listing Secrets without a role: %v, want it forbidden", err)
	}
}

// checkKubectl runs kubectl as a user would.
func checkKubectl(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "kubectl", "get", "configmap", "kept", "-o", "name")
	cmd.Env = append(os.Environ(), actAsProgram+"=1", "KUBECONFIG="+filepath.Join(dir, "kubeconfig"))
	output, err := cmd.CombinedOutput()
	if err != nil || string(output) != "configmap/kept\n" {
		t.Errorf("kubectl get: %v, output %q", err, output)
	}
	cmd = exec.Command(os.Args[0], "kubectl", "get", "configmap", "missing")
	cmd.Env = append(os.Environ(), actAsProgram+"=1", "KUBECONFIG="+filepath.Join(dir, "kubeconfig"))
	output, err = cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "NotFound") {
		t.Errorf("kubectl get of what is missing: %v, output %q; want it to fail", err, output)
	}
}

// checkStopped waits for the end of p, which must be a success that leaves nothing behind.
func checkStopped(t *testing.T, p *program, components map[string]int, readyFile string) {
	t.Helper()
	code, stdout := p.wait(t)
	if code != exitOK || stdout != "" || p.stderr.Len() > 0 {
		t.Errorf("exit status %d, stdout %q, stderr %q; want status 0 and silence", code, stdout, p.stderr.String())
	}
	if _, err := os.Stat(readyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ready file after the stop: %v, want it gone", err)
	}
	awaitGone(t, components)
}

// freeze stops a process in its tracks.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

// TestSignalStops is the end that a user at a terminal brings about.
func TestSignalStops(t *testing.T) {
	dir, readyFile := t.TempDir(), filepath.Join(t.TempDir(), "ready")
	p := startProgram(t, "--dir", dir, "--ready-file", readyFile, "--fsync")
	components := pids(t, dir)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	checkStopped(t, p, components, readyFile)
}
