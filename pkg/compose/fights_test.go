package compose

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"
)

// fightRig is a rig with a website of two children, a rival, and a clock.
type fightRig struct {
	*rig
	id ChildID // of the child that the rival wants
	at time.Time
}

func newFightRig(t *testing.T) *fightRig {
	t.Helper()
	r := &fightRig{
		rig: newRig(t, rigOptions{composer: keys}), id: idOf(configMapKind, "team-a", "web-a"), at: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC),
	}
	r.now = func() time.Time { return r.at }
	r.newWebsite("web", map[string]any{"children": names(2), "data": "1"})
	r.mustPass(t, "web")
	r.sync()
	r.asked()
	return r
}

// rivals lets the rival change the child twice a second for some time, with a pass after each
// change, and returns how often the child was written.
func (r *fightRig) rivals(t *testing.T, d time.Duration, change func(tree map[string]any)) (writes int) {
	t.Helper()
	r.asked()
	for end := r.at.Add(d); r.at.Before(end); r.at = r.at.Add(500 * time.Millisecond) {
		r.server.do(func(c *cluster) { c.edit(r.id, "rival", change) })
		r.sync()
		r.mustPass(t, "web")
		r.sync()
	}
	return r.writes()
}

// writes is how often the child was written since the last call.
func (r *fightRig) writes() (n int) {
	for _, asked := range r.asked() {
		if asked == http.MethodPatch+" "+configMapPath("web-a") {
			n++
		}
	}
	return n
}

// goOn handles the website when it wants to be, until it does not any more.
func (r *fightRig) goOn(t *testing.T) (took time.Duration) {
	t.Helper()
	begun := r.at
	for range 100 {
		result := r.mustPass(t, "web")
		r.sync()
		if result.RequeueAfter == 0 {
			return r.at.Sub(begun)
		}
		r.at = r.at.Add(result.RequeueAfter)
	}
	t.Fatal("the passes do not end")
	return 0
}

func (r *fightRig) data() (data string) {
	r.server.do(func(c *cluster) {
		if o := c.objects[r.id]; o != nil {
			data, _ = object(o.tree, "data")["data"].(string)
		}
	})
	return data
}

func TestFightIsDamped(t *testing.T) {
	r := newFightRig(t)
	if writes := r.rivals(t, time.Minute, withData("data", "theirs")); writes > 11 || writes < freeReverts {
		t.Errorf("%d writes in the first minute of a fight, want at most 11", writes)
	}
	if writes := r.rivals(t, time.Minute, withData("data", "theirs")); writes > 2 {
		t.Errorf("%d writes in the second minute of a fight, want at most 2", writes)
	}
	for _, kind := range []string{conditionReady, conditionDegraded} {
		_, reason, message := r.conditionOf("web", kind)
		if reason != "Fight" || !strings.HasPrefix(message, `field manager "rival" sets data.data of ConfigMap team-a/web-a again and again.`) {
			t.Errorf("%s has %s: %s", kind, reason, message)
		}
	}
	if n := metricOf(t, r.rig, "kooperd_compose_fights", "rival"); n != 1 {
		t.Errorf("the metric has %v", n)
	}

	// The rival stops.
	result := r.mustPass(t, "web")
	if result.RequeueAfter > lastDamping {
		t.Errorf("the closing pass comes after %s", result.RequeueAfter)
	}
	r.at = r.at.Add(result.RequeueAfter)
	if r.mustPass(t, "web"); r.data() != "1" {
		t.Errorf("one damping window after the end, the data is %q", r.data())
	}
	r.sync()
	if took := r.goOn(t); took > 2*lastDamping {
		t.Errorf("the fight is over after %s", took)
	}
	if status, reason, _ := r.conditionOf("web", conditionReady); status != "True" {
		t.Errorf("after the end, Ready has %s", reason)
	}
	if len(r.Memory.fights.parents) > 0 {
		t.Error("the fight is remembered")
	}
	if n := testutil.CollectAndCount(r.registry, "kooperd_compose_fights"); n != 1 {
		t.Errorf("the metric has %d series, want the one without a manager", n)
	}
}

