package compose

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// brakeRig is a rig with websites of children that are as desired, and a clock.
type brakeRig struct {
	*rig
	at      time.Time
	changes int // of what is held
}

func newBrakeRig(t *testing.T, websites, children int) *brakeRig {
	t.Helper()
	r := &brakeRig{rig: newRig(t, rigOptions{composer: keys}), at: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
	r.now = func() time.Time { return r.at }
	r.Memory.Brake.OnHeld(func() { r.changes++ })
	for i := range websites {
		name := fmt.Sprintf("web%d", i)
		r.newWebsite(name, map[string]any{"children": names(children)})
		r.mustPass(t, name)
	}
	r.sync()
	return r
}

// drop makes the composer say of a website that it has so many children, and handles it.
func (r *brakeRig) drop(t *testing.T, website string, children int) (left int) {
	t.Helper()
	r.setSpec(website, map[string]any{"children": names(children)})
	r.sync()
	r.mustPass(t, website)
	r.sync()
	return r.childrenOf(website)
}

// conditionOf returns a condition of a website.
func (r *rig) conditionOf(website, kind string) (status, reason, message string) {
	r.server.do(func(c *cluster) {
		for _, item := range conditions(c.objects[idOf(websiteKind, "team-a", website)].tree) {
			if item["type"] == kind {
				status, reason, message = fmt.Sprint(item["status"]), fmt.Sprint(item["reason"]), fmt.Sprint(item["message"])
			}
		}
	})
	return status, reason, message
}

func (r *brakeRig) annotate(website, value string) {
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", website), "kubectl", annotated(AllowPruneAnnotation, value))
	})
	r.sync()
}

func TestBrakeHoldsBeyondTenAndAFifth(t *testing.T) {
	for name, tc := range map[string]struct {
		websites, children, dropping int
		want                         int // websites whose child goes
	}{
		"ten of few":      {websites: 12, children: 1, dropping: 12, want: 10},
		"a fifth of many": {websites: 40, children: 2, dropping: 40, want: 16},
		"less than that":  {websites: 40, children: 2, dropping: 16, want: 16},
	} {
		t.Run(name, func(t *testing.T) {
			r := newBrakeRig(t, tc.websites, tc.children)
			gone := 0
			for i := range tc.dropping {
				gone += tc.children - r.drop(t, fmt.Sprintf("web%d", i), tc.children-1)
			}
			if gone != tc.want {
				t.Errorf("%d children are gone, want %d", gone, tc.want)
			}
			if held := r.Memory.Brake.Held() != ""; held != (tc.dropping > tc.want) {
				t.Errorf("held: %q", r.Memory.Brake.Held())
			}
			if held := metricOf(t, r.rig, "kooperd_compose_prune_held_parents", definition); held != float64(tc.dropping-tc.want) {
				t.Errorf("the deletions of %v parents are held, want %d", held, tc.dropping-tc.want)
			}
		})
	}
}

// TestBrakeCountsWhatIsAboutToGo drops everything of one parent.
func TestBrakeCountsWhatIsAboutToGo(t *testing.T) {
	r := newBrakeRig(t, 2, 12)
	if left := r.drop(t, "web0", 0); left != 12 {
		t.Errorf("%d children are left, want 12", left)
	}
	status, reason, message := r.conditionOf("web0", conditionDegraded)
	if status != "True" || reason != "PruneHeld" || !strings.Contains(message, "ConfigMap team-a/web0-a") ||
		!strings.Contains(message, "kooperd.dev/allow-prune=2026-11-26T10:00:00Z") {
		t.Errorf("Degraded is %s %s: %s", status, reason, message)
	}
	if left := r.drop(t, "web1", 11); left != 12 {
		t.Errorf("of another parent %d children are left, want 12", left)
	}
	r.drop(t, "web0", 12)
	if status, reason, _ := r.conditionOf("web0", conditionDegraded); status != "False" {
		t.Errorf("of what is desired again, Degraded is %s %s", status, reason)
	}
	if result := r.mustPass(t, "web1"); result.RequeueAfter != 0 || r.childrenOf("web1") != 11 {
		t.Errorf("after the end of the hold, the other parent has %d children, and %+v", r.childrenOf("web1"), result)
	}
	if r.changes != 2 {
		t.Errorf("the hold has changed %d times, want a begin and an end", r.changes)
	}
}

