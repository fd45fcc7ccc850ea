package compose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

// labeler is a composer that gives its parent labels and annotations, and makes what keys makes.
type labeler struct {
	labels, annotations map[string]*string
	calls               int
}

func (l *labeler) Compose(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	l.calls++
	composition, err := keys.Compose(ctx, req)
	composition.Labels, composition.Annotations = l.labels, l.annotations
	return composition, err
}

// labelRig is a rig of a website with labels and annotations of others.
func labelRig(t *testing.T, l *labeler) *rig {
	t.Helper()
	r := newRig(t, rigOptions{composer: l})
	r.Marks = true
	r.newWebsite("web", map[string]any{"children": names(1)})
	r.editWebsite(func(tree map[string]any) {
		for name, value := range map[string]string{"keep": "x", "drop": "x", "same": "x"} {
			labelled(name, value)(tree)
			annotated(name, value)(tree)
		}
	})
	r.sync()
	r.server.take()
	return r
}

func (r *rig) editWebsite(change func(map[string]any)) {
	r.server.do(func(c *cluster) { c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", change) })
}

const webPath = "PATCH /apis/demo.kooperd.dev/v1/namespaces/team-a/websites/web"

func TestLabelsOfTheParent(t *testing.T) {
	given := map[string]*string{"new": new("y"), "empty": new(""), "same": new("x"), "drop": nil, "absent": nil}
	l := &labeler{labels: given, annotations: given}
	r := labelRig(t, l)
	r.mustPass(t, "web")
	if diff := cmp.Diff([]string{"PATCH " + configMapPath("web-a"), webPath, statusPath}, r.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if called := r.sync(); l.calls != 2 || len(called) > 0 {
		t.Errorf("the composer was called %d times, want twice, and the events of the writes call %v", l.calls, called)
	}
	want := map[string]string{"keep": "x", "same": "x", "new": "y", "empty": ""}
	if diff := cmp.Diff(want, r.parent("web").Metadata().Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, r.parent("web").Metadata().Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	r.mustPass(t, "web")
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("requests when nothing differs: %v", asked)
	}
	l.labels, l.annotations = nil, nil // They are not given any more, and stay.
	r.mustPass(t, "web")
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("requests when nothing is given: %v", asked)
	}
}

// TestEventsOfAllWritesOfAParentCallNothing has a parent that gets a finalizer, labels twice, and a
// status.
func TestEventsOfAllWritesOfAParentCallNothing(t *testing.T) {
	r := labelRig(t, &labeler{labels: map[string]*string{"new": new("y")}})
	r.Finalizes = true
	var versions []string
	last := func() {
		r.server.do(func(c *cluster) { versions = append(versions, c.objects[idOf(websiteKind, "team-a", "web")].version) })
	}
	compose := r.Composer
	r.Composer = handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		composition, err := compose.Compose(ctx, req)
		composition.Labels = maps.Clone(composition.Labels)
		if last(); len(versions) == 3 { // There are two writes of labels.
			composition.Labels["more"] = new("z")
		}
		return composition, err
	})
	r.mustPass(t, "web")
	last()
	versions = slices.Compact(versions[1:])
	writes := slices.DeleteFunc(r.asked(), func(text string) bool { return !strings.HasPrefix(text, webPath) })
	if len(writes) != 4 || len(versions) != 4 {
		t.Fatalf("writes of the parent %v, want four, with versions %v", writes, versions)
	}
	uid := r.parent("web").UID()
	for _, version := range versions {
		if !r.Memory.ownParentEvent(uid, heldEvent{uid: uid, version: version}) {
			t.Errorf("the event of version %s is none of our writes", version)
		}
	}
}

func TestLabelsThatAComposerMustNotSet(t *testing.T) {
	tests := map[string]struct {
		labeler
		undeclared bool
		want       string
	}{
		"a mark":    {labeler: labeler{labels: map[string]*string{ParentUIDLabel: nil}}, want: "label kooperd.dev/parent-uid of the parent is kooperd's own"},
		"the pause": {labeler: labeler{annotations: map[string]*string{PausedAnnotation: new("true")}}, want: "annotation kooperd.dev/paused of the parent is kooperd's own"},
		"what has finished": {
			labeler: labeler{annotations: map[string]*string{"done.i0.kooperd.dev/x": new("{}")}}, want: "annotation done.i0.kooperd.dev/x of the parent is kooperd's own",
		},
		"what is not declared": {labeler: labeler{labels: map[string]*string{"a": nil}}, undeclared: true, want: errNotMarking.Error()},
	}
	for name, tc := range tests {
		r := labelRig(t, &tc.labeler)
		r.Marks = !tc.undeclared
		if _, err := r.pass(t, "web"); err == nil || err.Error() != "composing: "+tc.want {
			t.Errorf("%s: error %v, want %s", name, err, tc.want)
		}
		if asked := r.asked(); !slices.Equal(asked, []string{statusPath}) {
			t.Errorf("%s: requests %v, want that for the status alone", name, asked)
		}
	}
	l := &labeler{labels: map[string]*string{"notkooperd.dev/a": new("x"), "kooperd.dev": new("y")}}
	r := labelRig(t, l)
	r.mustPass(t, "web")
}

