package compose

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// A parent that has left, but is not looked at yet when the definition changes, is left by the next
// revision.
func TestNextRevisionKnowsLeavers(t *testing.T) {
	r := newLeaveRig(t, rigOptions{}, map[string]any{"children": names(2)})
	now := r.Options
	now.Selection.Labels = labels.Set{selectedLabel: "other"}.AsSelector()
	r.Reconciler = New(now)
	if _, err := r.look(t); err != nil || r.childrenOf("web") != 0 {
		t.Errorf("%d children are left, with the error %v", r.childrenOf("web"), err)
	}
}

// newLeavers is a rig with so many websites that the cache does not show any more.
func newLeavers(t *testing.T, n int) (r *rig, gone []handlers.Object) {
	t.Helper()
	r = newRig(t, rigOptions{composer: keys})
	r.Selection.Labels = labels.Set{selectedLabel: "yes"}.AsSelector()
	for i := range n {
		gone = append(gone, r.newWebsite(fmt.Sprintf("web%d", i), map[string]any{"children": names(1)}))
		r.mustPass(t, gone[i].Name())
	}
	r.sync()
	for i := range gone {
		gone[i] = r.parent(gone[i].Name())
		r.Leavers.Note(gone[i])
	}
	r.server.do(func(c *cluster) { r.parents.sync(c, websiteKind.GroupKind(), selectedLabel, false, nil) })
	r.asked()
	return r, gone
}

// TestDeletedParentsTakeOneList deletes many parents at once under a definition with selectors:
// none of the events says whether the parent has only left.
func TestDeletedParentsTakeOneList(t *testing.T) {
	const n = 60
	r, gone := newLeavers(t, n)
	r.server.do(func(c *cluster) {
		for _, parent := range gone[1:] {
			delete(c.objects, idOf(websiteKind, "team-a", parent.Name()))
		}
	})
	for look := range 2 {
		for _, parent := range gone {
			result, err := r.Handle(t.Context(), handlers.Request{Object: parent})
			if err != nil || look == 0 && result.RequeueAfter != leaveInterval {
				t.Fatalf("look %d: %+v, %v", look, result, err)
			}
		}
	}
	asked := slices.DeleteFunc(lists(r.server.take()), func(path string) bool { return path != "/apis/demo.kooperd.dev/v1/namespaces/team-a/websites" })
	if len(asked) > 3 {
		t.Errorf("there are %d lists of parents, want one, and that of the parent that has left", len(asked))
	}
	if r.childrenOf("web0") != 0 || r.childrenOf("web1") != 1 {
		t.Errorf("the parent that has left has %d children, and one that is gone %d, want those to be the collector's", r.childrenOf("web0"), r.childrenOf("web1"))
	}
	if len(r.Leavers.parents) > 0 || len(r.Memory.parents) > 0 {
		t.Errorf("%d and %d are remembered", len(r.Leavers.parents), len(r.Memory.parents))
	}
}

// TestFindLeavers has parents that left while no process was there: what is older than the record
// may be what the file has not wanted any more.
func TestFindLeavers(t *testing.T) {
	made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // when the objects of the tests are made
	for name, tc := range map[string]struct {
		since time.Time
		want  int
	}{
		"a record that was always there": {want: 2},
		"a record that is older":         {since: made, want: 2},
		"a record that was made later":   {since: made.Add(time.Second), want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newLeavers(t, 2)
			r.Leavers.clear()
			if found := FindLeavers(t.Context(), r.Reconciler, tc.since); len(found) != tc.want {
				t.Errorf("found %v, want %d", found, tc.want)
			}
		})
	}
}

// TestFindFinalizers has parents that left while no process was there, and have nothing but the
// finalizer.
func TestFindFinalizers(t *testing.T) {
	r, gone := newLeavers(t, 4)
	r.Leavers.clear()
	finalize := func(parent handlers.Object, finalizer string) {
		r.server.do(func(c *cluster) {
			c.edit(idOf(websiteKind, "team-a", parent.Name()), "kubectl", func(tree map[string]any) {
				object(tree, "metadata")["finalizers"] = []any{finalizer}
			})
		})
	}
	ours := FinalizerOf(installation, definition)
	finalize(gone[0], ours)
	finalize(gone[1], "example.com/other")
	finalize(gone[2], ours)
	r.server.do(func(c *cluster) {
		for _, name := range []string{"web0-a", "web1-a"} {
			delete(c.objects, idOf(configMapKind, "team-a", name))
		}
	})
	r.sync()
	r.server.do(func(c *cluster) { r.parents.sync(c, websiteKind.GroupKind(), selectedLabel, false, nil) })
	found, err := FindFinalizers(t.Context(), r.Reconciler)
	if want := []kube.Key{{Namespace: "team-a", Name: "web0"}}; err != nil || !slices.Equal(found, want) {
		t.Fatalf("found %v, want the one without children, %v", found, err)
	}
	leaver, _ := r.Leavers.Get(found[0])
	for range 2 {
		if _, err := r.Handle(t.Context(), handlers.Request{Object: leaver}); err != nil {
			t.Fatal(err)
		}
	}
	r.server.do(func(c *cluster) {
		if left, _ := object(c.objects[idOf(websiteKind, "team-a", "web0")].tree, "metadata")["finalizers"].([]any); len(left) > 0 {
			t.Errorf("it has the finalizers %v", left)
		}
	})
}

// TestLeaversSince has definitions whose selectors have changed: what is older may be retained.
func TestLeaversSince(t *testing.T) {
	var (
		made   = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		narrow = scopeOf("ConfigMap")
		begun  = time.Now()
	)
	narrow.LabelSelector = "selected=yes"
	changed := func(before Record) Activation {
		_, found := before.activate(narrow)
		return found
	}
	old := Record{Scope: scopeOf("ConfigMap"), Since: made}
	if since, known := changed(Record{Scope: narrow, Since: made}).LeaversSince(); !known || !since.Equal(made) {
		t.Errorf("without a change, since %s, %t, want since the record was made", since, known)
	}
	for name, before := range map[string]Record{"changed": old, "removed, and there again": old.remove(begun)} {
		since, known := changed(before).LeaversSince()
		if !known || since.Before(begun.Add(recentChange-time.Second)) || since.After(time.Now().Add(recentChange)) {
			t.Errorf("%s: since %s, %t, want since some time after the change", name, since, known)
		}
	}
	next, _ := old.activate(narrow)
	once, _ := next.finish(next.Left[0], 1).activate(narrow)
	if len(once.Left) != 1 || !once.Left[0].Until.Equal(next.Left[0].Until) {
		t.Errorf("later, it has left %+v, want it since the change", once.Left)
	}
	old.Left = []Scope{{APIVersion: "v1", Kind: "Secret", Done: true}}
	if since, known := changed(old).LeaversSince(); known {
		t.Errorf("after a change at an unknown time, since %s", since)
	}
}
