package compose

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// meanwhile is a composer that makes a ConfigMap for each name in spec.children, and lets something
// happen in its first call after the start, once that has read its parent.
type meanwhile struct {
	happens   func()
	finalized bool
	specs     []string // spec.data of the parent, call by call
}

func (m *meanwhile) Compose(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	composition, err := keys.Compose(ctx, req)
	composition.Finalized = m.finalized
	var site struct {
		Spec struct {
			Data string `json:"data"`
		} `json:"spec"`
	}
	if err := req.Object.Into(&site); err != nil {
		return composition, err
	}
	m.specs = append(m.specs, site.Spec.Data)
	if happens := m.happens; happens != nil {
		m.happens = nil
		happens()
	}
	return composition, err
}

func (r *rig) syncParents() {
	r.server.do(func(c *cluster) { r.parents.sync(c, websiteKind.GroupKind(), "", false, nil) })
}

// TestStatusIsThatOfTheGenerationThatWasComposed changes the spec of the parent during a pass.
func TestStatusIsThatOfTheGenerationThatWasComposed(t *testing.T) {
	m := &meanwhile{}
	r := newRig(t, rigOptions{composer: m})
	r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
	before := r.parent("web").Metadata().Generation
	m.happens = func() {
		r.setSpec("web", map[string]any{"data": "2"})
		r.syncParents()
	}
	r.mustPass(t, "web")
	r.syncParents()
	var now struct {
		Status struct {
			ObservedGeneration int64 `json:"observedGeneration"`
			Conditions         []struct {
				Type               string `json:"type"`
				ObservedGeneration int64  `json:"observedGeneration"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := r.parent("web").Into(&now); err != nil {
		t.Fatal(err)
	}
	if got := now.Status.ObservedGeneration; got != before {
		t.Errorf("observedGeneration is %d, and composed was %d", got, before)
	}
	for _, c := range now.Status.Conditions {
		if c.ObservedGeneration != before {
			t.Errorf("observedGeneration of %s is %d, and composed was %d", c.Type, c.ObservedGeneration, before)
		}
	}
}

// TestFinalizedCountsForADeletedParentAlone deletes the parent during a pass of a composer that
// always says that the parent may go.
func TestFinalizedCountsForADeletedParentAlone(t *testing.T) {
	m := &meanwhile{finalized: true}
	r := newRig(t, rigOptions{composer: m, finalizes: true})
	r.newWebsite("web", map[string]any{"data": "1"})
	r.mustPass(t, "web")
	r.setSpec("web", map[string]any{"data": "2"})
	r.sync()
	m.happens = func() {
		r.server.do(func(c *cluster) {
			if err := c.delete(idOf(websiteKind, "team-a", "web"), "", ""); err != nil {
				t.Error(err)
			}
		})
		r.syncParents()
	}
	r.mustPass(t, "web")
	if !slices.Contains(r.left(), "web") {
		t.Fatal("the parent is gone, and the composer has not been called for its deletion")
	}
	r.sync()
	r.asked()
	r.mustPass(t, "web")
	if left := r.left(); slices.Contains(left, "web") {
		t.Error("the parent stays")
	}
	for _, asked := range r.asked() {
		if strings.HasSuffix(asked, "/status") {
			t.Errorf("%s, of a parent that goes", asked)
		}
	}
}

// TestComposerSeesAChangeThatComesWithItsFinalizer changes the parent just before the finalizer is
// added, in a way that the cache learns of both at once.
func TestComposerSeesAChangeThatComesWithItsFinalizer(t *testing.T) {
	m := &meanwhile{}
	r := newRig(t, rigOptions{composer: m, finalizes: true})
	r.newWebsite("web", map[string]any{"data": "1"})
	changed := false
	r.server.answer = func(_ http.ResponseWriter, asked request) bool {
		if !changed && asked.method == http.MethodPatch && strings.Contains(asked.body, "finalizers") {
			changed = true
			r.server.cluster.edit(idOf(websiteKind, "team-a", "web"), "kubectl", func(tree map[string]any) {
				object(tree, "spec")["data"] = "2"
			})
		}
		return false
	}
	r.mustPass(t, "web")
	for range r.sync() {
		r.mustPass(t, "web")
	}
	if !slices.Contains(m.specs, "2") {
		t.Errorf("the composer has seen %v and not the change", m.specs)
	}
}

// TestPassEndsWhenACacheIsEmptied takes a kind away during a pass.
func TestPassEndsWhenACacheIsEmptied(t *testing.T) {
	m := &meanwhile{}
	r := newRig(t, rigOptions{composer: m})
	r.newWebsite("web", map[string]any{"children": names(2)})
	r.mustPass(t, "web")
	r.setSpec("web", map[string]any{"children": names(0)})
	r.sync()
	r.asked()
	m.happens = func() { r.caches[configMapKind].gone = true }
	if result := r.mustPass(t, "web"); result.RequeueAfter != listedInterval {
		t.Errorf("result %+v", result)
	}
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("requests %v", asked)
	}
}
