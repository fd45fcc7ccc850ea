package compose_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/test/cluster"
)

// asked counts the requests of a user since mark, those of writes apart.
func (r *rig) asked(t testing.TB, account string, mark cluster.AuditMark) (reads, writes int) {
	t.Helper()
	user := "system:serviceaccount:" + r.leases + ":" + account
	for _, e := range shared.AuditSince(t, mark, user) {
		switch {
		case e.User.Username != user, slices.Contains(notAboutChildren, e.ObjectRef.Resource):
		case e.IsWrite():
			writes++
		default:
			reads++
		}
	}
	return reads, writes
}

// TestPlanRequests counts the requests of a plan: without a change, they do not depend on how many
// parents there are, and with one, there is at most one dry run for each child.
func TestPlanRequests(t *testing.T) {
	t.Parallel()
	if !conformance {
		return
	}
	r := newRig(t)
	person := r.person(t)
	settings := map[string]any{"mode": "concurrent", "workers": 4}
	children := func(data map[string]any) map[string]definition {
		return one(applying(map[string]any{"a": page("a", data), "b": page("b", data), "c": page("c", data)}, settings))
	}
	before, made := 0, 0
	for _, n := range []int{100, 1000} {
		r.defineAll(t, children(text))
		r.createRange(t, made, n)
		made = n
		p := r.start(t)
		r.await(t, things, "every parent ready", func(o objects) bool {
			for _, parent := range o {
				if !isReady(parent) {
					return false
				}
			}
			return len(o) == n
		})
		p.Stop(t)
		mark, begun := shared.AuditMark(t), time.Now()
		if found := r.plan(t, person, 0); found.Definitions[0].Objects != n {
			t.Errorf("it handles %d objects, want %d", found.Definitions[0].Objects, n)
		}
		reads, sent := r.asked(t, "person", mark)
		if sent > 0 || before > 0 && reads != before {
			t.Errorf("with %d parents there are %d reads and %d writes, with fewer there were %d reads", n, reads, sent, before)
		}
		t.Logf("%d parents: %d reads in %s", n, reads, time.Since(begun).Round(time.Millisecond))
		before = reads

		r.defineAll(t, children(moreText))
		mark, begun = shared.AuditMark(t), time.Now()
		if found := r.plan(t, person, 4); found.Definitions[0].Counts["change"] != 3*n {
			t.Errorf("it counts %v, want %d changes", found.Definitions[0].Counts, 3*n)
		}
		now, writes := r.asked(t, "person", mark)
		t.Logf("%d changed children: %d reads and %d dry runs in %s", 3*n, now, writes, time.Since(begun).Round(time.Millisecond))
		if most := reads + 1; now > most || writes > 3*n { // What is known of the resources may have become old.
			t.Errorf("with a change there are %d reads and %d dry runs, want at most %d and %d", now, writes, most, 3*n)
		}
	}
}

// TestPlanOfWhatIsGone takes a definition out of the file. What plan says of its children is what
// becomes of them.
func TestPlanOfWhatIsGone(t *testing.T) {
	t.Parallel()
	for onRemove, want := range map[string][]string{
		"delete": {"delete ConfigMap p-a"}, "orphan": {"orphan ConfigMap p-a"}, "retain": {"retain ConfigMap p-a"},
	} {
		if onRemove != "orphan" && !conformance {
			continue
		}
		t.Run(onRemove, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			stays := applying(map[string]any{"b": page("b", text)}, nil)
			r.defineAll(t, map[string]definition{
				definitionName: stays, "gone": applying(map[string]any{"a": page("a", text)}, map[string]any{"onRemove": onRemove, "status": "none"}),
			})
			p := r.start(t)
			r.thing(t, "p", "x")
			r.ready(t, "p")
			r.await(t, configMaps, "the child", func(o objects) bool { return o["p-a"] != nil })
			p.Stop(t)
			person := r.person(t)
			r.removed = []string{"gone"}
			r.defineAll(t, one(stays))
			mark := shared.AuditMark(t)
			found := r.plan(t, person, 4)
			if diff := gocmp.Diff(want, found.actions()); diff != "" {
				t.Errorf("it says (-want +got):\n%s", diff)
			}
			r.onlyDryRuns(t, mark, "person")
			mark = shared.AuditMark(t)
			p = r.start(t)
			p.Await(t, "what is left to be noted as done", func() bool {
				gone := r.records(t)["gone"]
				return gone.Kind == "" && !slices.ContainsFunc(gone.Left, func(left struct {
					Done     bool
					OnRemove string
				},
				) bool {
					return !left.Done
				})
			})
			p.Stop(t)
			if diff := gocmp.Diff(found.writes(), r.carriedOut(t, mark)); diff != "" {
				t.Errorf("kooperd has done something else (-planned +done):\n%s", diff)
			}
			if again := r.plan(t, person, 0); len(again.Changes) > 0 {
				t.Errorf("after that, it says %v", again.Changes)
			}
		})
	}
}

