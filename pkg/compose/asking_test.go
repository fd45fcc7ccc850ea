package compose

import (
	"errors"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestTrackAsking has passes that ask the composer, and one that does not.
func TestTrackAsking(t *testing.T) {
	c := newRelating()
	r, _ := relatedRig(t, relater{c}, secrets("declared", nil))
	handle := func() (asked bool, err error) {
		ctx, tracked := TrackAsking(t.Context())
		_, err = r.Handle(ctx, handlers.Request{Object: r.parent("web")})
		r.sync()
		return tracked(), err
	}
	if asked, err := handle(); !asked || err != nil {
		t.Errorf("asked: %t, %v", asked, err)
	}
	c.err = errors.New("no answer")
	if asked, err := handle(); !asked || !errors.Is(err, c.err) {
		t.Errorf("what is related: asked: %t, %v", asked, err)
	}
	r.server.do(func(cl *cluster) {
		cl.edit(idOf(websiteKind, "team-a", "web"), "kubectl", func(tree map[string]any) {
			object(tree, "metadata")["annotations"] = map[string]any{PausedAnnotation: "true"}
		})
	})
	r.sync()
	if asked, err := handle(); asked || err != nil {
		t.Errorf("a parent that is paused: asked: %t, %v", asked, err)
	}
}
