package compose_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/test/cluster"
)

// planned is what kooperd plan says as JSON.
type planned struct {
	Definitions []struct {
		Name, State, Why string
		Objects          int
		New              bool
		Counts           map[string]int
		Missing, Notes   []string
	}
	Changes []struct {
		Definition, Action, Reason, Child, Kind, Name, Why, Unconfirmed string
		Object                                                          struct{ Name string }
		Before, After                                                   map[string]any
	}
	Failures []struct {
		Definition, Error, At string
		Object                *struct{ Name string }
	}
	Notes []string
}

// actions are what would be done with children, as "action Kind name", sorted.
func (p planned) actions() (all []string) {
	for _, c := range p.Changes {
		if c.Action != "object" {
			all = append(all, c.Action+" "+c.Kind+" "+c.Name)
		}
	}
	slices.Sort(all)
	return all
}

// writes are the requests that carry the changes of children out, as "verb Kind name", sorted.
func (p planned) writes() (all []string) {
	for _, c := range p.Changes {
		what := " " + c.Kind + " " + c.Name
		switch c.Action {
		case "create", "change", "handOver", "adopt", "orphan", "withdraw":
			all = append(all, "patch"+what)
		case "recreate":
			all = append(all, "delete"+what, "patch"+what)
		case "delete":
			all = append(all, "delete"+what)
		}
	}
	slices.Sort(all)
	return all
}

// person is a user who may do everything, and is not kooperd.
func (r *rig) person(t testing.TB) string {
	t.Helper()
	everything := rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}
	return r.user(t, "person", everything)
}

// user is a user with some rights in the cluster.
func (r *rig) user(t testing.TB, name string, rules ...rbacv1.PolicyRule) (kubeconfig string) {
	t.Helper()
	return cluster.WriteKubeconfig(t, shared.ServiceAccount(t, r.leases, name, cluster.ClusterWide(rules...)), r.leases)
}

// plan runs kooperd plan on the config.
func (r *rig) plan(t testing.TB, kubeconfig string, status int, flags ...string) (p planned) {
	t.Helper()
	stdout, stderr, got := command(t, kubeconfig, append([]string{"plan", r.path, "-o", "json"}, flags...)...)
	if got != status {
		t.Fatalf("exit status is %d, want %d\n%s%s", got, status, stdout, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &p); err != nil {
		t.Fatalf("reading %s: %v", stdout, err)
	}
	return p
}

// carriedOut are the writes of children by the installation since mark, as planned.writes has them,
// each once.
func (r *rig) carriedOut(t testing.TB, mark cluster.AuditMark) (all []string) {
	t.Helper()
	kinds := map[string]string{"configmaps": "ConfigMap", "secrets": "Secret", "horizontalpodautoscalers": "HorizontalPodAutoscaler"}
	for _, s := range r.writes(t, mark) {
		if kind := kinds[s.resource]; kind != "" && !s.dryRun && s.code < 300 && !strings.HasPrefix(s.name, leaseName) {
			all = append(all, s.verb+" "+kind+" "+s.name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// applying is a definition of the plugin apply.
func applying(children map[string]any, settings map[string]any) definition {
	all := map[string]any{"handler": map[string]any{"apply": map[string]any{"children": children}}}
	maps.Copy(all, settings)
	return definition{settings: all}
}

// page is a child with a ConfigMap that ends with a name, and more members of the child.
func page(suffix string, data map[string]any, more ...string) map[string]any {
	template := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "${object.metadata.name}-" + suffix}, "data": data,
	}
	child := map[string]any{"template": template}
	for i := 0; i+1 < len(more); i += 2 {
		if child[more[i]] = more[i+1]; more[i] == "immutable" {
			delete(child, "immutable")
			template["immutable"] = true
		}
	}
	return child
}
