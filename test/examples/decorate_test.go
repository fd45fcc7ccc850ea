package examples_test

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

// checkDecorate looks at what a Team contributes to Deployments of others, and at what is left when
// it ceases to.
func checkDecorate(t *testing.T, p *daemon.Process) {
	get := func(args ...string) string {
		return strings.TrimSpace(shared.Kubectl(t, append([]string{"-n", "default", "get"}, args...)...))
	}
	contributed := func(name string) string {
		return get("deployment", name, "-o",
			`jsonpath={.metadata.annotations.demo\.kooperd\.dev/contact} {.spec.template.spec.nodeSelector} {.spec.template.spec.securityContext.runAsNonRoot}`)
	}
	const all = `#team-payments {"pool":"general"} true`
	p.Await(t, "what is contributed", func() bool { return contributed("checkout") == all })
	p.Await(t, "the conflict", func() bool {
		message := get("team", "payments", "-o", `jsonpath={.status.conditions[?(@.type=="Degraded")].message}`)
		return strings.Contains(message, `conflict with "kooperd-test-cluster": .spec.template.spec.nodeSelector`)
	})
	if have := contributed("ledger"); have != `{"pool":"large"}` {
		t.Errorf("the Deployment with a field of its own has %s", have)
	}
	generation := get("deployment", "checkout", "-o", "jsonpath={.metadata.generation}")
	shared.Kubectl(t, "-n", "default", "patch", "deployment", "ledger", "--type", "json", "-p", `[{"op":"remove","path":"/spec/template/spec/nodeSelector"}]`)
	p.Await(t, "what it has given up", func() bool { return contributed("ledger") == all })
	p.Await(t, "the Team to be ready", func() bool {
		return get("team", "payments", "-o", `jsonpath={.status.deployments} {.status.conditions[?(@.type=="Ready")].status}`) == "2 True"
	})
	if now := get("deployment", "checkout", "-o", "jsonpath={.metadata.generation}"); now != generation {
		t.Errorf("the other Deployment was changed: generation %s, then %s", generation, now)
	}
	shared.Kubectl(t, "-n", "default", "label", "deployment", "checkout", "team-")
	p.Await(t, "nothing without the label", func() bool { return contributed("checkout") == "" })
	shared.Kubectl(t, "delete", "team", "payments")
	p.Await(t, "nothing without the Team", func() bool { return contributed("ledger") == "" })
	if managers := get("deployments", "-o", "jsonpath={.items[*].metadata.managedFields[*].manager}"); strings.Contains(managers, "kooperd/") {
		t.Errorf("there are fields of %s", managers)
	}
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}
