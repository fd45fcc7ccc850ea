package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kooperd.dev/kooperd/pkg/statusz"
)

// fakeReplica answers as the page of a replica does.
type fakeReplica struct {
	report  *statusz.Report
	objects map[string]*statusz.ObjectReport // by path
	token   string                           // wanted; empty for none

	mu     sync.Mutex
	tokens []string // of all requests
	asked  []string // their URLs
}

func (f *fakeReplica) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.tokens, f.asked = append(f.tokens, r.Header.Get("Authorization")), append(f.asked, r.URL.String())
	f.mu.Unlock()
	if f.token != "" && r.Header.Get("Authorization") != "Bearer "+f.token {
		http.Error(w, "not authenticated: want a valid bearer token", http.StatusUnauthorized)
		return
	}
	var answer any
	switch object := f.objects[r.URL.EscapedPath()]; {
	case r.URL.Query().Get("format") != "json":
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	case r.URL.Path == "/statusz":
		answer = f.report
	case object != nil:
		answer = object
	default:
		http.Error(w, "no definition watches the kind", http.StatusNotFound)
		return
	}
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // The client has gone if this fails.
}

// serve serves a page, and returns its address.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// runCommand runs a command to its end.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Run(t.Context(), Options{Args: args, Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), status
}

func TestStatusOfAnAddress(t *testing.T) {
	replica := &fakeReplica{report: leaderReport()}
	address := serve(t, replica)
	stdout, stderr, status := runCommand(t, "status", "--address", address, "--objects", "7")
	if status != ExitOK || stderr != "" {
		t.Fatalf("exit status %d, standard error %q", status, stderr)
	}
	golden(t, "leader.txt", stdout)
	if want := []string{"/statusz?format=json&items=7"}; fmt.Sprint(replica.asked) != fmt.Sprint(want) || replica.tokens[0] != "" {
		t.Errorf("asked was %q with %q, want %q", replica.asked, replica.tokens, want)
	}
	stdout, _, status = runCommand(t, "status", "--address", "http://"+address+"/", "-o", "json")
	var report statusz.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || status != ExitOK || report.Process.Name != leaderName {
		t.Errorf("JSON: status %d, %v: %s", status, err, stdout)
	}
}

func TestExplainAnAddress(t *testing.T) {
	shop := objectReports()["handled"]
	report := leaderReport()
	report.Sources = append(report.Sources, statusz.Source{APIVersion: "apps/v1", Kind: "Deployment"})
	replica := &fakeReplica{report: report, objects: map[string]*statusz.ObjectReport{
		"/objects/Website/team-a/shop":    shop,
		"/objects/Deployment/team-a/shop": objectReports()["child"],
		"/objects/Node/n1":                {Version: statusz.Version, Object: statusz.ObjectRef{Kind: "Node", Name: "n1"}},
	}}
	address := serve(t, replica)
	for _, kind := range []string{"website", "Website", "websites", "websites.demo.kooperd.dev"} {
		stdout, stderr, status := runCommand(t, "explain", kind+"/team-a/shop", "--address", address)
		if status != ExitOK || stderr != "" {
			t.Errorf("%s: exit status %d, standard error %q", kind, status, stderr)
			continue
		}
		golden(t, "explain-handled.txt", stdout)
	}
	if last := replica.asked[len(replica.asked)-1]; last != "/objects/Website/team-a/shop?apiVersion=demo.kooperd.dev%2Fv1&format=json" {
		t.Errorf("asked was for %s", last)
	}
	if stdout, stderr, status := runCommand(t, "explain", "deploy/team-a/shop", "--address", address); status != ExitOK || stderr != "" {
		t.Errorf("a child by the short name of its kind: exit status %d, standard error %q", status, stderr)
	} else {
		golden(t, "explain-child.txt", stdout)
	}
	stdout, _, status := runCommand(t, "explain", "website/team-a/shop", "--address", address, "-o", "json")
	var object statusz.ObjectReport
	if err := json.Unmarshal([]byte(stdout), &object); err != nil || status != ExitOK || len(object.Definitions) != 1 {
		t.Errorf("JSON: exit status %d, %v: %s", status, err, stdout)
	}
	const watched = "; watched are: ConfigMap, Node, Pod, Secret, Website.demo.kooperd.dev, Widget.example.com\n"
	for object, want := range map[string]string{
		"node/n1":         "kooperd: no definition watches Node n1, and it is nobody's child; of its kind there are: nodes, which is Running\n", // known, and nothing said of it
		"secret/team-b/x": "kooperd: no definition watches Secret team-b/x, and it is nobody's child; of its kind there are: secrets, which is Degraded: forbidden to list and watch secrets\n",
		"gadget/team-a/x": "kooperd: no definition watches gadget team-a/x, and it is nobody's child" + watched,
		"no/team-a/n1":    "kooperd: a Node is in no namespace: want no/n1\n",
		"pod/x":           "kooperd: a Pod is in a namespace: want pod/NAMESPACE/x\n",
	} {
		if _, stderr, status := runCommand(t, "explain", object, "--address", address); status != ExitFailure || stderr != want {
			t.Errorf("%s: exit status %d, standard error %q, want %q", object, status, stderr, want)
		}
	}
}

