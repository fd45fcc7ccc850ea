package compose

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// departing is a cache whose parent goes right after somebody has found it.
type departing struct {
	Source
	leave func()
}

func (d *departing) GetByUID(uid types.UID) (handlers.Object, bool) {
	object, there := d.Source.GetByUID(uid)
	if leave := d.leave; there && leave != nil {
		d.leave = nil
		leave()
	}
	return object, there
}

// newFinishedRig has a parent whose Pod has succeeded. It returns the Pod, too.
func newFinishedRig(t *testing.T) (r *rig, succeeded handlers.Object) {
	t.Helper()
	r = newRig(t, rigOptions{owns: []schema.GroupVersionKind{podKind}, composer: handlers.ComposerFunc(
		func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
			return handlers.Composition{Children: []handlers.Child{pod("a")}}, nil
		},
	)})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.server.do(func(c *cluster) {
		id := idOf(podKind, "team-a", "run")
		c.edit(id, "kubelet", func(tree map[string]any) { object(tree, "status")["phase"] = "Succeeded" })
		var err error
		if succeeded, err = c.objects[id].readBy(FieldManager, false); err != nil {
			t.Fatal(err)
		}
	})
	r.sync()
	return r, succeeded
}

// TestWhatFinishesOfAParentThatGoes keeps nothing of a parent that goes while the end of its child
// is noted.
func TestWhatFinishesOfAParentThatGoes(t *testing.T) {
	r, succeeded := newFinishedRig(t)
	key, uid := kube.Key{Namespace: "team-a", Name: "web"}, r.parent("web").UID()
	r.Parents = &departing{Source: r.Parents, leave: func() {
		r.server.do(func(c *cluster) { delete(c.objects, idOf(websiteKind, "team-a", "web")) })
		r.sync()
		r.Forget(key, uid)
	}}
	r.onChild(succeeded, nil, func(kube.Key) {})
	if n := len(r.Memory.parents); n > 0 {
		t.Errorf("%d parents are remembered, want none", n)
	}
}

// TestWhatFinishesBeforeTheFirstPass remembers what has finished of a parent that no pass has met
// yet: else it would run again.
func TestWhatFinishesBeforeTheFirstPass(t *testing.T) {
	r, succeeded := newFinishedRig(t)
	r.Pause()
	r.server.do(func(c *cluster) { delete(c.objects, idOf(podKind, "team-a", "run")) })
	r.sync()
	r.onChild(succeeded, nil, func(kube.Key) {})
	r.mustPass(t, "web")
	r.server.do(func(c *cluster) {
		if c.objects[idOf(podKind, "team-a", "run")] != nil {
			t.Error("it is run again")
		}
	})
}