// TestBrakeCountsNoRevisions has a note on each parent as it was, which goes with the next one.
// That is no deletion to wonder about, and the notes make no room for deletions of children.
func TestBrakeCountsNoRevisions(t *testing.T) {
	const websites = 30
	revision, pages := "1", 1
	r := &brakeRig{rig: newRig(t, rigOptions{
		owns: []schema.GroupVersionKind{configMapKind, revisionKind},
		composer: handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
			name := req.Object.Name()
			all := []handlers.Child{{Name: "revision", Object: untyped(revisionKind, "", name+"-"+revision, nil)}}
			if pages > 0 {
				all = append(all, configMap(name+"-page", nil))
			}
			return handlers.Composition{Children: all}, nil
		}),
	})}
	for _, revision = range []string{"1", "2"} {
		for i := range websites {
			name := fmt.Sprintf("web%d", i)
			if r.parent(name) == nil {
				r.newWebsite(name, nil)
			}
			r.mustPass(t, name)
		}
		r.sync()
	}
	if held := r.Memory.Brake.Held(); held != "" {
		t.Fatalf("held: %s", held)
	}
	r.server.do(func(c *cluster) {
		for id := range c.objects {
			if id.Kind == ofRevisions && strings.HasSuffix(id.Name, "-1") {
				t.Errorf("%s is left", id)
			}
		}
	})
	pages = 0
	for i := range 11 {
		r.mustPass(t, fmt.Sprintf("web%d", i))
	}
	if want := "11 of the 30 children"; !strings.Contains(r.Memory.Brake.Held(), want) {
		t.Errorf("held: %q, want that %s would go", r.Memory.Brake.Held(), want)
	}
}

func TestBrakeLooksAgain(t *testing.T) {
	r := newBrakeRig(t, 12, 1)
	for i := range 12 {
		r.drop(t, fmt.Sprintf("web%d", i), 0)
	}
	if result := r.mustPass(t, "web11"); result.RequeueAfter != heldInterval || r.childrenOf("web11") != 1 {
		t.Errorf("result %+v", result)
	}
	r.at = r.at.Add(brakeMinutes * time.Minute)
	if r.mustPass(t, "web11"); r.childrenOf("web11") != 0 || r.Memory.Brake.Held() != "" {
		t.Error("ten minutes later it is held")
	}
}

func TestBrakeGivesWayToAWord(t *testing.T) {
	r := newBrakeRig(t, 3, 12)
	for i := range 3 {
		r.drop(t, fmt.Sprintf("web%d", i), 0)
	}
	r.at = r.at.Add(time.Minute)
	for _, word := range []string{"true", "", "2026-11-26T09:59:59Z", "2027-11-26T10:00:00Z"} {
		r.annotate("web0", word)
		if r.mustPass(t, "web0"); r.childrenOf("web0") != 12 {
			t.Fatalf("%q lets the children go", word)
		}
	}
	r.annotate("web0", "2026-11-26T10:00:00Z")
	r.mustPass(t, "web0")
	r.mustPass(t, "web1")
	if r.childrenOf("web0") != 0 || r.childrenOf("web1") != 12 {
		t.Errorf("%d and %d children are left, want 0 and 12", r.childrenOf("web0"), r.childrenOf("web1"))
	}
	r.Pause() // A restart.
	r.annotate("web1", "2026-11-26T10:00:00Z")
	if r.mustPass(t, "web1"); r.childrenOf("web1") != 0 {
		t.Error("after a restart, the word counts no more")
	}
	r.at = r.at.Add(freeTime)
	r.annotate("web2", "2026-11-26T10:00:00Z")
	if r.mustPass(t, "web2"); r.childrenOf("web2") != 12 {
		t.Error("an old word lets children go")
	}
}

