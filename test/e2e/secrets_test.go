package e2e_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// loudest is the highest verbosity.
const loudest = "-v=9"

// canaries are secrets by what they are, which must not be seen anywhere.
type canaries map[string]string

// assertUnseen looks for them in a text, as they are, as a Secret has them, and as basic
// authentication does.
func (c canaries) assertUnseen(t *testing.T, where, text string) {
	t.Helper()
	for name, secret := range c {
		encoded := base64.StdEncoding.EncodeToString([]byte(secret))
		basic := base64.StdEncoding.EncodeToString([]byte("user:" + secret))
		for line := range strings.Lines(text) {
			if strings.Contains(line, secret) || strings.Contains(line, encoded) || strings.Contains(line, basic) {
				t.Errorf("%s shows the %s: %.400s", where, name, line)
				break
			}
		}
	}
}

// assertUnseenBy looks at everything that a process shows.
func (c canaries) assertUnseenBy(t *testing.T, p *daemon.Process) {
	t.Helper()
	if !p.Exited() {
		_, metrics := p.Get(t, "metrics", "/metrics")
		c.assertUnseen(t, "/metrics", metrics)
		_, ready := p.Get(t, "health", "/readyz?verbose")
		c.assertUnseen(t, "/readyz?verbose", ready)
	}
	c.assertUnseen(t, "the log", p.Tail(1<<30))
}

const vaultCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: vaults.e2e.example.com}
spec:
  group: e2e.example.com
  scope: Namespaced
  names: {kind: Vault, plural: vaults, singular: vault}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// TestSecretsOfHandlers gives two secrets to programs that print them on both streams and fail, and
// lets kooperd watch Secrets, whose bodies must not be seen either.
func TestSecretsOfHandlers(t *testing.T) {
	ns, dir := shared.Namespace(t), t.TempDir()
	secrets := canaries{"secret from the environment": "CaNaRy-env-4411", "secret from a file": "CaNaRy-file-4412", "watched secret": "CaNaRy-object-4413"}
	file := filepath.Join(dir, "secret")
	write(t, file, secrets["secret from a file"]+"\n")
	shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: watched, namespace: %s}\nstringData: {password: %s}\n", ns, secrets["watched secret"]))
	shared.Apply(t, vaultCRD)
	shared.Apply(t, fmt.Sprintf("apiVersion: e2e.example.com/v1\nkind: Vault\nmetadata: {name: watched, namespace: %s}\npassword: %s\n", ns, secrets["watched secret"]))
	config := filepath.Join(dir, "controllers.cue")
	write(t, config, fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "secrets", namespace: %[1]q}
