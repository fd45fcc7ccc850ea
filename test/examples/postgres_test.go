package examples_test

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/daemon"
)

// checkPostgres looks at the life of a Postgres, above all of its password.
func checkPostgres(t *testing.T, p *daemon.Process) {
	get := func(args ...string) string {
		return strings.TrimSpace(shared.Kubectl(t, append([]string{"-n", "default", "get"}, args...)...))
	}
	children := func() string {
		return get("secrets,services,statefulsets,cronjobs,networkpolicies", "-l", "kooperd.dev/definition=postgres", "-o", "name")
	}
	password := func() string {
		text := get("secrets", "-l", "kooperd.dev/definition=postgres", "-o", "jsonpath={.items[*].data.password}")
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	server := func(path string) string { return get("statefulset", "orders", "-o", "jsonpath="+path) }
	const all = "secret/orders-credentials\nservice/orders\nservice/orders-pods\nstatefulset.apps/orders"
	p.Await(t, "the children", func() bool { return children() == all })
	first, uid := password(), server("{.metadata.uid}")
	if len(first) != 32 {
		t.Fatalf("the password has %d characters", len(first))
	}
	shared.Kubectl(t, "-n", "default", "patch", "statefulset", "orders", "--subresource", "status", "-p",
		`{"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"readyReplicas":1}}`)
	p.Await(t, "it to be ready", func() bool {
		return get("postgres", "orders", "-o", `jsonpath={.status.ready} {.status.host} {.status.secretName} {.status.conditions[?(@.type=="Ready")].status}`) ==
			"true orders.default.svc orders-credentials True"
	})

	// A change by hand stays, also over a restart.
	shared.Kubectl(t, "-n", "default", "patch", "secret", "orders-credentials", "-p", `{"stringData":{"host":"elsewhere"}}`)
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	logs := p.Tail(1 << 20)
	p = start(t, filepath.Join(daemon.Root(t), "examples", "postgres"))
	shared.Kubectl(t, "-n", "default", "patch", "postgres", "orders", "--type", "merge", "-p", `{"spec":{"clients":{"app":"shop"}}}`)
	p.Await(t, "a NetworkPolicy", func() bool { return strings.Contains(children(), "networkpolicy.networking.k8s.io/orders-clients") })
	if second := password(); second != first {
		t.Error("there is another password after a restart")
	}
	if host := get("secret", "orders-credentials", "-o", "jsonpath={.data.host}"); host != base64.StdEncoding.EncodeToString([]byte("elsewhere")) {
		t.Error("the change by hand did not stay")
	}

	// What may hold data is not deleted for a change.
	shared.Kubectl(t, "-n", "default", "patch", "postgres", "orders", "--type", "merge", "-p", `{"spec":{"storage":"20Gi"}}`)
	p.Await(t, "the condition", func() bool {
		return strings.Contains(get("postgres", "orders", "-o", `jsonpath={.status.conditions[?(@.type=="Degraded")].message}`), "updates to statefulset spec")
	})
	if now := server("{.metadata.uid}"); now != uid {
		t.Error("there is another StatefulSet")
	}
	shared.Kubectl(t, "-n", "default", "patch", "postgres", "orders", "--type", "merge", "-p",
		`{"spec":{"storage":"10Gi","clients":null,"backup":{"schedule":"0 3 * * *","claimName":"dumps"}}}`)
	p.Await(t, "the backup", func() bool { return children() == all+"\ncronjob.batch/orders-backup" })

	// Another password, and the server that has it.
	shared.Kubectl(t, "-n", "default", "delete", "secret", "orders-credentials")
	p.Await(t, "another password", func() bool { return password() != "" && password() != first })
	p.Await(t, "the server to know it", func() bool {
		return server(`{.spec.template.metadata.annotations.demo\.kooperd\.dev/credentials}`) == get("secret", "orders-credentials", "-o", "jsonpath={.metadata.uid}")
	})
	second := password()
	shared.Kubectl(t, "-n", "default", "delete", "postgres", "orders")
	p.Await(t, "nothing being left", func() bool { return children() == "" })
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	said := logs + p.Tail(1<<20) + get("events", "-o", "yaml")
	for _, secret := range []string{first, second} {
		if strings.Contains(said, secret) || strings.Contains(said, base64.StdEncoding.EncodeToString([]byte(secret))) {
			t.Error("a password is in the log or in an event")
		}
	}
}
