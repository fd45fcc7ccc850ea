package compose

import (
	"net/http"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

var webKey = kube.Key{Namespace: "team-a", Name: "web"}

// isEmpty fails the test when something of a parent is remembered.
func (r *rig) isEmpty(t *testing.T) {
	t.Helper()
	m := r.Memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.parents) > 0 || len(m.byKey) > 0 {
		t.Errorf("remembered are %d parents by UID and %d by name, want none", len(m.parents), len(m.byKey))
	}
	r.waiting.mu.Lock()
	defer r.waiting.mu.Unlock()
	if len(r.waiting.parents) > 0 || len(r.waiting.objects) > 0 {
		t.Errorf("waiting is %v", r.waiting.objects)
	}
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if n := metric.GetGauge().GetValue(); family.GetName() == "kooperd_compose_children" && n != 0 {
				t.Errorf("%v %s children", n, metric.GetLabel())
			}
		}
	}
}

// TestNothingIsLeftOfAParentThatGoesDuringItsPass deletes the parent while its children are made.
func TestNothingIsLeftOfAParentThatGoesDuringItsPass(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(3)})
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if asked.path != configMapPath("web-c") {
			return false
		}
		delete(r.server.cluster.objects, idOf(websiteKind, "team-a", "web"))
		r.parents.sync(r.server.cluster, websiteKind.GroupKind(), "", false, nil)
		r.Forget(webKey, "")
		sendError(w, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "web-c", errDamaged))
		return true
	}
	_, _ = r.pass(t, "web") // The child fails, or the parent is seen to be gone before.
	r.isEmpty(t)
}

func TestAnotherParentOfTheNameReplacesTheFirst(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(3)})
	r.mustPass(t, "web")
	r.server.do(func(c *cluster) { delete(c.objects, idOf(websiteKind, "team-a", "web")) })
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.Forget(webKey, "")
	r.isEmpty(t)
}

func TestPauseForgetsAll(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	for _, name := range []string{"web", "shop"} {
		r.newWebsite(name, map[string]any{"children": names(3)})
		r.mustPass(t, name)
	}
	if n := testutil.CollectAndCount(r.registry, "kooperd_compose_children"); n != 3 {
		t.Errorf("%d series, want one for each state", n)
	}
	r.Pause()
	r.isEmpty(t)
}

func TestRetainForgetsOthers(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	for _, name := range []string{"web", "shop"} {
		r.newWebsite(name, map[string]any{"children": names(3)})
		r.mustPass(t, name)
	}
	r.Retain(func(key kube.Key) bool { return key == webKey })
	if n := len(r.Memory.parents); n != 1 {
		t.Errorf("remembered are %d parents, want one", n)
	}
	r.Retain(func(kube.Key) bool { return false })
	r.isEmpty(t)
}

// racing is a Source in which something happens once, just after it was listed.
type racing struct {
	Source
	happens func()
}

func (s *racing) List(namespace string, selector labels.Selector) []handlers.Object {
	found := s.Source.List(namespace, selector)
	if happens := s.happens; happens != nil {
		s.happens = nil
		happens()
	}
	return found
}

// TestAnswersThatComeWhileTheCacheIsRead lets the events of the pass before come between the
// reading of the cache and that of what is remembered.
func TestAnswersThatComeWhileTheCacheIsRead(t *testing.T) {
	tests := map[string]struct{ before, after int }{
		"children that were made": {before: 0, after: 3}, "children that were deleted": {before: 3, after: 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys})
			r.newWebsite("web", map[string]any{"children": names(tc.before)})
			r.mustPass(t, "web")
			r.sync()
			r.setSpec("web", map[string]any{"children": names(tc.after)})
			r.sync()
			r.mustPass(t, "web")
			r.asked()
			var events sync.WaitGroup
			r.Children[0].Source = &racing{Source: r.Children[0].Source, happens: func() {
				arrived := make(chan struct{})
				arrive := sync.OnceFunc(func() { close(arrived) })
				events.Go(func() {
					r.server.do(func(c *cluster) {
						r.caches[configMapKind].sync(c, configMapKind.GroupKind(), InstallationLabel, false, func(old, now handlers.Object) {
							arrive()
							r.onChild(old, now, func(kube.Key) { t.Error("an own write calls the parent") })
						})
					})
				})
				<-arrived
			}}
			r.mustPass(t, "web")
			events.Wait()
			if asked := r.asked(); len(asked) > 0 {
				t.Errorf("requests %v", asked)
			}
		})
	}
}

// TestEventsOfWritesAfterAParentWasForgotten forgets a parent in the middle of a write.
func TestEventsOfWritesAfterAParentWasForgotten(t *testing.T) {
	m := NewMemory()
	m.meet(webKey, "web")
	m.beginWrite("web", pageID)
	m.beginParentWrite("web")
	m.forget(webKey, "")
	m.endWrite("web", pageID, "hash", nil)
	m.endParentWrite("web", "", nil)

	m.beginWrite("web", pageID)
	m.beginParentWrite("web")
	if !m.ownEvent("web", pageID, heldEvent{notify: func() {}}) || !m.ownParentEvent("web", heldEvent{notify: func() {}}) {
		t.Error("the event of a write is not taken for one")
	}
}

// TestWhatAnotherHasDeletedIsForgotten deletes a child that another party deletes at the same
// moment, and whose event has come before the answer: there is none to come.
func TestWhatAnotherHasDeletedIsForgotten(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(2)})
	r.mustPass(t, "web")
	r.sync()
	r.setSpec("web", map[string]any{"children": names(0)})
	r.sync()
	gone := 0
	r.server.answer = func(_ http.ResponseWriter, asked request) bool {
		if asked.method == http.MethodDelete && gone == 0 {
			gone++
			for _, name := range []string{"web-a", "web-b"} { // The other one is not being written yet.
				if asked.path != configMapPath(name) {
					delete(r.server.cluster.objects, idOf(configMapKind, "team-a", name))
				}
			}
			r.server.cluster.version++
			r.caches[configMapKind].sync(r.server.cluster, configMapKind.GroupKind(), InstallationLabel, false,
				func(old, now handlers.Object) { r.onChild(old, now, func(kube.Key) {}) })
		}
		return false
	}
	r.mustPass(t, "web")
	r.sync()
	if n := countGone(r.Memory); n != 0 || r.childrenOf("web") != 0 {
		t.Errorf("%d children are taken for some that the cache still has, and %d are there", n, r.childrenOf("web"))
	}
}
