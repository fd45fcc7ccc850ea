package examples_test

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

// checkWebsite looks at what is made for a Website, at its status, and at what becomes of both.
func checkWebsite(t *testing.T, p *daemon.Process) {
	get := func(args ...string) string {
		return strings.TrimSpace(shared.Kubectl(t, append([]string{"-n", "default", "get"}, args...)...))
	}
	children := func() string {
		return get("configmaps,deployments,services,ingresses", "-l", "kooperd.dev/definition=website", "-o", "name")
	}
	const all = "configmap/home-page\ndeployment.apps/home\nservice/home\ningress.networking.k8s.io/home-www.example.com"
	p.Await(t, "the children", func() bool { return children() == all })
	p.Await(t, "the status", func() bool {
		return strings.HasPrefix(get("websites", "home", "-o", "jsonpath={.status.url}"), "http://")
	})
	if ready := get("websites", "home", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`); ready != "False" {
		t.Errorf("the condition Ready is %q while nothing runs", ready)
	}
	shared.Kubectl(t, "-n", "default", "patch", "deployment", "home", "--subresource", "status", "-p", `{"status":{"replicas":2,"readyReplicas":2,"availableReplicas":2}}`)
	p.Await(t, "it to be ready", func() bool {
		return get("websites", "home", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`) == "True"
	})
	shared.Kubectl(t, "-n", "default", "patch", "website", "home", "--type", "merge", "-p", `{"spec":{"hosts":["a.example.com"],"replicas":0}}`)
	shared.Kubectl(t, "-n", "default", "delete", "service", "home")
	p.Await(t, "the change", func() bool {
		return children() == strings.Replace(all, "www", "a", 1) && get("deployments", "home", "-o", "jsonpath={.spec.replicas}") == "0"
	})
	p.Await(t, "the author's condition", func() bool {
		return get("websites", "home", "-o", `jsonpath={.status.conditions[?(@.type=="Published")].message}`) == "at a.example.com"
	})
	shared.Kubectl(t, "-n", "default", "delete", "website", "home")
	p.Await(t, "nothing being left", func() bool { return children() == "" })
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}
