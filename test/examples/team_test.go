package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

const teamChildren = "resourcequotas,networkpolicies,roles,rolebindings"

// teamVersions returns the names, UIDs and versions of what a Namespace has from its team.
func teamVersions(t *testing.T, namespace string) []string {
	t.Helper()
	return strings.Fields(shared.Kubectl(t, "-n", namespace, "get", teamChildren, "-l", "kooperd.dev/definition=teams",
		"-o", `jsonpath={range .items[*]}{.kind}/{.metadata.uid}/{.metadata.resourceVersion} {end}`))
}

func checkTeamNamespaces(t *testing.T, p *daemon.Process) {
	pods := func(namespace string) string {
		return shared.Kubectl(t, "-n", namespace, "get", "resourcequotas", "team", "--ignore-not-found", "-o", "jsonpath={.spec.hard.pods}")
	}
	for _, namespace := range []string{"checkout", "catalog"} {
		p.Await(t, "the children in "+namespace, func() bool { return len(teamVersions(t, namespace)) == 4 && pods(namespace) == "10" })
	}
	if have := teamVersions(t, "sandbox"); len(have) > 0 {
		t.Errorf("the namespace without a team has %v", have)
	}
	shared.Kubectl(t, "-n", "checkout", "patch", "resourcequotas", "team", "-p", `{"spec":{"hard":{"pods":"99"}}}`)
	p.Await(t, "the quota being set right", func() bool { return pods("checkout") == "10" })
	shared.Kubectl(t, "-n", "checkout", "delete", "networkpolicies", "team")
	p.Await(t, "the network policy being back", func() bool { return len(teamVersions(t, "checkout")) == 4 })
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	checkTeamsAgain(t, pods)
}

// checkTeamsAgain runs the example a second time, with the rights that its config needs and no
// more.
func checkTeamsAgain(t *testing.T, pods func(string) string) {
	t.Helper()
	before := append(teamVersions(t, "checkout"), teamVersions(t, "catalog")...)
	config := filepath.Join(t.TempDir(), "controllers.cue")
	text := readExample(t, "team-namespaces", "controllers.cue")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	binary := daemon.Build(t, filepath.Join(daemon.Root(t), "examples", "team-namespaces"))
	kubeconfig := shared.ServiceAccountKubeconfig(t, "default", "team-namespaces")
	shared.Apply(t, run(t, binary, "rbac", config, "--service-account", "default/team-namespaces"))
	p := daemon.Start(t, daemon.Options{Binary: binary, Config: config, Kubeconfig: kubeconfig})
	metric := func(series string) string {
		value, _ := p.Metric(t, series)
		return value
	}
	p.Await(t, "all children being looked at", func() bool { return metric(`kooperd_compose_children{controller="teams",state="ready"}`) == "8" })
	for _, reason := range []string{"Absent", "Changed", "Drift"} {
		if got := metric(`kooperd_compose_applies_total{controller="teams",reason="` + reason + `"}`); got != "0" {
			t.Errorf("%s children were applied for %s, want none", got, reason)
		}
	}
	if after := append(teamVersions(t, "checkout"), teamVersions(t, "catalog")...); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("after a restart there is %v, before there was %v", after, before)
	}
	write(strings.Replace(text, "pods:   10", "pods:   20", 1))
	p.Await(t, "the larger quotas", func() bool { return pods("checkout") == "20" && pods("catalog") == "20" })
	applies := func() string { return metric(`kooperd_compose_applies_total{controller="teams",reason="Changed"}`) }
	p.Await(t, "the two quotas being counted", func() bool { return applies() == "2" })
	shared.Kubectl(t, "label", "namespaces", "catalog", "team-")
	p.Await(t, "nothing being left in catalog", func() bool { return len(teamVersions(t, "catalog")) == 0 })
	if got := applies(); got != "2" {
		t.Errorf("%s children were applied for the change, want the two quotas", got)
	}
	shared.Kubectl(t, "delete", "namespaces", "checkout", "--wait=false")
	p.Await(t, "the namespace being gone", func() bool {
		return shared.Kubectl(t, "get", "namespaces", "checkout", "--ignore-not-found", "-o", "name") == ""
	})
	p.Await(t, "no children being counted", func() bool { return metric(`kooperd_compose_children{controller="teams",state="ready"}`) == "0" })
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}

// readExample returns the text of a file of an example.
func readExample(t *testing.T, example, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(daemon.Root(t), "examples", example, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+shared.AdminKubeconfig())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	return string(out)
}
