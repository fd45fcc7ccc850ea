package compose

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// childRig is a rig with a website and its one child, which the caches do not have yet.
func childRig(t *testing.T) (r *rig, id ChildID, child handlers.Object) {
	t.Helper()
	r = newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
	r.mustPass(t, "web")
	id = idOf(configMapKind, "team-a", "web-a")
	child, err := r.live(id)
	if err != nil {
		t.Fatal(err)
	}
	return r, id, child
}

// next changes an object and returns it.
func (r *rig) next(t *testing.T, id ChildID, change func(map[string]any)) handlers.Object {
	t.Helper()
	r.server.do(func(c *cluster) { c.edit(id, "kubectl", change) })
	o, err := r.live(id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// calls are the parents that an event of a child calls.
func (r *rig) calls(old, now handlers.Object) (called []string) {
	r.onChild(old, now, func(key kube.Key) { called = append(called, key.Name) })
	return called
}

func TestOwnEventsAreThoseOfTheVeryVersion(t *testing.T) {
	r, id, made := childRig(t)
	web := []string{"web"}
	if got := r.calls(nil, made); got != nil {
		t.Errorf("the event of our own write calls %v", got)
	}
	if got := r.calls(nil, made); got != nil {
		t.Errorf("its repetition, after a new list, calls %v", got)
	}
	edited := r.next(t, id, withData("more", "x"))
	if got := r.calls(made, edited); !slices.Equal(got, web) {
		t.Errorf("a change by another calls %v", got)
	}
	if got := r.calls(edited, nil); !slices.Equal(got, web) {
		t.Errorf("a deletion by another calls %v", got)
	}
	r.Pause()
	if got := r.calls(nil, made); !slices.Equal(got, web) {
		t.Errorf("after a restart, the event of an earlier write calls %v", got)
	}
}

func TestEventsOfDeletes(t *testing.T) {
	r, id, made := childRig(t)
	r.sync()
	r.setSpec("web", map[string]any{"children": []any{}})
	r.sync()
	other := r.next(t, id, withData("more", "x"))
	r.mustPass(t, "web")
	if got := r.calls(other, nil); got != nil {
		t.Errorf("the event of our own delete calls %v", got)
	}
	if got := r.calls(nil, made); !slices.Equal(got, []string{"web"}) {
		t.Errorf("an event of what was deleted, which is there nevertheless, calls %v", got)
	}
	again := r.next(t, id, func(tree map[string]any) {
		labelled(ParentUIDLabel, string(r.parent("web").UID()))(tree)
		labelled(DefinitionLabel, definition)(tree)
	})
	if got := r.calls(nil, again); !slices.Equal(got, []string{"web"}) {
		t.Errorf("the event of another object of that name calls %v", got)
	}
	if got := r.calls(again, nil); !slices.Equal(got, []string{"web"}) {
		t.Errorf("its deletion calls %v", got)
	}
}

func TestADeleteThatWaitsForAFinalizer(t *testing.T) {
	r, id, _ := childRig(t)
	r.next(t, id, func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
	r.setSpec("web", map[string]any{"children": []any{}})
	r.sync()
	r.asked()
	r.mustPass(t, "web")
	if got, want := r.asked(), []string{"DELETE " + configMapPath("web-a"), statusPath}; !slices.Equal(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
	if called := r.sync(); len(called) > 0 {
		t.Errorf("our own delete calls %v", called)
	}
	r.mustPass(t, "web")
	if got := r.asked(); len(got) > 0 {
		t.Errorf("the next pass makes requests: %v", got)
	}
	r.server.do(func(c *cluster) { delete(c.objects, id); c.version++ })
	if called := r.sync(); !slices.Equal(called, []kube.Key{{Namespace: "team-a", Name: "web"}}) {
		t.Errorf("its end calls %v", called)
	}
	r.mustPass(t, "web")
	if got, want := r.asked(), []string{statusPath}; !slices.Equal(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
}

func TestEventsWaitForTheAnswer(t *testing.T) {
	r, id, before := childRig(t)
	parent := r.parent("web").UID()
	r.Memory.beginWrite(parent, id)
	ours := r.next(t, id, withData("more", "1"))
	theirs := r.next(t, id, withData("more", "2"))
	var called []string
	add := func(key kube.Key) { called = append(called, key.Name) }
	r.onChild(before, ours, add)
	r.onChild(ours, theirs, add)
	if called != nil {
		t.Fatalf("events before the answer call %v", called)
	}
	r.Memory.endWrite(parent, id, "v1-x", ours)
	if !slices.Equal(called, []string{"web"}) {
		t.Errorf("one event that is not ours calls %v", called)
	}

	called = nil
	r.Memory.beginWrite(parent, id)
	r.onChild(theirs, r.next(t, id, withData("more", "3")), add)
	r.Memory.endWrite(parent, id, "v1-x", nil)
	if !slices.Equal(called, []string{"web"}) {
		t.Errorf("an event before an error calls %v", called)
	}

	called = nil
	r.Memory.beginWrite(parent, id)
	r.Memory.beginWrite(parent, id)
	last := r.next(t, id, withData("more", "4"))
	r.onChild(theirs, last, add)
	r.Memory.endWrite(parent, id, "v1-x", last)
	r.Memory.endWrite(parent, id, "v1-x", last)
	if called != nil {
		t.Errorf("an event of the last of two writes calls %v", called)
	}

	r.Memory.beginWrite(parent, id)
	r.onChild(last, nil, add)
	r.Memory.endDelete(parent, id, last.UID(), true)
	if called != nil {
		t.Errorf("the event of our own delete calls %v", called)
	}
	r.Memory.beginWrite(parent, id)
	r.onChild(last, nil, add)
	r.Memory.endDelete(parent, id, last.UID(), false)
	if !slices.Equal(called, []string{"web"}) {
		t.Errorf("a deletion before a delete that failed calls %v", called)
	}
}

func TestEventsOfMarks(t *testing.T) {
	r, id, made := childRig(t)
	r.newWebsite("shop", map[string]any{})
	moved := r.next(t, id, labelled(ParentUIDLabel, string(r.parent("shop").UID())))
	got := r.calls(made, moved)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"shop", "web"}, got); diff != "" {
		t.Errorf("a child that has another parent's mark calls (-want +got):\n%s", diff)
	}
	others := r.next(t, id, func(tree map[string]any) {
		labelled(ParentUIDLabel, string(r.parent("web").UID()))(tree)
		labelled(DefinitionLabel, "shops")(tree)
	})
	if got := r.calls(nil, others); got != nil {
		t.Errorf("a child of another definition calls %v", got)
	}
	if got := r.calls(made, others); !slices.Equal(got, []string{"web"}) {
		t.Errorf("a child that is another definition's now calls %v", got)
	}
	orphan := r.next(t, id, func(tree map[string]any) {
		labelled(ParentUIDLabel, "uid-of-none")(tree)
		labelled(DefinitionLabel, definition)(tree)
	})
	if got := r.calls(nil, orphan); got != nil {
		t.Errorf("a child of a parent that is gone calls %v", got)
	}
	if got, want := ParentUID(orphan), types.UID("uid-of-none"); got != want {
		t.Errorf("ParentUID is %s, want %s", got, want)
	}
}

func TestOwnEventsOfTheParent(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	before := r.newWebsite("web", map[string]any{"children": names(1)})
	id := idOf(websiteKind, "team-a", "web")
	var called []kube.Key
	add := func(key kube.Key) { called = append(called, key) }
	if r.ownEvent(before, add) {
		t.Error("the first event is taken for ours")
	}
	r.mustPass(t, "web")
	written, err := r.live(id)
	if err != nil {
		t.Fatal(err)
	}
	if !r.ownEvent(written, add) {
		t.Error("the event of our own status is not")
	}
	changed := r.next(t, id, labelled("a", "b"))
	if r.ownEvent(changed, add) {
		t.Error("a change by another is taken for ours")
	}
	if r.ownEvent(nil, add) {
		t.Error("a deletion is taken for ours")
	}
	r.Memory.beginParentWrite(changed.UID())
	if last := r.next(t, id, labelled("a", "c")); !r.ownEvent(last, add) {
		t.Error("an event before the answer is not held")
	}
	r.Memory.endParentWrite(changed.UID(), "", nil)
	if want := []kube.Key{{Namespace: "team-a", Name: "web"}}; !slices.Equal(called, want) {
		t.Errorf("once the write has failed, it calls %v, want %v", called, want)
	}
}

func TestWaiting(t *testing.T) {
	w := newWaiting()
	web, shop := kube.Key{Namespace: "a", Name: "web"}, kube.Key{Namespace: "a", Name: "shop"}
	one, two := idOf(configMapKind, "a", "one"), idOf(configMapKind, "a", "two")
	on := func(id ChildID) int { return len(w.on(id)) }
	w.set(web, []ChildID{one, two})
	w.set(shop, []ChildID{one})
	if on(one) != 2 || on(two) != 1 {
		t.Errorf("waiting for one: %v, for two: %v", w.on(one), w.on(two))
	}
	w.set(web, []ChildID{two})
	if got := w.on(one); !slices.Equal(got, []kube.Key{shop}) || on(two) != 1 {
		t.Errorf("waiting for one: %v, for two: %v", got, w.on(two))
	}
	w.forget(web)
	w.set(shop, nil)
	if on(one) != 0 || on(two) != 0 || len(w.parents) != 0 || len(w.objects) != 0 {
		t.Errorf("something is left: %v, %v", w.parents, w.objects)
	}
	w.set(web, []ChildID{one})
	w.clear()
	if on(one) != 0 {
		t.Errorf("after clear, waiting for one: %v", w.on(one))
	}
}