func TestAnswersThatAreNoReport(t *testing.T) {
	answers := func(code int, text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(text))
		})
	}
	other := leaderReport()
	other.Version = "v9"
	for want, handler := range map[string]http.Handler{
		"has no status page: it is an older kooperd, or something else":                                  answers(http.StatusNotFound, "404 page not found\n"),
		"answers 503: 8 requests are being answered already: ask again":                                  answers(http.StatusServiceUnavailable, "8 requests are being answered\n already: ask again\n"),
		"it is no report of kooperd: invalid character '<' looking for beginning of value":               answers(http.StatusOK, "<html>"),
		"answers with something else than a report of kooperd":                                           answers(http.StatusOK, "{}"),
		"speaks version v9 of the report and this program v1alpha1: use the kooperd of the same release": &fakeReplica{report: other},
		"asks for a bearer token: --authenticate sends that of the kubeconfig's user":                    &fakeReplica{report: other, token: "t"},
		"answers 302: ": http.RedirectHandler("http://example.com/", http.StatusFound),
	} {
		if _, stderr, status := runCommand(t, "status", "--address", serve(t, handler)); status != ExitFailure || !strings.Contains(stderr, want) {
			t.Errorf("exit status %d, standard error %q, want %q", status, stderr, want)
		}
	}
}

// TestNoAnswer has an address at which nothing is, and one that never answers.
func TestNoAnswer(t *testing.T) {
	stuck := make(chan struct{})
	address := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}))
	defer close(stuck)
	if _, stderr, status := runCommand(t, "status", "--address", address, "--timeout", "50ms"); status != ExitFailure ||
		stderr != fmt.Sprintf("kooperd: no answer from %s within 50ms\n", address) {
		t.Errorf("no answer: exit status %d, standard error %q", status, stderr)
	}
	if _, stderr, status := runCommand(t, "status", "--address", "127.0.0.1:1"); status != ExitFailure || !strings.Contains(stderr, "asking 127.0.0.1:1: ") {
		t.Errorf("nothing there: exit status %d, standard error %q", status, stderr)
	}
}

