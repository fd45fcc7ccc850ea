package compose

import (
	"strings"
	"testing"
	"time"
)

// The object is being deleted before anything is contributed to it, so that no watch shows its end.
func TestPatchWaitsForTheEndOfItsObject(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	r.server.do(func(c *cluster) {
		c.edit(id, "owner", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/slow"} })
		if err := c.delete(id, "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.newWebsite("web", patchesOf("shared", "x"))
	now := time.Now()
	r.now = func() time.Time { return now }
	for want := time.Second; want <= 8*time.Second; want *= 2 {
		result := r.mustPass(t, "web")
		if result.RequeueAfter != want {
			t.Errorf("it is looked at again after %s, want %s", result.RequeueAfter, want)
		}
		r.sync()
		r.asked()
		r.mustPass(t, "web")
		if asked := r.asked(); len(asked) > 0 {
			t.Errorf("it is read at once: %v", asked)
		}
		now = now.Add(result.RequeueAfter)
	}
	if conditions := r.text("status", "conditions"); !strings.Contains(conditions, "ConfigMap team-a/shared is being deleted") {
		t.Errorf("conditions %s", conditions)
	}
	r.server.do(func(c *cluster) { delete(c.objects, id) })
	r.target("shared")
	now = now.Add(time.Minute)
	if r.mustPass(t, "web"); !strings.Contains(r.object(id), "web:x") {
		t.Errorf("the object is %s, want it patched", r.object(id))
	}
}