// TestPlanRights plans as users who lack rights: what cannot be read is named with the rules that
// grant it, and the rest is planned; what cannot be sent as a dry run is unconfirmed.
func TestPlanRights(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := map[string]any{"template": map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "${object.metadata.name}-s"}, "stringData": map[string]any{"password": "hunter2hunter2"},
	}}
	r.defineAll(t, map[string]definition{
		definitionName: applying(map[string]any{"a": page("a", text)}, nil),
		"secrets":      applying(map[string]any{"s": secret}, map[string]any{"status": "none"}),
	})
	r.thing(t, "p", "x")
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	reader := r.user(t, "reader", rule("demo.kooperd.dev", "things", "list"), rule("", "configmaps", "get", "list"), rule("", "secrets", "get", "list"))
	for _, flags := range [][]string{nil, {"--dry-run=none"}} {
		mark := shared.AuditMark(t)
		found := r.plan(t, reader, 4, flags...)
		if diff := gocmp.Diff([]string{"create ConfigMap p-a", "create Secret p-s"}, found.actions()); diff != "" {
			t.Errorf("with %v, it says (-want +got):\n%s", flags, diff)
		}
		missing := 0
		for _, d := range found.Definitions {
			for _, text := range d.Missing {
				if strings.Contains(text, `verbs: [`) && strings.Contains(text, `"patch"`) {
					missing++
				}
			}
		}
		if wants := flags == nil; wants != (missing > 1) {
			t.Errorf("with %v, what is missing is %+v", flags, found.Definitions)
		}
		for _, c := range found.Changes {
			if c.Action == "create" && c.Unconfirmed == "" {
				t.Errorf("with %v, %s of %s is confirmed", flags, c.Action, c.Name)
			}
			data, _ := c.After["data"].(map[string]any)
			if value, ok := data["password"]; ok && value != "[REDACTED]" {
				t.Errorf("it shows %v", value)
			}
		}
		if _, writes := r.asked(t, "reader", mark); flags != nil && writes > 0 {
			t.Errorf("with %v, it sends %d writes", flags, writes)
		}
		r.onlyDryRuns(t, mark, "reader")
	}

	half := r.user(t, "half", rule("demo.kooperd.dev", "things", "list"), rule("", "configmaps", "get", "list", "patch", "create"))
	found := r.plan(t, half, 1)
	if diff := gocmp.Diff([]string{"create ConfigMap p-a"}, found.actions()); diff != "" {
		t.Errorf("without a right for Secrets, it says (-want +got):\n%s", diff)
	}
	for _, d := range found.Definitions {
		if forbidden := d.State == "forbidden"; forbidden != (d.Name == "secrets") || forbidden && !strings.Contains(strings.Join(d.Missing, "\n"), `resources: ["secrets"]`) {
			t.Errorf("of %s, it says %+v", d.Name, d)
		}
	}
}

// TestPlanForPeople prints a plan for many parents as text: the same change is shown once.
func TestPlanForPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{
		definitionName: applying(map[string]any{"a": page("a", text)}, nil),
		"logs":         {settings: map[string]any{"handler": map[string]any{"log": map[string]any{}}}},
		"paused":       applying(map[string]any{"b": page("b", text)}, map[string]any{"paused": true, "status": "none"}),
	})
	for _, name := range []string{"one", "two", "three"} {
		r.thing(t, name, "x")
	}
	person := r.person(t)
	stdout, stderr, status := command(t, person, "plan", r.path)
	if status != 4 {
		t.Fatalf("exit status is %d, want 4\n%s%s", status, stdout, stderr)
	}
	for _, want := range []string{
		"DEFINITION   STATE            OBJECTS   CREATE   OBJECT\n",
		"logs         effectsUnknown   3         0        0\n", "things       planned, new     3         3        3\n",
		"paused: it is paused, and does nothing.\n",
		"things: create ConfigMap " + r.namespace + "/one-a (child a) for Thing " + r.namespace + "/one\napiVersion: v1\ndata:\n  text: x\n",
		"The same for 2 more: ConfigMap " + r.namespace + "/three-a, ConfigMap " + r.namespace + "/two-a (--all shows each)\n",
		"logs: what its plugin does to the objects is known only when it does it.\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not print %q:\n%s", want, stdout)
		}
	}
	if stdout, _, _ := command(t, person, "plan", r.path, "--all"); strings.Count(stdout, "things: create") != 3 {
		t.Errorf("with --all, it prints\n%s", stdout)
	}
	if _, stderr, status := command(t, person, "plan", r.path, "--definition", "nothing"); status != 2 || !strings.Contains(stderr, `there is no definition "nothing"; there are: logs, paused, things`) {
		t.Errorf("of a definition that there is not, exit status is %d and it says %s", status, stderr)
	}
}

// TestPlanOfARollout plans a change that is made to a few parents at a time. One that is paused
// takes no part in it.
func TestPlanOfARollout(t *testing.T) {
	t.Parallel()
	if !conformance {
		return
	}
	r := newRig(t)
	rollout := func(data map[string]any) map[string]definition {
		return one(applying(map[string]any{"a": page("a", data)}, map[string]any{"rollout": map[string]any{"maxUnavailable": "50%"}}))
	}
	r.defineAll(t, rollout(text))
	p := r.start(t)
	for _, name := range []string{"one", "two", "three"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	p.Stop(t)
	r.patch(t, things, "two", `{"metadata": {"annotations": {"kooperd.dev/paused": "true"}}}`)
	r.defineAll(t, rollout(moreText))
	stdout, stderr, _ := command(t, r.person(t), "plan", r.path)
	for _, want := range []string{"1 of the objects are paused", "changes 2 objects a few at a time: no more while 1 of all 2 are not ready"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not print %q:\n%s%s", want, stdout, stderr)
		}
	}
}
