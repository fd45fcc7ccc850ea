package compose

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// late is a cache that is brought up to date when somebody looks.
type late struct {
	Source
	sync func() // nil while it is up to date
}

func (l *late) GetByUID(uid types.UID) (handlers.Object, bool) {
	if sync := l.sync; sync != nil {
		l.sync = nil
		sync()
	}
	return l.Source.GetByUID(uid)
}

// TestConditionsAlone has a composer that gives nothing but a condition, and another party that
// writes a field of the status while the composer is asked, or right before the status is written.
func TestConditionsAlone(t *testing.T) {
	for _, beforeWrite := range []bool{false, true} {
		t.Run(fmt.Sprintf("before the write: %t", beforeWrite), func(t *testing.T) {
			var r *rig
			set := func(c *cluster, url string) {
				c.edit(idOf(websiteKind, "team-a", "web"), "operator", func(tree map[string]any) { object(tree, "status")["url"] = url })
			}
			r = newRig(t, rigOptions{composer: handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
				if !beforeWrite {
					r.server.do(func(c *cluster) { set(c, "new") })
					r.sync()
				}
				return handlers.Composition{Status: handlers.Conditions{{"type": "Updated", "status": "True", "reason": "Done", "message": "all are"}}}, nil
			})})
			r.newWebsite("web", nil)
			r.server.do(func(c *cluster) { set(c, "old") })
			r.sync()
			parents := &late{Source: r.Parents}
			r.Parents = parents
			r.server.answer = func(_ http.ResponseWriter, asked request) bool {
				if beforeWrite && strings.HasSuffix(asked.path, "/websites/web/status") {
					beforeWrite = false
					set(r.server.cluster, "new")
					parents.sync = func() { r.sync() }
				}
				return false
			}
			r.mustPass(t, "web")
			r.sync()
			if got := r.text("status", "url"); got != "new" {
				t.Errorf("the other party's field is %q, want that it stays new", got)
			}
			if status, reason, _ := r.conditionOf("web", "Updated"); status != "True" || reason != "Done" {
				t.Errorf("the condition is %q because of %q", status, reason)
			}
		})
	}
}
