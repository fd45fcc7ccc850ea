package examples_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

// checkWebhookPython runs the hook after kooperd, so that it is missed at first, and lets it refuse
// a Site.
func checkWebhookPython(t *testing.T, p *daemon.Process) {
	program(t, "python3")
	get := func(args ...string) string {
		return strings.TrimSpace(shared.Kubectl(t, append([]string{"-n", "default", "get"}, args...)...))
	}
	why := func() string {
		return get("site", "club", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
	}
	p.Await(t, "the hook to be missed", func() bool { return strings.Contains(why(), "connection refused") })

	runHook(t, "python3", "webhook-python", "hook.py")
	page := func(name string) string {
		return shared.Kubectl(t, "-n", "default", "get", "configmaps", "-o", `jsonpath={.items[?(@.metadata.name=="club-pages")].data.`+name+`\.html}`)
	}
	const index = "<h1>index</h1>\n<p>Welcome to club, since 1987.</p>\n"
	p.Await(t, "the pages", func() bool { return page("index") == index })
	p.Await(t, "the Site to be ready", func() bool {
		return get("site", "club", "-o", `jsonpath={.status.pages} {.status.conditions[?(@.type=="Ready")].status}`) == "2 True"
	})
	if got, want := page("contact"), "<h1>contact</h1>\n<p>Write to chess@club.example &lt;we answer&gt;</p>\n"; got != want {
		t.Errorf("the page is %q, want %q", got, want)
	}
	shared.Kubectl(t, "-n", "default", "patch", "configmap", "club-pages", "--type", "merge", "-p", `{"data": {"index.html": "hacked"}}`)
	p.Await(t, "the page to be set right", func() bool { return page("index") == index })
	shared.Kubectl(t, "-n", "default", "patch", "site", "club", "--type", "merge", "-p", `{"spec": {"pages": {"index": "Since $yaer"}}}`)
	p.Await(t, "the words of the hook", func() bool { return strings.Contains(why(), `422 Unprocessable Entity: "KeyError('yaer')"`) })
	if page("index") != index {
		t.Errorf("the page has become %q", page("index"))
	}
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}

// checkWebhookNode looks at what a Service is decorated with, and at a change of the Service.
func checkWebhookNode(t *testing.T, p *daemon.Process) {
	runHook(t, "node", "webhook-node", "hook.js")
	get := func(args ...string) string {
		return strings.TrimSpace(shared.Kubectl(t, append([]string{"-n", "default", "get"}, args...)...))
	}
	p.Await(t, "the annotation", func() bool {
		return get("service", "checkout", "-o", `jsonpath={.metadata.annotations.example\.com/dashboard}`) == "checkout-dashboard"
	})
	dashboard := func() string { return get("configmap", "checkout-dashboard", "-o", `jsonpath={.data.dashboard\.json}`) }
	p.Await(t, "the dashboard", func() bool { return strings.Count(dashboard(), "http_requests_total") == 2 })
	shared.Kubectl(t, "-n", "default", "patch", "service", "checkout", "--type", "json", "-p", `[{"op": "remove", "path": "/spec/ports/1"}]`)
	p.Await(t, "a panel less", func() bool { return strings.Count(dashboard(), "http_requests_total") == 1 })
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}

// program finds what runs a hook. Without it, the test is left out.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("the hook cannot be run: %v", err)
	}
	return path
}

// runHook runs the hook of an example until the test ends.
func runHook(t *testing.T, by, example, file string) {
	t.Helper()
	hook := exec.Command(program(t, by), filepath.Join(daemon.Root(t), "examples", example, file))
	hook.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := hook.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hook.Process.Kill()
		_ = hook.Wait()
	})
}
