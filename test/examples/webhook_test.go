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
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("there is no Python to run the hook: %v", err)
	}
	get := func(args ...string) string {
		return strings.TrimSpace(shared.Kubectl(t, append([]string{"-n", "default", "get"}, args...)...))
	}
	why := func() string {
		return get("site", "club", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
	}
	p.Await(t, "the hook to be missed", func() bool { return strings.Contains(why(), "connection refused") })

	hook := exec.Command(python, filepath.Join(daemon.Root(t), "examples", "webhook-python", "hook.py"))
	hook.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := hook.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hook.Process.Kill()
		_ = hook.Wait()
	})
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
