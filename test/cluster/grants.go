package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Grant is one thing that a rule allows.
type Grant struct {
	Namespace string // empty: everywhere
	Group     string
	Resource  string // with its subresource
	Name      string // empty: all
	Verb      string
}

// String is the grant in words.
func (g Grant) String() string {
	return strings.Join([]string{g.Verb, g.Group + "/" + g.Resource, "named", g.Name, "in", g.Namespace}, " ")
}

// allows reports whether the grant is what let a request pass.
func (g Grant) allows(e AuditEvent) bool {
	resource := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		resource += "/" + e.ObjectRef.Subresource
	}
	return g.Verb == e.Verb && g.Group == e.ObjectRef.APIGroup && g.Resource == resource &&
		(g.Namespace == "" || g.Namespace == e.ObjectRef.Namespace) && (g.Name == "" || g.Name == e.ObjectRef.Name)
}

// GrantsOf takes a rule apart. An empty namespace is the whole cluster.
func GrantsOf(namespace string, rule rbacv1.PolicyRule) []Grant {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var all []Grant
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, name := range names {
				for _, verb := range rule.Verbs {
					all = append(all, Grant{namespace, group, resource, name, verb})
				}
			}
		}
	}
	return all
}

// CheckGrants judges the requests of a service account's pods, which have ended: none was refused,
// and of what they may do they have done everything. The right to list is needed and used by those
// alone that do not stream their lists, which is a kind of watch. events returns what the audit log
// has so far: a watch comes into it a moment after its pod has ended.
func CheckGrants(t testing.TB, user string, all []Grant, paged bool, events func() []AuditEvent) {
	t.Helper()
	deadline := time.Now().Add(requestTimeout)
	requests, used := usedBy(user, all, events())
	for slices.ContainsFunc(all, func(g Grant) bool { return g.Verb == "watch" && !used[g] }) && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		requests, used = usedBy(user, all, events())
	}
	if len(requests) == 0 {
		t.Errorf("%s has made no request", user)
	}
	for _, e := range requests {
		if e.ResponseStatus.Code == 403 || e.ResponseStatus.Code == 401 {
			t.Errorf("refused: %s %s: %s", e.Verb, e.RequestURI, e.ResponseStatus.Message)
		}
	}
	for _, g := range all {
		if wanted := paged || g.Verb != "list"; used[g] != wanted {
			t.Errorf("is the granted right used to %s? %t, want %t", g, used[g], wanted)
		}
	}
}

// usedBy returns the requests of a user, and what has let them pass.
func usedBy(user string, all []Grant, events []AuditEvent) (requests []AuditEvent, used map[Grant]bool) {
	used = map[Grant]bool{}
	for _, e := range events {
		if e.User.Username != user {
			continue
		}
		requests = append(requests, e)
		for _, g := range all {
			used[g] = used[g] || g.allows(e)
		}
	}
	return requests, used
}