// TestLabelsOfAParentThatChanges has a parent that another party changes while it is composed.
func TestLabelsOfAParentThatChanges(t *testing.T) {
	l := &labeler{labels: map[string]*string{"new": new("y")}}
	r := labelRig(t, l)
	compose := r.Composer
	r.Composer = handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		composition, err := compose.Compose(ctx, req)
		if l.calls == 1 {
			r.editWebsite(labelled("theirs", "z"))
			r.syncParents()
		}
		return composition, err
	})
	r.mustPass(t, "web")
	r.syncParents()
	have := maps.Clone(r.parent("web").Metadata().Labels)
	maps.DeleteFunc(have, func(name, _ string) bool { return name != "new" && name != "theirs" })
	if diff := cmp.Diff(map[string]string{"new": "y", "theirs": "z"}, have); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

// TestLabelsThatAnotherPartySetsBack has two parties that set a label by turns.
func TestLabelsThatAnotherPartySetsBack(t *testing.T) {
	l := &labeler{labels: map[string]*string{"new": new("ours")}}
	r := labelRig(t, l)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.Reconciler.now = func() time.Time { return now }
	writes := 0
	var waits time.Duration
	for range 600 { // A pass each second.
		r.editWebsite(labelled("new", "theirs"))
		r.sync()
		waits = r.mustPass(t, "web").RequeueAfter
		r.sync()
		if r.parent("web").Metadata().Labels["new"] == "ours" {
			writes++
		}
		now = now.Add(time.Second)
	}
	if writes > 15 || writes < 7 {
		t.Errorf("%d writes in ten minutes, want at most 15", writes)
	}
	if waits <= 0 || waits > lastDamping {
		t.Errorf("it is looked at again after %s", waits)
	}
	want := map[string]string{"Ready=False": "Fight", "Progressing=False": "Settled", "Degraded=True": "Fight"}
	if diff := cmp.Diff(want, r.conditionsOfWeb(t)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	l.labels["new"] = new("another")
	r.mustPass(t, "web")
	r.syncParents()
	if got := r.parent("web").Metadata().Labels["new"]; got != "another" {
		t.Errorf("what is wanted changes, and the label is %q", got)
	}
}

// TestLabelsOfAParentThatTheCacheDoesNotHave has a parent whose latest change is not in the cache
// yet: that is no failure, and nothing is said of it.
func TestLabelsOfAParentThatTheCacheDoesNotHave(t *testing.T) {
	r := labelRig(t, &labeler{labels: map[string]*string{"new": new("y")}})
	r.editWebsite(labelled("theirs", "z"))
	if _, err := r.pass(t, "web"); err == nil || !passing(err) {
		t.Errorf("error %v, want one that passes by itself", err)
	}
	if diff := cmp.Diff([]string{"PATCH " + configMapPath("web-a"), webPath}, r.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	r.sync()
	r.mustPass(t, "web")
	r.syncParents()
	if have := r.parent("web").Metadata().Labels; have["new"] != "y" || have["theirs"] != "z" {
		t.Errorf("labels %v, want both", have)
	}
}

// TestLabelsThatDifferEachTime has a composer whose annotation is another one each time it is
// asked, as one with the time.
func TestLabelsThatDifferEachTime(t *testing.T) {
	l := &labeler{}
	r := labelRig(t, l)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.Reconciler.now = func() time.Time { return now }
	compose := r.Composer
	r.Composer = handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		composition, err := compose.Compose(ctx, req)
		composition.Annotations = map[string]*string{"at": new(strconv.Itoa(l.calls))}
		return composition, err
	})
	writes := 0
	for range 600 { // A pass each second.
		waits := r.mustPass(t, "web").RequeueAfter
		r.sync()
		for _, request := range r.asked() {
			if request == webPath {
				writes++
			}
		}
		if waits < 0 || waits > lastDamping {
			t.Fatalf("it is looked at again after %s", waits)
		}
		now = now.Add(time.Second)
	}
	if writes > 15 || writes < 7 {
		t.Errorf("%d writes in ten minutes, want at most 15", writes)
	}
	want := map[string]string{"Ready=False": "Fight", "Progressing=False": "Settled", "Degraded=True": "Fight"}
	if diff := cmp.Diff(want, r.conditionsOfWeb(t)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	tree := func() (text string) {
		r.server.do(func(c *cluster) { text = fmt.Sprint(c.objects[idOf(websiteKind, "team-a", "web")].tree["status"]) })
		return text
	}()
	if !strings.Contains(tree, `metadata.annotations["at"] of the parent does not settle`) {
		t.Errorf("the status is %s, want what does not settle", tree)
	}
}