_watch: {apiVersion: "v1", kind: "Secret", namespaces: [%[1]q]}
_secrets: {A: env: "CANARY_ENV", B: file: %[2]q}
controllers: {
	failing: {
		watch: _watch
		handler: exec: {command: ["sh", "-c", "echo out $A $B; echo $A; echo err $B$A >&2; exit 7"], secretEnv: _secrets}
	}
	terminal: {
		watch: _watch
		handler: exec: {command: ["sh", "-c", "echo $B $A >&2; exit 8"], exitCodes: terminal: [8], secretEnv: _secrets}
	}
	missing: {
		watch: _watch
		handler: exec: {command: ["true"], secretEnv: {A: env: "CANARY_ENV", C: file: %[3]q}}
	}
	seen: {watch: _watch, handler: log: {}}
	custom: {watch: {apiVersion: "e2e.example.com/v1", kind: "Vault", namespaces: [%[1]q]}, handler: log: {}}
}`, ns, file, file+"-missing"))
	// Custom objects travel as JSON and, without streaming lists, in the bodies of answers.
	env := []string{"CANARY_ENV=" + secrets["secret from the environment"], "KUBECONFIG=" + shared.AdminKubeconfig(), "KUBE_FEATURE_WatchListClient=false"}
	p := daemon.Start(t, daemon.Options{Config: config, Kubeconfig: shared.AdminKubeconfig(), Env: env, Args: []string{loudest}})
	p.AwaitLog(t, "object seen", "controller", "seen")
	p.AwaitLog(t, "object seen", "controller", "custom")
	for _, definition := range []string{"failing", "missing"} {
		p.AwaitLog(t, "handling object failed", "controller", definition)
	}
	p.AwaitLog(t, "handling object ended in a terminal error, not retried until it changes", "controller", "terminal")
	p.AwaitLog(t, "program output", "controller", "failing", "line", "out [REDACTED] [REDACTED]")
	p.Await(t, "the failures on /readyz?verbose", func() bool {
		_, body := p.Get(t, "health", "/readyz?verbose")
		return strings.Contains(body, "[-] failing") || strings.Contains(body, "failing:")
	})
	secrets.assertUnseenBy(t, p)
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	secrets.assertUnseenBy(t, p)
	secrets.assertUnseen(t, "an Event", shared.Kubectl(t, "get", "events.events.k8s.io", "-n", ns, "-o", "yaml"))
	secrets.assertUnseen(t, "the lease", shared.Kubectl(t, "get", "lease", "-n", ns, "-o", "yaml"))
	for _, args := range [][]string{{"print", config}, {"print", "-o", "json", config}, {"print", "-o", "cue", config}, {"validate", config}, {"validate", "--json", config}} {
		stdout, stderr, status := kooperd(t, env, args...)
		if status != 0 {
			t.Errorf("kooperd %s: exit status %d: %s", args[0], status, stderr)
		}
		secrets.assertUnseen(t, "kooperd "+strings.Join(args[:2], " "), stdout+stderr)
	}
}

// kubeconfigOf writes a kubeconfig with the server and the proxy-url replaced where they are given.
func kubeconfigOf(t *testing.T, config *rest.Config, server, proxy string) string {
	t.Helper()
	path := cluster.WriteKubeconfig(t, config, "")
	kubeconfig, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range kubeconfig.Clusters {
		c.ProxyURL = proxy
		if server != "" {
			c.Server = server
		}
	}
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// forwardProxy is an HTTP proxy that lets through who comes with the password.
type forwardProxy struct {
	listener net.Listener
	password string
	running  sync.WaitGroup

	mu       sync.Mutex
	admitted int
}

func startForwardProxy(t *testing.T, password string) *forwardProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &forwardProxy{listener: listener, password: password}
	p.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.forward(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.running.Wait() // Its clients, processes of the test, have ended.
	})
	return p
}

// forward serves one client until either side closes.
func (p *forwardProxy) forward(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+p.password))
	if req.Method != http.MethodConnect || req.Header.Get("Proxy-Authorization") != want {
		_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	upstream, err := net.Dial("tcp", req.Host)
	if err != nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer func() { _ = upstream.Close() }()
	p.mu.Lock()
	p.admitted++
	p.mu.Unlock()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(upstream, conn)
		_ = upstream.Close()
	}()
	_, _ = io.Copy(conn, upstream)
}

// TestSecretsOfTheConnection puts a password into each URL that leads to the API server, and a
// token beside them, with an API server that answers, that does not, and that refuses.
func TestSecretsOfTheConnection(t *testing.T) {
	ns := shared.Namespace(t)
	const secret = "CaNaRy-url-4414"
	admin := shared.AdminConfig()
	token := shared.ServiceAccount(t, ns, "kooperd",
		cluster.InNamespace(ns, cluster.Allow("list,watch", "", "configmaps"), cluster.Allow("get,create,update,watch", "coordination.k8s.io", "leases")))
	badToken := rest.CopyConfig(token)
	badToken.BearerToken += "CaNaRy-token"
	unreachable := closedPort(t)
	proxy := startForwardProxy(t, secret)
	userInfo := "user:" + secret + "@"
	server := func(scheme, address string) string { return scheme + "://" + userInfo + address }
	address := strings.TrimPrefix(admin.Host, "https://")
	tests := map[string]struct {
		kubeconfig string
		env        []string
		works      bool
	}{
		"password in the server's URL":      {kubeconfig: kubeconfigOf(t, admin, server("https", address), ""), works: true},
		"the same, nothing listens":         {kubeconfig: kubeconfigOf(t, admin, server("https", unreachable), "")},
		"the same, not a certificate's":     {kubeconfig: kubeconfigOf(t, rest.AnonymousClientConfig(admin), server("https", address), "")},
		"the same, plain HTTP":              {kubeconfig: kubeconfigOf(t, &rest.Config{}, server("http", address), "")},
		"password of the proxy":             {kubeconfig: kubeconfigOf(t, admin, "", server("http", proxy.listener.Addr().String())), works: true},
		"the same, nothing listens, proxy":  {kubeconfig: kubeconfigOf(t, admin, "", server("http", unreachable))},
		"wrong password of the proxy":       {kubeconfig: kubeconfigOf(t, admin, "", "http://other:"+secret+"@"+proxy.listener.Addr().String())},
		"socks proxy":                       {kubeconfig: kubeconfigOf(t, admin, "", server("socks5", unreachable))},
		"proxy of the environment":          {kubeconfig: kubeconfigOf(t, admin, "https://192.0.2.1:6443", ""), env: []string{"HTTPS_PROXY=" + server("http", unreachable)}},
		"no URL as proxy of environment":    {kubeconfig: kubeconfigOf(t, admin, server("https", unreachable), ""), env: []string{"HTTPS_PROXY=" + server("http", "a b:c")}},
		"token":                             {kubeconfig: kubeconfigOf(t, token, "", ""), works: true},
		"token that the API server refuses": {kubeconfig: kubeconfigOf(t, badToken, "", "")},
		"token, nothing listens":            {kubeconfig: kubeconfigOf(t, token, "https://"+unreachable, "")},
	}
	secrets := canaries{"password of a URL": secret, "token": token.BearerToken, "token's signature": token.BearerToken[len(token.BearerToken)-40:]}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			lease := strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(strings.ToLower(name))
			p := daemon.Start(t, daemon.Options{
				Kubeconfig: tc.kubeconfig, Env: tc.env, Args: []string{loudest},
				Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: %q, namespace: %q}
controllers: only: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[2]q]}, handler: log: {}}`, lease, ns),
			})
			if tc.works {
				p.AwaitLog(t, "became leader")
				p.AwaitLog(t, "object seen")
			} else {
				p.Await(t, "the source's failure in the metrics and in the log", func() bool {
					_, ready := p.Get(t, "health", "/readyz?verbose")
					return strings.Contains(ready, "[-] only") || strings.Contains(ready, "[ ] only: Waiting") || strings.Contains(ready, "[ ] only: Syncing") && len(p.Lines("Response")) > 3
				})
			}
			secrets.assertUnseenBy(t, p)
			if got := p.Stop(t); got != 0 {
				t.Errorf("exit status is %d, want 0", got)
			}
			secrets.assertUnseenBy(t, p)
		})
	}
	proxy.mu.Lock()
	defer proxy.mu.Unlock()
	if proxy.admitted == 0 {
		t.Error("no request came through the proxy with the password")
	}
}
