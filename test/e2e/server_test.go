package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// watching is a config that has something to do, without leader election.
func watching(namespace string) string {
	return fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: "disabled"
controllers: only: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q]}, handler: log: {}}`, namespace)
}

// mayGet are the rights on paths that are no resources.
func mayGet(paths ...string) cluster.RBAC {
	return cluster.ClusterWide(rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: paths})
}

// delegates are the rights of the ClusterRole system:auth-delegator.
var delegates = cluster.ClusterWide(
	cluster.Allow("create", "authentication.k8s.io", "tokenreviews"),
	cluster.Allow("create", "authorization.k8s.io", "subjectaccessreviews"))

// scrape gets a path of the metrics server over TLS, verifying no certificate unless roots are
// given.
func scrape(t *testing.T, p *daemon.Process, path, token string, roots *x509.CertPool) (code int, body string) {
	t.Helper()
	address := p.AwaitLog(t, "serving", "server", "metrics", "tls", "true").Field("address")
	authorization := ""
	if token != "" {
		authorization = "Bearer " + token
	}
	return get(t, "https://"+address+path, authorization, &tls.Config{RootCAs: roots, InsecureSkipVerify: roots == nil})
}

// get asks for a URL with an Authorization header, unless that is empty, over its own connection.
func get(t *testing.T, url, authorization string, config *tls.Config) (code int, body string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatalf("asking for %s: %v", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading %s: %v", url, err)
	}
	return resp.StatusCode, string(text)
}

// TestAuthenticate lets service accounts with different rights read the metrics and profiles of a
// kooperd that has no more rights than it needs, and then takes the API server away.
func TestAuthenticate(t *testing.T) {
	ns := shared.Namespace(t)
	proxy := shared.Proxy(t)
	own := shared.ServiceAccount(t, ns, "kooperd", delegates, cluster.InNamespace(ns, cluster.Allow("list,watch", "", "configmaps")))
	scraper := shared.ServiceAccount(t, ns, "prometheus", mayGet("/metrics")).BearerToken
	developer := shared.ServiceAccount(t, ns, "developer", mayGet("/debug/pprof/*")).BearerToken
	stranger := shared.ServiceAccount(t, ns, "stranger").BearerToken
	foreign := shared.Token(t, ns, "prometheus", cluster.TokenOptions{Audiences: []string{"somebody-else"}})
	p := daemon.Start(t, daemon.Options{
		Config: watching(ns), Kubeconfig: proxy.Kubeconfig(t, own, ns), Args: []string{"--authenticate", "--profiling", "-v=9"},
	})
	p.AwaitReady(t) // without a token
	account := "system:serviceaccount:" + ns + ":"
	tests := map[string]struct {
		path, token string
		want        int
		body        string
	}{
		"scraper":                       {path: "/metrics", token: scraper, want: 200, body: `kooperd_http_refused_requests_total{reason="forbidden"}`},
		"scraper, profile":              {path: "/debug/pprof/heap", token: scraper, want: 403, body: `user "` + account + `prometheus" may not get /debug/pprof/heap`},
		"developer":                     {path: "/debug/pprof/heap?debug=1", token: developer, want: 200, body: "heap profile"},
		"developer, index":              {path: "/debug/pprof/", token: developer, want: 200, body: "goroutine"},
		"developer, metrics":            {path: "/metrics", token: developer, want: 403, body: `user "` + account + `developer" may not get /metrics`},
		"stranger":                      {path: "/metrics", token: stranger, want: 403, body: `user "` + account + `stranger" may not get /metrics`},
		"no credentials":                {path: "/metrics", want: 401, body: "not authenticated"},
		"no credentials, profile":       {path: "/debug/pprof/heap", want: 401, body: "not authenticated"},
		"no token of this API server":   {path: "/metrics", token: "not-a-token", want: 401, body: "not authenticated"},
		"token with a broken signature": {path: "/metrics", token: scraper[:len(scraper)-6] + "AAAAAA", want: 401, body: "not authenticated"},
		"token for another audience":    {path: "/metrics", token: foreign, want: 401, body: "not authenticated"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if code, body := scrape(t, p, tc.path, tc.token, nil); code != tc.want || !strings.Contains(body, tc.body) {
				t.Errorf("%d %.300q, want %d with %q", code, body, tc.want, tc.body)
			}
		})
	}
	t.Run("reviews are shared", func(t *testing.T) {
		mark, begun := shared.AuditMark(t), time.Now()
		for range 20 {
			scrape(t, p, "/metrics", scraper, nil)
			scrape(t, p, "/metrics", "not-a-token", nil)
		}
		reviews := 0
		for _, e := range shared.AuditSince(t, mark, account) {
			if e.ObjectRef.Resource == "tokenreviews" && e.User.Username == account+"kooperd" {
				reviews++
			}
		}
		// At most one for each of the verdicts that may have ended meanwhile. A refusal does so
		// after ten seconds.
		if reviews > 3+int(time.Since(begun)/(10*time.Second)) {
			t.Errorf("%d token reviews for forty requests with known tokens", reviews)
		}
	})
	t.Run("without the API server", func(t *testing.T) {
		proxy.Refuse()
		proxy.Reset()
		late := shared.Token(t, ns, "prometheus", cluster.TokenOptions{})
		if code, body := scrape(t, p, "/metrics", late, nil); code != 503 || !strings.Contains(body, "the API server cannot be asked") {
			t.Errorf("a token that is not known yet: %d %q, want 503", code, body)
		}
		if code, _ := scrape(t, p, "/metrics", scraper, nil); code != 200 {
			t.Errorf("a token that is: %d, want 200", code)
		}
		p.AwaitLog(t, "refusing requests that could not be decided")
		proxy.Heal()
		p.Await(t, "the scrape with the API server back", func() bool {
			code, _ := scrape(t, p, "/metrics", late, nil)
			return code == 200
		})
	})
	if got := len(p.Lines("serving metrics with a self-signed certificate: clients cannot verify it; use --tls-cert-file for one that they can")); got != 1 {
		t.Errorf("the self-signed certificate is logged %d times, want once", got)
	}
	log := p.Tail(1 << 30)
	for name, token := range map[string]string{"kooperd": own.BearerToken, "prometheus": scraper, "developer": developer, "stranger": stranger, "nobody": "not-a-token"} {
		if strings.Contains(log, token) || strings.Contains(log, token[max(0, len(token)-40):]) {
			t.Errorf("the token of %s is in the log", name)
		}
	}
}

// TestMayNotAsk runs kooperd without the rights to review tokens.
func TestMayNotAsk(t *testing.T) {
	ns := shared.Namespace(t)
	kubeconfig := shared.ServiceAccountKubeconfig(t, ns, "kooperd", cluster.InNamespace(ns, cluster.Allow("list,watch", "", "configmaps")))
	scraper := shared.ServiceAccount(t, ns, "prometheus", mayGet("/metrics")).BearerToken
	p := daemon.Start(t, daemon.Options{Config: watching(ns), Kubeconfig: kubeconfig, Args: []string{"--authenticate"}})
	if code, body := scrape(t, p, "/metrics", scraper, nil); code != 500 || !strings.Contains(body, "system:auth-delegator") {
		t.Errorf("%d %q, want 500 and what is missing", code, body)
	}
	p.AwaitLog(t, "refusing requests that could not be decided")
}

// TestProfilingOnLoopback takes a profile of a second, which any process on this machine may.
func TestProfilingOnLoopback(t *testing.T) {
	ns := shared.Namespace(t)
	p := daemon.Start(t, daemon.Options{Config: watching(ns), Kubeconfig: shared.AdminKubeconfig(), Args: []string{"--profiling"}})
	if code, body := p.Get(t, "metrics", "/debug/pprof/profile?seconds=1"); code != 200 || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("%d and %d bytes, want a gzipped profile", code, len(body))
	}
	if code, _ := p.Get(t, "health", "/debug/pprof/"); code != 404 {
		t.Errorf("profiles on the address of the probes: %d, want 404", code)
	}
	off := daemon.Start(t, daemon.Options{Config: watching(ns), Kubeconfig: shared.AdminKubeconfig()})
	if code, _ := off.Get(t, "metrics", "/debug/pprof/"); code != 404 {
		t.Errorf("profiles without --profiling: %d, want 404", code)
	}
}

// writePair writes a new certificate for 127.0.0.1 and its key, and returns who trusts it alone.
func writePair(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, certFile, string(certPEM))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return roots
}

// TestCertificateIsReplaced rewrites the files of a running kooperd, first with what is no pair.
func TestCertificateIsReplaced(t *testing.T) {
	ns, dir := shared.Namespace(t), t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	first := writePair(t, cert, key)
	p := daemon.Start(t, daemon.Options{
		Config: watching(ns), Kubeconfig: shared.AdminKubeconfig(), Args: []string{"--tls-cert-file", cert, "--tls-private-key-file", key},
	})
	if code, _ := scrape(t, p, "/metrics", "", first); code != 200 {
		t.Errorf("/metrics: %d, want 200", code)
	}
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, key, "-----BEGIN EC PRIVATE KEY-----")
	p.Await(t, "the log line about the bad pair", func() bool {
		scrape(t, p, "/metrics", "", first)
		return len(p.Lines("the TLS certificate cannot be replaced, the former one stays in use")) == 1
	})
	write(t, key, string(good))
	second := writePair(t, cert, key)
	p.Await(t, "the new certificate", func() bool {
		scrape(t, p, "/metrics", "", nil)
		return len(p.Lines("TLS certificate replaced")) == 1
	})
	if code, _ := scrape(t, p, "/metrics", "", second); code != 200 {
		t.Errorf("/metrics with the new certificate: %d, want 200", code)
	}
}

// TestServingUsage is about settings that cannot be meant: nothing is contacted, so any kubeconfig
// will do.
func TestServingUsage(t *testing.T) {
	dir := t.TempDir()
	good, cert, key := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write(t, good, "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n")
	writePair(t, cert, key)
	otherKey := filepath.Join(dir, "other.key")
	writePair(t, filepath.Join(dir, "other.crt"), otherKey)
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"certificate without key":    {args: []string{"--tls-cert-file", cert}, want: "belong together"},
		"key without certificate":    {args: []string{"--tls-private-key-file", key}, want: "belong together"},
		"certificate cannot be read": {args: []string{"--tls-cert-file", cert + "x", "--tls-private-key-file", key}, want: "no such file"},
		"key of another certificate": {args: []string{"--tls-cert-file", cert, "--tls-private-key-file", otherKey}, want: "private key does not match public key"},
		"profiles without a token":   {args: []string{"--profiling"}, want: "use --authenticate too"},
		"profiles without metrics":   {args: []string{"--profiling", "--metrics-bind-address=0"}, want: "which is turned off"},
		"negative delay":             {args: []string{"--shutdown-delay-duration=-1s"}, want: "--shutdown-delay-duration is -1s, want 0 or more"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, status := kooperd(t, []string{"KUBECONFIG=" + shared.AdminKubeconfig()}, append([]string{"--config", good}, tc.args...)...)
			if status != 2 || !strings.Contains(stderr, tc.want) || strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
				t.Errorf("exit status %d, standard error %q; want 2 and one line with %q", status, stderr, tc.want)
			}
		})
	}
}
