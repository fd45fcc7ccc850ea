package chart

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// needs are the definitions of each example by the resources that they need rights for.
var needs = map[string]map[string]string{
	"cluster-pods":    {"namespaces": "namespaces", "pods": "pods"},
	"one-namespace":   {"configmaps": "configmaps", "services": "services"},
	"custom-resource": {"namespaces": "namespaces", "widgets": "widgets", "widgets/status": "widgets"},
}

// TestMissingRights takes each rule of each example away in turn: exactly the definition that needs
// it is degraded and names the rule, "helm test" names it too, and everything works again once it
// is back.
func TestMissingRights(t *testing.T) {
	for name, file := range examples(t) {
		t.Run(name, func(t *testing.T) {
			r := install(t, "helm4", "--values", file, "--set", "shutdownDelaySeconds=0,replicas=1")
			definitions := map[string]bool{}
			for _, definition := range needs[name] {
				definitions[definition] = true
			}
			var tried []string
			for _, role := range r.configRoles(t) {
				for _, resource := range resourcesOf(role.rules) {
					tried = append(tried, resource)
					t.Run(resource, func(t *testing.T) { r.checkMissing(t, role, resource, needs[name][resource], definitions) })
				}
			}
			slices.Sort(tried)
			wantSame(t, "what the rules are about", tried, sorted(needs[name]))
		})
	}
}

func sorted(m map[string]string) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// liveRole is a Role or ClusterRole in the cluster.
type liveRole struct {
	kind, namespace, name string
	rules                 []rbacv1.PolicyRule
}

// configRoles are the roles for the config of the release.
func (r *release) configRoles(t *testing.T) []liveRole {
	t.Helper()
	return slices.DeleteFunc(r.roles(t), func(role liveRole) bool { return strings.HasSuffix(role.name, ".lease") })
}

func (r *release) roles(t *testing.T) []liveRole {
	t.Helper()
	all := r.manifests(t)
	var roles []liveRole
	for _, object := range slices.Concat(all.of("ClusterRole"), all.of("Role")) {
		var role rbacv1.Role
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			t.Fatal(err)
		}
		roles = append(roles, liveRole{object.GetKind(), object.GetNamespace(), object.GetName(), role.Rules})
	}
	return roles
}

func resourcesOf(rules []rbacv1.PolicyRule) []string {
	var all []string
	for _, rule := range rules {
		all = append(all, rule.Resources...)
	}
	return all
}

// set gives the role other rules.
func (l liveRole) set(t *testing.T, rules []rbacv1.PolicyRule) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"rules": rules})
	if err != nil {
		t.Fatal(err)
	}
	client := shared.Client().RbacV1()
	if l.kind == "ClusterRole" {
		_, err = client.ClusterRoles().Patch(t.Context(), l.name, types.MergePatchType, patch, metav1.PatchOptions{})
	} else {
		_, err = client.Roles(l.namespace).Patch(t.Context(), l.name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// without returns rules without a resource.
func without(rules []rbacv1.PolicyRule, resource string) []rbacv1.PolicyRule {
	var left []rbacv1.PolicyRule
	for _, rule := range rules {
		rule.Resources = slices.DeleteFunc(slices.Clone(rule.Resources), func(r string) bool { return r == resource })
		if len(rule.Resources) > 0 {
			left = append(left, rule)
		}
	}
	return left
}

// takeAway leaves a role with fewer rules. Like giveBack it waits until the API server obeys.
func (r *release) takeAway(t *testing.T, role liveRole, left []rbacv1.PolicyRule, gone cluster.Grant) {
	t.Helper()
	role.set(t, left)
	r.awaitAllowed(t, gone, false)
}

// giveBack gives a role all its rules again.
func (r *release) giveBack(t *testing.T, role liveRole, gone cluster.Grant) {
	t.Helper()
	role.set(t, role.rules)
	r.awaitAllowed(t, gone, true)
}

func (r *release) awaitAllowed(t *testing.T, g cluster.Grant, want bool) {
	t.Helper()
	resource, subresource, _ := strings.Cut(g.Resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: r.user(),
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: g.Namespace, Verb: g.Verb, Group: g.Group, Resource: resource, Subresource: subresource, Name: g.Name,
		},
	}}
	eventually(t, fmt.Sprintf("%s is allowed: %t", g, want), func() bool {
		answer, err := shared.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status.Allowed == want
	})
}

