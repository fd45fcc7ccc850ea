package compose

import (
	"testing"

	"kooperd.dev/kooperd/pkg/kube"
)

// seen is what a pass for the website observes of its child.
func (r *rig) seen(t *testing.T, id ChildID) (child *Observed, ok bool) {
	t.Helper()
	c := &current{Reconciler: r.Reconciler}
	c.setParent(r.parent("web"))
	o := &observer{current: c, live: map[ChildID]observedChild{}}
	all := o.observeChildren()
	found, ok := all[id]
	return found.Observed, ok
}

func TestOverlayShowsAnAnswerUntilTheCacheHasIt(t *testing.T) {
	r, id, made := childRig(t)
	o, ok := r.seen(t, id)
	if !ok || o.ResourceVersion != made.ResourceVersion() {
		t.Fatalf("the answer to a write is not seen")
	}
	if hash := desire(t, websiteOf(r), keyChild("web", "a", "1"))[0].hash; o.applied != hash {
		t.Errorf("what was applied in this state is %q, want %q", o.applied, hash)
	}
	later := r.next(t, id, withData("data", "2"))
	r.sync()
	if o, ok = r.seen(t, id); !ok || o.ResourceVersion != later.ResourceVersion() || o.applied != "" {
		t.Errorf("of a later change is seen version %s, applied %q", o.ResourceVersion, o.applied)
	}
}

// websiteOf is the parent of a rig.
func websiteOf(r *rig) Parent {
	return Parent{Kind: websiteKind, Namespace: "team-a", Name: "web", UID: r.parent("web").UID()}
}

func TestOverlayHidesWhatWasDeleted(t *testing.T) {
	r, id, made := childRig(t)
	r.sync()
	parent := r.parent("web").UID()
	r.Memory.beginWrite(parent, id)
	r.Memory.endDelete(parent, id, made.UID(), true)
	if _, ok := r.seen(t, id); ok {
		t.Error("what was deleted is still seen")
	}
	if !r.Memory.isGone(parent, id, made.UID()) || r.Memory.isGone(parent, id, "another") {
		t.Error("what is gone is not known")
	}
	r.server.do(func(c *cluster) { delete(c.objects, id); c.version++ })
	r.sync()
	if _, ok := r.seen(t, id); ok {
		t.Error("what is gone is seen")
	}
	if r.Memory.isGone(parent, id, made.UID()) {
		t.Error("what the cache knows is still remembered")
	}
}

func TestOverlayShowsWhatCameAfterADelete(t *testing.T) {
	r, id, made := childRig(t)
	r.sync()
	parent := r.parent("web").UID()
	r.Memory.beginWrite(parent, id)
	r.Memory.endDelete(parent, id, made.UID(), true)
	r.server.do(func(c *cluster) { delete(c.objects, id) })
	again := r.next(t, id, func(tree map[string]any) {
		labelled(ParentUIDLabel, string(parent))(tree)
		labelled(InstallationLabel, installation)(tree)
	})
	r.sync()
	if o, ok := r.seen(t, id); !ok || o.UID != again.UID() {
		t.Error("an object that was made after the delete is not seen")
	}
}

func TestOverlayForgetsKindsThatAreNotOwned(t *testing.T) {
	r, id, _ := childRig(t)
	r.Children = nil
	if _, ok := r.seen(t, id); ok {
		t.Error("a child of a kind that is not owned is seen")
	}
	if left := r.Memory.parents[r.parent("web").UID()].children; len(left) != 0 {
		t.Errorf("remembered are %v", left)
	}
}

func TestNewestParent(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	id := idOf(websiteKind, "team-a", "web")
	old := r.newWebsite("web", nil)
	answer := r.next(t, id, labelled("a", "b"))
	r.Memory.beginParentWrite(old.UID())
	r.Memory.endParentWrite(old.UID(), "", answer)
	if got := r.Memory.newest(old, r.parents); got.ResourceVersion() != answer.ResourceVersion() {
		t.Errorf("version %s, want that of the answer, %s", got.ResourceVersion(), answer.ResourceVersion())
	}
	later := r.next(t, id, labelled("a", "c"))
	r.sync()
	if got := r.Memory.newest(old, r.parents); got.ResourceVersion() != later.ResourceVersion() {
		t.Errorf("version %s, want that of the cache, %s", got.ResourceVersion(), later.ResourceVersion())
	}
	r.server.do(func(c *cluster) { delete(c.objects, id) })
	other := r.next(t, id, labelled("a", "d"))
	r.sync()
	if got := r.Memory.newest(other, r.parents); got.UID() != other.UID() {
		t.Error("a later parent of the name is taken for the earlier one")
	}
}

func TestForget(t *testing.T) {
	r, id, _ := childRig(t)
	key := kube.Key{Namespace: "team-a", Name: "web"}
	if got := r.Memory.parents[r.parent("web").UID()].counts; got != (counts{ready: 1}) {
		t.Errorf("counted are %+v", got)
	}
	if got := metricOf(t, r, "kooperd_compose_children", "ready"); got != 1 {
		t.Errorf("%v children are ready by the metric, want 1", got)
	}
	r.Forget(key, "")
	r.Forget(key, "")
	if got := metricOf(t, r, "kooperd_compose_children", "ready"); got != 0 {
		t.Errorf("of a parent that is forgotten, %v children are ready by the metric", got)
	}
	if len(r.Memory.parents) != 0 || len(r.Memory.byKey) != 0 {
		t.Errorf("remembered are %v", r.Memory.parents)
	}
	if _, ok := r.seen(t, id); ok {
		t.Error("an answer is remembered of a parent that is forgotten")
	}
}

func TestMemoryMeetsALaterParent(t *testing.T) {
	m := NewMemory()
	key := kube.Key{Namespace: "a", Name: "web"}
	m.meet(key, "one")
	recount(m, "one", func(now *counts) { *now = counts{ready: 3} })
	if got := m.meet(key, "one"); got != (counts{}) {
		t.Errorf("the same parent had children before: %+v", got)
	}
	if got := m.meet(key, "two"); got != (counts{ready: 3}) {
		t.Errorf("the earlier parent had %+v, want 3 ready", got)
	}
	if n := len(m.parents); n != 1 {
		t.Errorf("%d parents are remembered, want the later one", n)
	}
}

// metricOf is the value of a series with a label of that value.
func metricOf(t *testing.T, r *rig, name, label string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, pair := range m.GetLabel() {
				if pair.GetValue() == label {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatalf("there is no metric %s with %s", name, label)
	return 0
}