// TestDriftIsFixedAtOnceDuringAFight changes another field and another child.
func TestDriftIsFixedAtOnceDuringAFight(t *testing.T) {
	r := newFightRig(t)
	r.rivals(t, time.Minute, withData("data", "theirs"))
	r.server.do(func(c *cluster) {
		c.edit(idOf(configMapKind, "team-a", "web-b"), "kubectl", withData("data", "theirs"))
	})
	r.sync()
	r.mustPass(t, "web")
	if asked := r.asked(); !slices.Contains(asked, "PATCH "+configMapPath("web-b")) {
		t.Errorf("the other child is left: %v", asked)
	}
	r.server.do(func(c *cluster) { c.edit(r.id, "kubectl", annotated(ChildAnnotation, "x")) })
	r.sync()
	r.mustPass(t, "web")
	if r.writes() != 1 {
		t.Error("the other field is left")
	}
}

// TestFightEndsWithAnotherWish gives in.
func TestFightEndsWithAnotherWish(t *testing.T) {
	r := newFightRig(t)
	r.rivals(t, time.Minute, withData("data", "theirs"))
	r.setSpec("web", map[string]any{"data": "2"})
	r.sync()
	r.mustPass(t, "web")
	if status, reason, _ := r.conditionOf("web", conditionDegraded); r.data() != "2" || status != "False" {
		t.Errorf("the data is %q, and Degraded %s %s", r.data(), status, reason)
	}
}

func TestFightsOfOtherKinds(t *testing.T) {
	for name, tc := range map[string]struct {
		rival func(r *fightRig, c *cluster)
		want  string
	}{
		"the child is deleted": {
			rival: func(r *fightRig, c *cluster) { delete(c.objects, r.id) },
			want:  "ConfigMap team-a/web-a is deleted again and again by another party.",
		},
		"the value is removed": {
			rival: func(r *fightRig, c *cluster) {
				c.edit(r.id, "rival", func(tree map[string]any) { delete(tree, "data") })
			},
			want: "data.data of ConfigMap team-a/web-a does not stay as it is desired",
		},
		"the hash is removed": {
			rival: func(r *fightRig, c *cluster) { c.edit(r.id, "rival", annotated(AppliedAnnotation, "x")) },
			want:  `field manager "rival" sets metadata.annotations.kooperd.dev/applied of ConfigMap team-a/web-a`,
		},
		"the owner reference is removed": {
			rival: func(r *fightRig, c *cluster) {
				c.edit(r.id, "rival", func(tree map[string]any) { delete(object(tree, "metadata"), "ownerReferences") })
			},
			want: "metadata.ownerReferences of ConfigMap team-a/web-a does not stay",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFightRig(t)
			for end := r.at.Add(time.Minute); r.at.Before(end); r.at = r.at.Add(500 * time.Millisecond) {
				r.server.do(func(c *cluster) { tc.rival(r, c) })
				r.sync()
				r.mustPass(t, "web")
				r.sync()
			}
			if n := r.writes(); n > 11 || n < freeReverts {
				t.Errorf("%d writes in the first minute, want at most 11", n)
			}
			if _, reason, message := r.conditionOf("web", conditionDegraded); reason != "Fight" || !strings.HasPrefix(message, tc.want) {
				t.Errorf("Degraded has %s: %s", reason, message)
			}
		})
	}
}

// TestNoFights makes many children, changes what they should be, deletes some by the composer, and
// has single fields changed.
func TestNoFights(t *testing.T) {
	r := newFightRig(t)
	var children []any
	for i := range 200 {
		children = append(children, fmt.Sprint(i))
	}
	r.newWebsite("shop", map[string]any{"children": children, "data": "0"})
	r.mustPass(t, "shop")
	r.sync()
	for i := range 2 * freeReverts {
		r.setSpec("shop", map[string]any{"data": fmt.Sprint(i)})
		r.sync()
		r.mustPass(t, "shop")
		r.sync()
		r.setSpec("web", map[string]any{"children": names(i % 2)})
		r.sync()
		r.mustPass(t, "web")
		r.sync()
	}
	for range 2 * freeReverts { // Each field by itself is set back as often as others change it.
		r.at = r.at.Add(calmTime)
		r.server.do(func(c *cluster) {
			c.edit(idOf(configMapKind, "team-a", "shop-7"), "kubectl", withData("data", "theirs"))
		})
		r.sync()
		r.asked()
		r.mustPass(t, "shop")
		if n := len(r.asked()); n == 0 {
			t.Error("it is not set back")
		}
		r.sync()
	}
	for parent, fights := range r.Memory.fights.parents {
		for id, f := range fights {
			if f.first() != nil {
				t.Errorf("%s of %s is fought about", id, parent)
			}
		}
	}
}