// restart ends the process of the only pod and returns the one that the kubelet starts in its
// place.
func (r *release) restart(t *testing.T) *daemon.Process {
	t.Helper()
	var run *podRun
	for name := range r.daemons(t) {
		run = r.kubelet.run(name)
	}
	before := run.process()
	before.Kill()
	eventually(t, "the container runs again", func() bool { return run.process() != before })
	return run.process()
}

// checkMissing is TestMissingRights for one resource of one role.
func (r *release) checkMissing(t *testing.T, role liveRole, resource, needing string, definitions map[string]bool) {
	i := slices.IndexFunc(role.rules, func(rule rbacv1.PolicyRule) bool { return slices.Contains(rule.Resources, resource) })
	rule := role.rules[i]
	gone := cluster.Grant{Namespace: role.namespace, Group: rule.APIGroups[0], Resource: resource, Verb: rule.Verbs[0]}
	r.takeAway(t, role, without(role.rules, resource), gone)
	p := r.restart(t)
	named := fmt.Sprintf(`with this rule is missing: {apiGroups: [%q], resources: [%q], verbs: %s}`,
		gone.Group, resource, strings.ReplaceAll(fmt.Sprintf("%q", rule.Verbs), `" "`, `", "`))
	for definition := range definitions {
		if definition != needing {
			p.AwaitLog(t, "definition changed state", "controller", definition, "state", "Running")
			continue
		}
		line := p.AwaitLog(t, "definition changed state", "controller", definition, "state", "Degraded")
		if reason := line.Field("reason"); !strings.Contains(reason, named) {
			t.Errorf("the reason of %s is\n%s\nwant in it\n%s", definition, reason, named)
		}
	}
	_, verbose := p.Get(t, "health", "/readyz?verbose")
	if strings.Count(verbose, "[-]") != 1 || !strings.Contains(verbose, "[-] "+needing+": Degraded") {
		t.Errorf("/readyz?verbose says:\n%s", verbose)
	}
	said, ok := r.helmTest(t)
	if ok || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, needing+": ") || !strings.Contains(said, named) {
		t.Errorf("helm test: %t, kooperd says:\n%s", ok, said)
	}
	r.giveBack(t, role, gone)
	p.AwaitLog(t, "definition changed state", "controller", needing, "state", "Running")
}

// TestMissingLeaseRights takes the rights for the lease away, one by one: "helm test" names each.
func TestMissingLeaseRights(t *testing.T) {
	r := install(t, "helm4", "--values", examples(t)["one-namespace"], "--set", "shutdownDelaySeconds=0,replicas=1")
	roles := r.roles(t)
	role := roles[slices.IndexFunc(roles, func(role liveRole) bool { return strings.HasSuffix(role.name, ".lease") })]
	optional := map[string]bool{"watch leases": true, "create events": true}
	tried := 0
	for i, rule := range role.rules {
		for _, verb := range rule.Verbs {
			gone := cluster.GrantsOf(role.namespace, rbacv1.PolicyRule{
				APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames, Verbs: []string{verb},
			})[0]
			what := verb + " " + gone.Resource
			t.Run(what, func(t *testing.T) {
				left := slices.Clone(role.rules)
				left[i].Verbs = slices.DeleteFunc(slices.Clone(rule.Verbs), func(v string) bool { return v == verb })
				left = slices.DeleteFunc(left, func(rule rbacv1.PolicyRule) bool { return len(rule.Verbs) == 0 })
				r.takeAway(t, role, left, gone)
				said, ok := r.helmTest(t)
				named := fmt.Sprintf("verbs: [%q]}", verb)
				if ok != optional[what] || !strings.HasPrefix(said, "leaderElection: forbidden to "+verb) || !strings.Contains(said, named) {
					t.Errorf("helm test: %t, kooperd says:\n%s", ok, said)
				}
				r.giveBack(t, role, gone)
			})
			tried++
		}
	}
	if tried != 5 {
		t.Errorf("%d rights for the lease, want 5", tried)
	}
}
