package compose_test

import (
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// planCase is a change of a config, and what comes of it for the parents p and q, of which p is
// labeled tier=gold.
type planCase struct {
	name          string
	before, after map[string]definition
	want          []string // as planned.actions
	always        bool     // not only with -conformance
}

func one(d definition) map[string]definition { return map[string]definition{definitionName: d} }

// of is a config whose definition has these children.
func of(children map[string]any) map[string]definition { return one(applying(children, nil)) }

var (
	text     = map[string]any{"text": "${object.spec.text}"}
	moreText = map[string]any{"text": "${object.spec.text}", "more": "1"}
)

// autoscaler is a child in some version of its kind.
func autoscaler(version string) map[string]any {
	return map[string]any{"readyWhen": "true", "template": map[string]any{
		"apiVersion": "autoscaling/" + version, "kind": "HorizontalPodAutoscaler", "metadata": map[string]any{"name": "${object.metadata.name}-h"},
		"spec": map[string]any{"maxReplicas": 3, "scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}},
	}}
}

// copies is a child for each entry of a list.
func copies(list string) map[string]any {
	child := page("${entry}", text)
	child["forEach"], child["as"], child["key"] = list, "entry", "entry"
	return child
}

func (r *rig) planCases() []planCase {
	both := func(actions ...string) (all []string) {
		for _, action := range actions {
			for _, parent := range []string{"p", "q"} {
				verb, suffix, _ := strings.Cut(action, " ")
				all = append(all, verb+" ConfigMap "+parent+"-"+suffix)
			}
		}
		slices.Sort(all)
		return all
	}
	watch := map[string]any{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "namespaces": []string{r.namespace}}
	golden := map[string]any{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "namespaces": []string{r.namespace}, "labelSelector": "tier=gold"}
	renamed := page("a", text)
	renamed["formerly"] = []string{"a"}
	children := map[string]any{"a": page("a", text)}
	broken := map[string]any{"a": page("a", map[string]any{"text": "${string(1 / (object.spec.n - object.spec.n))}"})}
	return []planCase{
		{name: "field more", before: of(children), after: of(map[string]any{"a": page("a", moreText)}), want: both("change a"), always: true},
		{name: "field less", before: of(map[string]any{"a": page("a", moreText)}), after: of(children), want: both("change a")},
		{name: "child more", before: of(children), after: of(map[string]any{"a": page("a", text), "b": page("b", text)}), want: both("create b")},
		{name: "child less", before: of(map[string]any{"a": page("a", text), "b": page("b", text)}), after: of(children), want: both("delete b")},
		{name: "child renamed", before: of(children), after: of(map[string]any{"site": renamed}), want: both("change a")},
		{
			name: "definition renamed", before: of(children), want: both("handOver a"),
			after: map[string]definition{"sites": applying(children, map[string]any{"formerly": []string{definitionName}})},
		},
		{name: "name changed", before: of(children), after: of(map[string]any{"a": page("b", text)}), want: both("create b", "delete a"), always: true},
		{
			name: "immutable field", before: of(map[string]any{"a": page("a", text, "update", "recreate", "immutable", "")}),
			after: of(map[string]any{"a": page("a", moreText, "update", "recreate", "immutable", "")}), want: both("recreate a"),
		},
		{
			name: "other version of the kind", before: of(map[string]any{"h": autoscaler("v1")}), after: of(map[string]any{"h": autoscaler("v2")}),
			want: []string{"change HorizontalPodAutoscaler p-h", "change HorizontalPodAutoscaler q-h"},
		},
		{
			name: "wider forEach", before: of(map[string]any{"c": copies(`["x", "y"]`)}), after: of(map[string]any{"c": copies(`["x", "y", "z"]`)}),
			want: both("create z"),
		},
		{
			name: "narrower selector", before: one(applying(children, map[string]any{"watch": watch, "onRemove": "delete"})),
			after: one(applying(children, map[string]any{"watch": golden, "onRemove": "delete"})), want: []string{"delete ConfigMap q-a"}, always: true,
		},
		{name: "broken template", before: of(children), after: of(broken)},
	}
}

// TestPlannedIsDone changes a definition in twelve ways. What plan says is what a kooperd with the
// new file does then, by the audit log, and after that there is nothing more to do. Plan itself
// sends dry runs alone.
func TestPlannedIsDone(t *testing.T) {
	t.Parallel()
	for i := range (&rig{}).planCases() {
		name := (&rig{}).planCases()[i].name
		if !(&rig{}).planCases()[i].always && !conformance {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.planAndApply(t, r.planCases()[i])
		})
	}
}

func (r *rig) planAndApply(t *testing.T, tc planCase) {
	t.Helper()
	r.defineAll(t, tc.before)
	r.thing(t, "q", "x")
	r.thing(t, "p", "x")
	r.patch(t, things, "p", `{"metadata": {"labels": {"tier": "gold"}}}`)
	person := r.person(t)
	p := r.start(t)
	r.ready(t, "p")
	r.ready(t, "q")
	p.Stop(t)
	if found := r.plan(t, person, 0); len(found.Changes) > 0 {
		t.Errorf("of what is there, it says %v", found.Changes)
	}

	fails := len(tc.want) == 0
	status := 4
	if fails {
		status = 1
	}
	r.defineAll(t, tc.after)
	before, mark := r.versions(t), shared.AuditMark(t)
	found := r.plan(t, person, status)
	if diff := gocmp.Diff(tc.want, found.actions()); diff != "" {
		t.Errorf("it says (-want +got):\n%s", diff)
	}
	if fails && (len(found.Failures) != 2 || found.Failures[0].Object.Name != "p" || found.Failures[0].At == "") {
		t.Errorf("the failures are %+v, want one for each parent with its place in the file", found.Failures)
	}
	r.onlyDryRuns(t, mark, "person")
	if diff := gocmp.Diff(before, r.versions(t)); diff != "" {
		t.Errorf("it has changed objects (-before +after):\n%s", diff)
	}

	mark = shared.AuditMark(t)
	p = r.start(t)
	if fails {
		r.await(t, things, "the parents degraded", func(o objects) bool {
			one, _, _ := o.condition("p", "Degraded")
			other, _, _ := o.condition("q", "Degraded")
			return one == "True" && other == "True"
		})
	} else {
		p.Await(t, "what was planned", func() bool {
			done := r.carriedOut(t, mark)
			return !slices.ContainsFunc(found.writes(), func(write string) bool { return !slices.Contains(done, write) })
		})
		r.ready(t, "p")
	}
	p.Stop(t)
	if diff := gocmp.Diff(found.writes(), r.carriedOut(t, mark)); diff != "" {
		t.Errorf("kooperd has done something else (-planned +done):\n%s", diff)
	}
	if again := r.plan(t, person, map[bool]int{true: 1}[fails]); len(again.actions()) > 0 {
		t.Errorf("after that, it says %v", again.actions())
	}
}
