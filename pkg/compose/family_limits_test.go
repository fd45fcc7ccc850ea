package compose

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// childOf makes an object with the mark of a parent, and returns it.
func (r *orphanRig) childOf(parent ChildID, kind schema.GroupVersionKind, name string) ChildID {
	id := idOf(kind, "team-a", name)
	r.do(func(c *cluster) {
		uid := c.objects[parent].uid
		c.edit(id, "kubectl", func(tree map[string]any) {
			object(object(tree, "metadata"), "labels")[ParentUIDLabel] = string(uid)
		})
	})
	return id
}

// unfollowed are the members that were not followed, by kind.
func unfollowed(m *Member, counts map[string]int) map[string]int {
	if m.Unfollowed {
		counts[m.Kind]++
	}
	for _, child := range m.Children {
		unfollowed(child, counts)
	}
	return counts
}

func TestFamilyOfVeryMany(t *testing.T) {
	r := newFamilyRig(t)
	const many = followLimit + 50
	for i := range many {
		r.childOf(siteID, configMapKind, fmt.Sprintf("leaf-%d", i))
	}
	r.take()
	_, m, err := r.family(t)
	if err != nil {
		t.Fatal(err)
	}
	if words := memberWords("", m); len(words) < many || !slices.Contains(words, "    ConfigMap team-a/below Ready") {
		t.Errorf("of %d children %d are shown, or the one of a kind of which there are few is not followed", many, len(words))
	}
	// There are three more ConfigMaps, and three objects of other kinds. Below is one more.
	if left := unfollowed(m, map[string]int{}); len(left) != 1 || left["ConfigMap"] != many+3+3+1-followLimit+1 {
		t.Errorf("not followed are %v", left)
	}
	asked := map[string]int{}
	for _, request := range r.take() {
		if !strings.Contains(request.query, "continue=") {
			asked[request.path]++
		}
	}
	for path, times := range asked {
		if most := 1 + followLimit/parentsAtOnce; times > most {
			t.Errorf("%s is listed %d times, want at most %d", path, times, most)
		}
	}
}

func TestFamilyThatIsDeep(t *testing.T) {
	r := newOrphanRig(t)
	last := siteID
	for i := range depthLimit + 2 {
		last = r.childOf(last, widgetKind, fmt.Sprintf("level-%d", i+1))
	}
	_, m, err := r.family(t)
	if err != nil {
		t.Fatal(err)
	}
	words := memberWords("", m)
	deepest := fmt.Sprintf("level-%d ", depthLimit)
	if !strings.Contains(words[len(words)-1], deepest) || unfollowed(m, map[string]int{})["Widget"] != 1 {
		t.Errorf("the family ends with %q, want %s, which is not followed", words[len(words)-1], deepest)
	}
}

func TestFamilyWhenTheTimeIsOver(t *testing.T) {
	r := newFamilyRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	site := r.uidOf(siteID)
	r.answer = func(_ http.ResponseWriter, asked request) bool {
		if strings.Contains(asked.query, "labelSelector") && !strings.Contains(asked.query, site) {
			cancel()
		}
		return false
	}
	m, err := NewFamily(r.search.Client, listable()).Read(ctx, resources[websiteKind], "team-a", "web")
	if !errors.Is(err, context.Canceled) || m == nil {
		t.Fatalf("the family is %v, %v", m, err)
	}
	if len(m.Children) != 6 || !m.Children[0].Unfollowed {
		t.Errorf("what was found is %+v", memberWords("", m))
	}
}
