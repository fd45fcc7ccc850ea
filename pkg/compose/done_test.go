package compose

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

var podKind = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}

// pod is a child that finishes.
func pod(image string) handlers.Child {
	return handlers.Child{Name: "run", Object: untyped(podKind, "", "run", map[string]any{"spec": map[string]any{"image": image}})}
}

func TestPlanOfFinished(t *testing.T) {
	podID := idOf(podKind, "team-a", "run")
	hash := desire(t, website, pod("a"))[0].hash
	done := func(said string) func(*Input) {
		return func(in *Input) { in.Done = map[string]string{"run": said} }
	}
	again := pod("a")
	again.Policy.WhenGone = handlers.WhenGoneRecreate
	const message = ": it has finished, and is not made again until what is desired changes"
	going := func(c *cluster) {
		c.edit(podID, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"foregroundDeletion"} })
		if err := c.delete(podID, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	runPlans(t, map[string]planCase{
		"gone":            {desired: pages(pod("a")), input: done(outcome(hash, false)), want: []string{"skip Done Pod team-a/run" + message}},
		"failed and gone": {desired: pages(pod("a")), input: done(outcome(hash, true)), want: []string{"skip Done Pod team-a/run" + message}},
		"another is desired": {
			desired: pages(pod("b")), input: done(outcome(hash, false)), want: []string{"create Absent Pod team-a/run"},
		},
		"gone, to be made again": {desired: pages(again), input: done(outcome(hash, false)), want: []string{"create Absent Pod team-a/run"}},
		"gone without a note":    {desired: pages(pod("a")), want: []string{"create Absent Pod team-a/run"}},
		"a kind that does not finish": {
			desired: pages(configMap("run", map[string]any{"a": "1"})), want: []string{"create Absent ConfigMap team-a/run"},
			input: func(in *Input) { in.Done = map[string]string{"run": outcome(in.Desired[0].hash, false)} },
		},
		"there": {
			made: pages(pod("a")), desired: pages(pod("a")), input: done(outcome(hash, false)), want: []string{"skip Current Pod team-a/run"},
		},
		"going": {
			made: pages(pod("a")), desired: pages(pod("a")), input: done(outcome(hash, false)), others: going,
			want: []string{"skip Done Pod team-a/run" + message},
		},
		"going without a note": {
			made: pages(pod("a")), desired: pages(pod("a")), others: going,
			want: []string{"wait Deleting Pod team-a/run: it is being deleted and waits for finalizer foregroundDeletion"},
		},
	})
}