// userKubeconfig writes a kubeconfig with a user.
func userKubeconfig(t *testing.T, user *clientcmdapi.AuthInfo) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	config.AuthInfos["u"] = user
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTokens looks at when a token is sent, and to whom.
func TestTokens(t *testing.T) {
	kubeconfig := userKubeconfig(t, &clientcmdapi.AuthInfo{Token: "canary-token"})
	for name, tc := range map[string]struct {
		wanted     string // by the page
		secure     bool
		kubeconfig string
		sent       []string
		want       string // in the error
	}{
		"not asked for":    {secure: true, kubeconfig: kubeconfig, sent: []string{""}},
		"asked for":        {secure: true, wanted: "canary-token", kubeconfig: kubeconfig, sent: []string{"", "Bearer canary-token", "Bearer canary-token"}},
		"not accepted":     {secure: true, wanted: "other", kubeconfig: kubeconfig, sent: []string{"", "Bearer canary-token"}, want: "does not accept the bearer token"},
		"in the open":      {wanted: "canary-token", kubeconfig: kubeconfig, sent: []string{""}, want: "it would travel in the open"},
		"there is none":    {secure: true, wanted: "x", kubeconfig: userKubeconfig(t, &clientcmdapi.AuthInfo{}), sent: []string{""}, want: "the user of the kubeconfig has none"},
		"a password is no": {secure: true, wanted: "x", kubeconfig: userKubeconfig(t, &clientcmdapi.AuthInfo{Username: "u", Password: "p"}), sent: []string{""}, want: "the user of the kubeconfig has none"},
	} {
		t.Run(name, func(t *testing.T) {
			page := &fakeReplica{report: leaderReport(), token: tc.wanted}
			finder, err := newReplicaFinder(replicaFlags{
				address: serve(t, page), authenticate: true, cluster: clusterFlags{kubeconfig: tc.kubeconfig, timeout: defaultTimeout},
			}, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			asked, err := finder.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer asked.close()
			asked.secure = tc.secure
			_, _, err = asked.report(t.Context(), 1)
			if err == nil && tc.wanted != "" {
				_, _, err = asked.report(t.Context(), 1) // It is known by now.
			}
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if fmt.Sprint(page.tokens) != fmt.Sprint(tc.sent) {
				t.Errorf("sent were %q, want %q", page.tokens, tc.sent)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error has the token: %v", err)
			}
		})
	}
}

// TestTokenOfAPlugin has a program that gives the token.
func TestTokenOfAPlugin(t *testing.T) {
	const credential = `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"canary-token"}}`
	kubeconfig := userKubeconfig(t, &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1", Command: "echo", Args: []string{credential}, InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}})
	where, err := loadClusterConfig(kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	token, err := (&replicaFinder{where: where}).token(context.WithoutCancel(t.Context()))
	if err != nil || token != "canary-token" {
		t.Errorf("the token is %q, %v", token, err)
	}
}

func TestReplicaFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"--pod is for a pod, and --address names a process: use one of them":       {"status", "--address", "h:1", "--pod", "p"},
		"--namespace is for a pod, and --address names a process: use one of them": {"explain", "a/b", "--address", "h:1", "-n", "p"},
		`--address is "8081", want HOST:PORT, such as 127.0.0.1:8081`:              {"status", "--address", "8081"},
		`--address is "ftp://h:1"`:         {"status", "--address", "ftp://h:1"},
		`--address is "http://u:p@h:1"`:    {"status", "--address", "http://u:p@h:1"},
		`--address is "https://h:1/x"`:     {"status", "--address", "https://h:1/x"},
		`--address is "h:0"`:               {"status", "--address", "h:0"},
		`--pod is "a/b/c"`:                 {"status", "--pod", "a/b/c"},
		`--pod is "/b"`:                    {"status", "--pod", "/b"},
		"--lease finds the pod":            {"status", "--pod", "b", "--lease", "x"},
		"--port is 0":                      {"status", "--port", "0"},
		"--port is 65536":                  {"status", "--port", "65536"},
		"--interval is for --watch":        {"status", "--interval", "1s"},
		"--interval is 1ms":                {"status", "--interval", "1ms", "-w"},
		"--objects is 101":                 {"status", "--objects", "101"},
		`unknown format "xml"`:             {"explain", "a/b", "-o", "xml"},
		`"a" is no object`:                 {"explain", "a"},
		"accepts 1 arg(s), received 0":     {"explain"},
		`unknown command "x" for "kooperd`: {"status", "x"},
	} {
		if _, stderr, status := runCommand(t, args...); status != ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit status %d, standard error %q, want %q", args, status, stderr, want)
		}
	}
	for text, want := range map[string]string{
		"127.0.0.1:8081": "http://127.0.0.1:8081", ":8081": "http://127.0.0.1:8081", "https://h:8443/": "https://h:8443", "[::1]:1": "http://[::1]:1",
	} {
		if got, err := parseReplicaAddress(text); err != nil || got.String() != want {
			t.Errorf("%q is %v, %v, want %s", text, got, err, want)
		}
	}
}