// TestFightsAreBounded has a rival with ever new names, and many fields.
func TestFightsAreBounded(t *testing.T) {
	f := newFights()
	shown := map[string]int{}
	f.showBy(func(manager string, n int) {
		if shown[manager] = n; n == 0 {
			delete(shown, manager)
		}
	})
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	var fields []drift
	for i := range 100 {
		fields = append(fields, drift{text: fmt.Sprint(i)})
	}
	for i := range 100 {
		parent := types.UID(fmt.Sprint(i))
		for range freeReverts {
			f.revert(parent, pageID, "hash", fields, at)
		}
		f.asks(parent, []Op{{ID: pageID, Reason: ReasonFight}}, at)
		f.name(parent, pageID, fmt.Sprint("manager-", i))
		f.look(parent, nil, at)
	}
	if len(shown) > maxManagers+1 || len(f.managers) > maxManagers+1 {
		t.Errorf("the metric has %d series", len(shown))
	}
	f.revert("0", pageID, "hash", fields, at)
	f.name("0", pageID, PatchManagers+"pages/0b9c")
	f.look("0", nil, at)
	for manager := range shown {
		if strings.Contains(manager, "0b9c") {
			t.Errorf("the metric names a parent: %s", manager)
		}
	}
	if n := len(f.parents["0"][pageID].fields); n != maxPaths {
		t.Errorf("%d fields are remembered, want %d", n, maxPaths)
	}
	f.revert("last", pageID, "hash", fields, at.Add(3*calmTime))
	if len(f.parents) != 1 {
		t.Errorf("%d parents are remembered that have calmed down", len(f.parents)-1)
	}
	f.clear()
	if len(shown) > 0 || len(f.parents) > 0 {
		t.Errorf("left are %v and %v", shown, f.parents)
	}
}

// TestFightAboutOneFieldOutlastsAnother has two fields fought about, of which one has been left
// alone for long when the other is to be set back.
func TestFightAboutOneFieldOutlastsAnother(t *testing.T) {
	f := newFights()
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	for range freeReverts {
		f.revert("web", pageID, "hash", []drift{{text: "data.a"}}, at)
	}
	for range freeReverts + 7 {
		f.revert("web", pageID, "hash", []drift{{text: "data.b"}}, at)
	}
	ops := []Op{{ID: pageID, Reason: ReasonFight}, {ID: pageID, Reason: ReasonDuplicate}}
	const want = 128 * time.Second
	if _, again := f.look("web", ops, at.Add(time.Minute)); again != want-time.Minute {
		t.Errorf("it is looked at again after %s, want %s", again, want-time.Minute)
	}
	if _, again := f.look("web", ops, at.Add(want)); again != time.Millisecond {
		t.Errorf("when it may be set back, it is looked at again after %s, want at once", again)
	}
}

// TestVanishedChildrenAreForgotten has a child deleted by others that is not desired any more.
func TestVanishedChildrenAreForgotten(t *testing.T) {
	r := newFightRig(t)
	r.server.do(func(c *cluster) { delete(c.objects, r.id) })
	r.setSpec("web", map[string]any{"children": []any{"b"}})
	r.sync()
	r.mustPass(t, "web")
	if n := len(r.Memory.fights.parents); n > 0 {
		t.Errorf("%d parents have children that are remembered", n)
	}
}

// TestChildrenThatGoSlowlyAreNoFight has a child with a finalizer that the composer wants and does
// not want by turns.
func TestChildrenThatGoSlowlyAreNoFight(t *testing.T) {
	r := newFightRig(t)
	for range 2 * freeReverts {
		r.server.do(func(c *cluster) {
			c.edit(r.id, "kubelet", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
		})
		r.setSpec("web", map[string]any{"children": []any{"b"}})
		r.sync()
		r.mustPass(t, "web")
		r.sync()
		r.setSpec("web", map[string]any{"children": names(2)})
		r.sync()
		r.mustPass(t, "web")
		r.server.do(func(c *cluster) { delete(c.objects, r.id); c.version++ })
		r.sync()
		r.mustPass(t, "web")
		r.sync()
	}
	if _, reason, message := r.conditionOf("web", conditionDegraded); reason == "Fight" || r.childrenOf("web") != 2 {
		t.Errorf("it has %d children, and Degraded has %s: %s", r.childrenOf("web"), reason, message)
	}
}