// TestBrakeLetsAChangedDefinitionDelete changes the definition: what its first pass of a parent
// deletes is the file's.
func TestBrakeLetsAChangedDefinitionDelete(t *testing.T) {
	r := newBrakeRig(t, 2, 12)
	r.drop(t, "web0", 0)
	if r.childrenOf("web0") != 12 {
		t.Fatal("nothing is held")
	}
	r.Memory.Brake.DefinitionChanged(r.at)
	if r.Memory.Brake.Held() != "" {
		t.Error("the changed definition is held")
	}
	if r.mustPass(t, "web0"); r.childrenOf("web0") != 0 {
		t.Error("the changed definition deletes nothing")
	}
	r.mustPass(t, "web1") // It has all its children, and had its pass.
	if r.drop(t, "web1", 0) != 12 {
		t.Error("a later deletion is not held")
	}
	r.Pause()
	r.at = r.at.Add(2 * freeTime)
	r.Memory.Brake.DefinitionChanged(r.at.Add(-2 * freeTime))
	if r.mustPass(t, "web1"); r.childrenOf("web1") != 12 {
		t.Error("after a restart of an unchanged definition, a deletion is not held")
	}
}

// TestBrakeForgetsParents makes sure that a hold does not outlive its parents.
func TestBrakeForgetsParents(t *testing.T) {
	r := newBrakeRig(t, 1, 12)
	r.drop(t, "web0", 0)
	r.Forget(webKey, "") // Another one.
	if r.Memory.Brake.Held() == "" {
		t.Error("nothing is held")
	}
	for uid := range r.Memory.Brake.held {
		r.Memory.Brake.release(types.UID("other than " + string(uid)))
	}
	if r.Memory.Brake.Held() == "" {
		t.Error("another parent has ended the hold")
	}
	webKey := webKey
	webKey.Name = "web0"
	r.Forget(webKey, "")
	if r.Memory.Brake.Held() != "" || len(r.Memory.Brake.held) > 0 {
		t.Errorf("held is %q", r.Memory.Brake.Held())
	}
}

func TestBrakeCountsNoFailedDeletions(t *testing.T) {
	var b Brake
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	total := func() int { return 20 }
	for range 3 {
		if held := b.take("a", 9, at, total); held != "" {
			t.Fatal(held)
		}
		b.giveBack(9, at)
	}
	if held := b.take("a", 11, at, total); held == "" {
		t.Error("11 of 20 children may go")
	}
}

func TestBrakeIsNotHeldByAPausedParent(t *testing.T) {
	r := newBrakeRig(t, 2, 12)
	if r.drop(t, "web0", 0) != 12 {
		t.Fatal("nothing is held")
	}
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", "web0"), "kubectl", annotated(PausedAnnotation, "true"))
	})
	r.sync()
	r.mustPass(t, "web0")
	if left := r.drop(t, "web1", 11); left != 11 || r.Memory.Brake.Held() != "" {
		t.Errorf("of another parent %d children are left, want 11; held is %q", left, r.Memory.Brake.Held())
	}
}

// What is held is summed up as it comes and goes, and not for each parent anew.
func TestBrakeSumsUpWhatIsHeld(t *testing.T) {
	b, now := &Brake{}, time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	sum := func() (n int) {
		for _, more := range b.held {
			n += more
		}
		return n
	}
	total := func() int { return 100 }
	for i, n := range []int{50, 60, 3, 7, 60, 1} {
		parent := types.UID(fmt.Sprint("u", i%3))
		if b.take(parent, n, now, total) == "" {
			t.Errorf("%d children of %s are not held", n, parent)
		}
		if b.wanted != sum() {
			t.Errorf("the sum is %d, want %d", b.wanted, sum())
		}
	}
	for _, parent := range []types.UID{"u0", "u0", "other", "u1"} {
		b.release(parent)
		if b.wanted != sum() {
			t.Errorf("after the release of %s the sum is %d, want %d", parent, b.wanted, sum())
		}
	}
	if b.release("u2"); b.wanted != 0 || b.Held() != "" {
		t.Errorf("the sum is %d when nothing is held", b.wanted)
	}
	b.take("u0", 50, now, total)
	if b.reset(now); b.wanted != 0 {
		t.Errorf("the sum is %d after a reset", b.wanted)
	}
}
