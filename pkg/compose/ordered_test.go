package compose

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestOrderIsRemembered(t *testing.T) {
	child := page
	child.After = []string{"a,b", `c"`}
	m := makerFor(website)
	plain, err := m.make(child)
	if err != nil {
		t.Fatal(err)
	}
	if text, there := annotations(plain.tree)[AfterAnnotation]; there {
		t.Errorf("without an order, the annotation is %v", text)
	}
	m.ordered = true
	d, err := m.make(child)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := annotations(d.tree)[AfterAnnotation].(string)
	if diff := cmp.Diff(child.After, rememberedOrder(text)); diff != "" || d.hash == plain.hash {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	if rememberedOrder("[1") != nil || rememberedOrder("{}") != nil {
		t.Error("what is no list says something")
	}
}

func TestInOrder(t *testing.T) {
	op := func(action Action, reason Reason, name string, after ...string) Op {
		return Op{Action: action, Reason: reason, ID: idOf(configMapKind, "team-a", name), Observed: &Observed{marks: marks{child: name, after: after}}}
	}
	remove := func(name string, after ...string) Op { return op(Delete, ReasonNotDesired, name, after...) }
	for name, tc := range map[string]struct {
		ops  []Op
		want []string // that go now, or are going
	}{
		"a chain":               {ops: []Op{remove("a"), remove("b", "a"), remove("c", "b")}, want: []string{"c"}},
		"the last is gone":      {ops: []Op{remove("a"), remove("b", "a")}, want: []string{"b"}},
		"the last is going":     {ops: []Op{remove("a"), op(Wait, ReasonDeleting, "b", "a"), remove("c")}, want: []string{"b", "c"}},
		"one is kept":           {ops: []Op{remove("a"), op(Retain, ReasonProtected, "b", "a")}, want: []string{"a"}},
		"a cycle":               {ops: []Op{remove("a", "b"), remove("b", "a")}, want: []string{"a", "b"}},
		"a cycle that is going": {ops: []Op{remove("a", "b"), op(Wait, ReasonDeleting, "b", "a")}, want: []string{"b"}},
		"itself":                {ops: []Op{remove("a", "a")}, want: []string{"a"}},
		"two before one":        {ops: []Op{remove("a"), remove("b"), remove("c", "a", "b")}, want: []string{"c"}},
	} {
		t.Run(name, func(t *testing.T) {
			inOrder(tc.ops)
			var got []string
			for _, op := range tc.ops {
				if op.Action == Delete || op.Reason == ReasonDeleting {
					got = append(got, op.Observed.marks.child)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("going are %v, want %v", got, tc.want)
			}
		})
	}
}

// TestDeletionInOrder deletes a parent whose children come after each other, in one pass.
func TestDeletionInOrder(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.Ordered = true
	r.newWebsite("web", map[string]any{"children": names(3), "ordered": true})
	r.mustPass(t, "web")
	r.sync()
	r.mustPass(t, "web")
	r.sync()
	web := idOf(websiteKind, "team-a", "web")
	r.server.do(func(c *cluster) {
		if err := c.delete(web, "", ""); err != nil {
			t.Error(err)
		}
	})
	r.sync()
	r.order()
	r.Composer = handlers.ComposerFunc(nil) // Nobody asks it.
	r.mustPass(t, "web")
	var got []string
	for _, text := range r.order() {
		if name, ok := strings.CutPrefix(text, "DELETE "); ok {
			got = append(got, name)
		}
	}
	want := []string{configMapPath("web-c"), configMapPath("web-b"), configMapPath("web-a")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deletes (-want +got):\n%s", diff)
	}
	if left := r.left(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
