package compose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestRightTakenAway starts definitions that lack one right each. They are degraded and say which,
// and run by themselves when they have it.
func TestRightTakenAway(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one namespace", "children elsewhere, by a Role", "roles"} {
		r := newRig(t)
		r.shape(t, shapes(r, r.leases)[name], "a", "b")
		for _, taken := range grantsOf(r.printed(t)) {
			wanted := name == "one namespace" && (taken.Verb == "patch" || taken.Verb == "update") && taken.Resource == "configmaps"
			if !conformance && !wanted || taken.Resource == "leases" || taken.Resource == "events" && taken.Namespace == r.leases {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s %s", name, taken.Verb, strings.ReplaceAll(taken.Resource, "/", " ")), func(t *testing.T) {
				t.Parallel()
				withoutRight(t, name, func(g cluster.Grant) bool {
					return g.Verb == taken.Verb && g.Group == taken.Group && g.Resource == taken.Resource && (g.Name == "") == (taken.Name == "")
				})
			})
		}
	}
}

// withoutRight runs a shape without the rights that taken selects, and then with them.
func withoutRight(t *testing.T, name string, taken func(cluster.Grant) bool) {
	r := newBoundRig(t)
	s := shapes(r, shared.Namespace(t))[name]
	r.shape(t, s, "a", "b")
	var given, kept []cluster.Grant
	for _, g := range grantsOf(r.printed(t)) {
		if inLease := g.Namespace == r.leases && (g.Resource == "leases" || g.Resource == "events"); !inLease && taken(g) {
			given = append(given, g)
		} else {
			kept = append(kept, g)
		}
	}
	r.grant(t, rightsOf(kept)...)
	p := r.start(t)
	r.parent(t, s)
	lacking := given[0]
	if worksWithout(lacking) {
		r.awaitChildren(t, s, "a", "b")
		if state := p.states(t); strings.Contains(state, "Degraded") {
			t.Errorf("without the right to %s:\n%s\nwant it to work", lacking, state)
		}
		return
	}
	p.Await(t, "the lack of the right to "+lacking.String(), func() bool {
		_, reason, degraded := strings.Cut(p.states(t), "Degraded")
		return degraded && strings.Contains(reason, "missing: ") && strings.Contains(reason, lacking.Resource) && strings.Contains(reason, lacking.Verb)
	})
	if strings.HasSuffix(lacking.Resource, "/finalizers") {
		p.Await(t, "the refusal of an owner reference", func() bool {
			return slices.ContainsFunc(p.Lines("handling object failed"), func(line daemon.Line) bool {
				return strings.Contains(line.Field("err"), "blockOwnerDeletion")
			})
		})
	}
	begun := time.Now()
	r.grant(t, rightsOf(given)...)
	p.Await(t, "everything running", func() bool { return !strings.Contains(p.states(t), "Degraded") })
	t.Logf("running %s after the right to %s was given", time.Since(begun).Round(time.Second), lacking)
	r.awaitChildren(t, s, "a", "b")
}

// worksWithout reports whether everything works without a right, only worse, or that is so on an
// API server that streams lists. Where it is needed in the whole cluster, a state says so.
func worksWithout(g cluster.Grant) bool {
	return g.Resource == "events" || g.Resource == things.Resource && g.Verb == "list" && g.Namespace != ""
}

// rightsOf are the rights that grants are, by namespace.
func rightsOf(grants []cluster.Grant) []cluster.RBAC {
	var all []cluster.RBAC
	for _, g := range grants {
		rule := rbacv1.PolicyRule{Verbs: []string{g.Verb}, APIGroups: []string{g.Group}, Resources: []string{g.Resource}}
		if g.Name != "" {
			rule.ResourceNames = []string{g.Name}
		}
		i := slices.IndexFunc(all, func(right cluster.RBAC) bool { return right.Namespace == g.Namespace })
		if i < 0 {
			i, all = len(all), append(all, cluster.RBAC{Namespace: g.Namespace})
		}
		all[i].Rules = append(all[i].Rules, rule)
	}
	return all
}

// states is what the process says of its definitions.
func (p *replica) states(t *testing.T) string {
	t.Helper()
	_, body := p.Get(t, "health", "/readyz?verbose")
	return body
}