func TestOutcomeOf(t *testing.T) {
	condition := func(kind string) map[string]any {
		return map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": kind, "status": "True"}}}}
	}
	phase := func(phase string) map[string]any { return map[string]any{"status": map[string]any{"phase": phase}} }
	job := schema.GroupKind{Group: "batch", Kind: "Job"}
	for name, tc := range map[string]struct {
		kind schema.GroupKind
		tree map[string]any
		want string
	}{
		"new Job": {kind: job}, "complete Job": {kind: job, tree: condition("Complete"), want: "v1-x"},
		"failed Job": {kind: job, tree: condition("Failed"), want: "!v1-x"}, "suspended Job": {kind: job, tree: condition("Suspended")},
		"running Pod": {kind: podKind.GroupKind(), tree: phase("Running")}, "succeeded Pod": {kind: podKind.GroupKind(), tree: phase("Succeeded"), want: "v1-x"},
		"failed Pod": {kind: podKind.GroupKind(), tree: phase("Failed"), want: "!v1-x"},
	} {
		if got := outcomeOf(tc.kind, "v1-x", tc.tree); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestWhatIsNoted(t *testing.T) {
	hash := desire(t, website, pod("a"))[0].hash
	stays := Op{Desired: desire(t, website, pod("a"))[0], Reason: ReasonDone}
	for name, tc := range map[string]struct {
		ops     []Op
		pending []handlers.Pending
		before  map[string]string
		gone    map[string]string
		want    map[string]string
	}{
		"nothing":              {want: map[string]string{}},
		"not desired any more": {before: map[string]string{"run": "v1-x"}, want: map[string]string{}},
		"done":                 {ops: []Op{stays}, before: map[string]string{"run": outcome(hash, true)}, want: map[string]string{"run": outcome(hash, true)}},
		"gone meanwhile":       {ops: []Op{stays}, gone: map[string]string{"run": outcome(hash, false)}, want: map[string]string{"run": outcome(hash, false)}},
		"pending": {
			pending: []handlers.Pending{{Name: "run"}}, before: map[string]string{"run": "v1-x", "other": "v1-y"}, want: map[string]string{"run": "v1-x"},
		},
		"pending, for each of a list": {
			pending: []handlers.Pending{{Name: "run"}}, before: map[string]string{"run/a": "v1-x", "runs/b": "v1-y"}, want: map[string]string{"run/a": "v1-x"},
		},
		"all pending": {pending: []handlers.Pending{{}}, before: map[string]string{"run": "v1-x"}, want: map[string]string{"run": "v1-x"}},
		"pending, gone meanwhile": {
			pending: []handlers.Pending{{Name: "run"}}, gone: map[string]string{"run": "v1-x", "other": "v1-y"}, want: map[string]string{"run": "v1-x"},
		},
		"waits for another, gone meanwhile": {
			ops: []Op{{Desired: stays.Desired, Reason: ReasonAfter}}, gone: map[string]string{"run": "v1-x"}, want: map[string]string{"run": "v1-x"},
		},
		"waits for another": {ops: []Op{{Desired: stays.Desired, Reason: ReasonAfter}}, before: map[string]string{"run": "v1-x"}, want: map[string]string{"run": "v1-x"}},
	} {
		t.Run(name, func(t *testing.T) {
			memory := NewMemory()
			memory.of(website.UID).finished = tc.gone
			c := &current{Reconciler: &Reconciler{Options: Options{Remembered: Remembered{Memory: memory}}}, parent: website, meta: &metav1.ObjectMeta{}}
			text := ""
			for _, name := range []string{"run", "other", "run/a", "runs/b"} {
				if said, ok := tc.before[name]; ok {
					text += fmt.Sprintf("%s%q: %q", strings.Repeat(",", min(len(text), 1)), name, said)
				}
			}
			c.meta.Annotations = map[string]string{DoneAnnotation("", ""): "{" + text + "}"}
			f := finishing{&pass{executor: &executor{observer: &observer{current: c}}, ops: tc.ops, composition: handlers.Composition{Pending: tc.pending}}}
			if diff := cmp.Diff(tc.want, f.next(f.doneBefore())); diff != "" {
				t.Errorf("noted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoteIsBounded(t *testing.T) {
	c := &current{Reconciler: &Reconciler{Options: Options{Remembered: Remembered{Memory: NewMemory()}}}, parent: website, meta: &metav1.ObjectMeta{}}
	p := &pass{executor: &executor{observer: &observer{current: c}}}
	gone := map[string]string{}
	for i := range 2000 {
		child := pod("a")
		child.Name = fmt.Sprintf("run-%d", i)
		d := desire(t, website, child)[0]
		gone[d.Name] = outcome(d.hash, false)
		p.ops = append(p.ops, Op{Desired: d, Reason: ReasonDone})
	}
	c.Memory.of(website.UID).finished = maps.Clone(gone)
	next := finishing{p}.next(nil)
	size := 0
	for name, said := range next {
		size += len(name) + len(said)
	}
	if size > maxDone || len(next) < 500 {
		t.Errorf("%d are noted, with %d bytes", len(next), size)
	}
}

// A child that finishes and goes while the note of another one is made is noted by the next pass.
func TestNoteOfWhatGoesMeanwhile(t *testing.T) {
	for _, planned := range []bool{false, true} {
		t.Run(fmt.Sprintf("when the plan is made: %t", !planned), func(t *testing.T) {
			var gone handlers.Object
			var r *rig
			goes := func() {
				if gone != nil {
					noteFinished(r.Reconciler, r.parent("web").UID(), gone)
					gone = nil
				}
			}
			first, second := pod("a"), pod("a")
			second.Name, second.Object = "other", untyped(podKind, "", "other", map[string]any{"spec": map[string]any{"image": "a"}})
			r = newRig(t, rigOptions{owns: []schema.GroupVersionKind{podKind}, composer: handlers.ComposerFunc(
				func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
					if !planned {
						goes()
					}
					return handlers.Composition{Children: []handlers.Child{first, second}}, nil
				},
			)})
			r.newWebsite("web", nil)
			r.mustPass(t, "web")
			succeed := func(tree map[string]any) { object(tree, "status")["phase"] = "Succeeded" }
			r.server.do(func(c *cluster) { c.edit(idOf(podKind, "team-a", "run"), "kubelet", succeed) })
			r.sync()
			otherID := idOf(podKind, "team-a", "other")
			r.server.do(func(c *cluster) {
				c.edit(otherID, "kubelet", succeed)
				var err error
				if gone, err = c.objects[otherID].readBy(FieldManager, false); err != nil {
					t.Fatal(err)
				}
				if err := c.delete(otherID, "", ""); err != nil {
					t.Fatal(err)
				}
			})
			r.server.answer = func(_ http.ResponseWriter, asked request) bool {
				if strings.HasSuffix(asked.path, "/websites/web") && strings.Contains(asked.body, "annotations") {
					goes()
				}
				return false
			}
			r.mustPass(t, "web")
			if gone != nil {
				t.Fatal("nothing was noted of the first one")
			}
			r.sync()
			r.mustPass(t, "web")
			r.server.do(func(c *cluster) {
				if c.objects[otherID] != nil {
					t.Error("it is run again")
				}
			})
			if text := r.parent("web").Metadata().Annotations[DoneAnnotation(installation, definition)]; !strings.Contains(text, "run") {
				t.Errorf("noted is %s", text)
			}
			if r.sync(); !strings.Contains(r.parent("web").Metadata().Annotations[DoneAnnotation(installation, definition)], "other") {
				t.Error("it is not noted")
			}
			if left := finishedOf(r.Memory, r.parent("web").UID()); len(left) > 0 {
				t.Errorf("%v is still remembered", left)
			}
		})
	}
}
