package chart

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/test/cluster"
)

// grant is one thing that a rendered rule allows.
type grant struct {
	namespace string // empty: everywhere
	group     string
	resource  string // with its subresource
	name      string // empty: all
	verb      string
}

func (g grant) String() string {
	return strings.Join([]string{g.verb, g.group + "/" + g.resource, "named", g.name, "in", g.namespace}, " ")
}

// allows reports whether the grant is what let a request pass.
func (g grant) allows(e cluster.AuditEvent) bool {
	resource := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		resource += "/" + e.ObjectRef.Subresource
	}
	return g.verb == e.Verb && g.group == e.ObjectRef.APIGroup && g.resource == resource &&
		(g.namespace == "" || g.namespace == e.ObjectRef.Namespace) && (g.name == "" || g.name == e.ObjectRef.Name)
}

// grants are everything that the rendered roles allow.
func (m manifests) grants(t *testing.T) []grant {
	t.Helper()
	var all []grant
	for _, object := range slices.Concat(m.of("ClusterRole"), m.of("Role")) {
		var role rbacv1.Role
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			all = append(all, grantsOf(object.GetNamespace(), rule)...)
		}
	}
	if len(all) == 0 {
		t.Fatal("the release has no rules")
	}
	return all
}

func grantsOf(namespace string, rule rbacv1.PolicyRule) []grant {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var all []grant
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, name := range names {
				for _, verb := range rule.Verbs {
					all = append(all, grant{namespace, group, resource, name, verb})
				}
			}
		}
	}
	return all
}

// checkGrants judges the requests of a service account's pods: none was refused, and of what they
// may do they have done everything. The right to list is needed and used by those alone that do not
// stream their lists, which is a kind of watch.
func checkGrants(t *testing.T, user string, all []grant, paged bool, events []cluster.AuditEvent) {
	t.Helper()
	used := map[grant]bool{}
	requests := 0
	for _, e := range events {
		if e.User.Username != user {
			continue
		}
		requests++
		if e.ResponseStatus.Code == 403 || e.ResponseStatus.Code == 401 {
			t.Errorf("refused: %s %s: %s", e.Verb, e.RequestURI, e.ResponseStatus.Message)
		}
		for _, g := range all {
			used[g] = used[g] || g.allows(e)
		}
	}
	if requests == 0 {
		t.Errorf("%s has made no request", user)
	}
	for _, g := range all {
		if wanted := paged || g.verb != "list"; used[g] != wanted {
			t.Errorf("is the granted right used to %s? %t, want %t", g, used[g], wanted)
		}
	}
}
