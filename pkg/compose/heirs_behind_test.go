package compose

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// newSelectingRig returns one of which the heir handles the parents with a label. The website gets
// it, and the donor does not want the page from then on. The cache of the heir does not have that.
func newSelectingRig(t *testing.T) *movesRig {
	t.Helper()
	m := newMovesRig(t, nil, page)
	m.heir.selects = selectedLabel
	m.heir.Selection.Labels = labels.Set{selectedLabel: "yes"}.AsSelector()
	m.heirAs.Selection = m.heir.Selection
	m.change(pages(page), pages(page))
	m.takeOver()
	m.begin(m.heir)
	m.sync()
	m.run(t, "donor")
	m.written()
	m.keeps = nil
	m.label(selectedLabel)
	return m
}

// label gives the website a label, which the donor sees.
func (m *movesRig) label(name string) {
	m.donor.server.do(func(c *cluster) {
		c.edit(siteID, "kubectl", func(tree map[string]any) { object(tree, "metadata")["labels"] = map[string]any{name: "yes"} })
	})
	m.donor.sync()
	m.queue = nil
}

// setPhase changes the status of the website, which the donor sees.
func (m *movesRig) setPhase(t *testing.T) {
	t.Helper()
	m.donor.server.do(func(c *cluster) {
		body := `{"metadata": {"resourceVersion": "` + c.objects[siteID].version + `"}, "status": {"phase": "Moved"}}`
		if err := c.patchStatus(siteID, []byte(body)); err != nil {
			t.Error(err)
		}
	})
	m.donor.sync()
}

// bookmark brings the cache of the heir to a version, without the website.
func (m *movesRig) bookmark(version string) {
	m.heir.parents.mu.Lock()
	defer m.heir.parents.mu.Unlock()
	m.heir.parents.version, _ = strconv.Atoi(version)
}

// A parent that becomes one of the heir's by an edit which its cache does not have yet keeps what
// the heir may take.
func TestMoveToAnHeirThatHasNotSeenTheParent(t *testing.T) {
	m := newSelectingRig(t)
	uid := m.donor.server.uidOf(pageID)
	m.blind = true
	if again := m.donor.mustPass(t, "web").RequeueAfter; again == 0 || again > staleInterval {
		t.Errorf("the donor looks again after %s, want %s", again, staleInterval)
	}
	m.at = m.at.Add(movingPatience)
	m.donor.mustPass(t, "web")
	if written := m.written(); len(written) > 0 {
		t.Errorf("while the heir has not seen the parent, there are writes: %v", written)
	}
	status, reason, message := m.donor.conditionOf("web", conditionProgressing)
	if want := "it waits until definition sites, which may take it over, has seen the parent"; status != "True" || reason != "Moving" || !strings.Contains(message, want) {
		t.Errorf("Progressing is %q, %q, %q, want True, Moving and %q", status, reason, message, want)
	}
	m.blind = false
	m.sync()
	m.run(t)
	m.taken(t, uid)
}

// It is looked again at a parent that waits less and less often.
func TestWaitForACacheGetsLonger(t *testing.T) {
	m := newSelectingRig(t)
	looks := 0
	for end := m.at.Add(5 * time.Minute); m.at.Before(end); looks++ {
		again := m.donor.mustPass(t, "web").RequeueAfter
		if again == 0 {
			t.Fatal("the donor does not look again")
		}
		m.at = m.at.Add(again)
	}
	if looks < 10 || looks > 30 {
		t.Errorf("%d looks in five minutes, want some twenty", looks)
	}
	if written := m.written(); len(written) > 0 {
		t.Errorf("there are writes: %v", written)
	}
}

// When the heir's cache is as new as that of the donor, what is not in it is not the heir's.
func TestNoMoveToAnHeirThatHasSeenThatItIsNotItsOwn(t *testing.T) {
	m := newSelectingRig(t)
	m.donor.mustPass(t, "web")
	m.donor.sync()
	m.bookmark(m.donor.parent("web").ResourceVersion())
	m.donor.mustPass(t, "web")
	if diff := cmp.Diff([]string{"DELETE " + pagePath}, m.written()); diff != "" {
		t.Errorf("writes of children (-want +got):\n%s", diff)
	}
}

// Nothing but bookmarks brings a cache forward that has none of the objects which change. A parent
// that changes more often than they come does not wait for ever because of an heir's fieldSelector.
// Without one, a change of what is selected is an event of that cache.
func TestMoveOfAParentThatChangesAllTheTime(t *testing.T) {
	for name, selector := range map[string]fields.Selector{"by labels": nil, "by fields": fields.OneTermEqualSelector("spec.tier", "premium")} {
		t.Run(name, func(t *testing.T) {
			m := newSelectingRig(t)
			m.heirAs.Selection.Fields = selector
			m.moves.Set([]Party{m.donorAs, m.heirAs})
			before := m.donor.parent("web").ResourceVersion()
			for edit := range int64(3) {
				m.donor.mustPass(t, "web")
				m.donor.newWebsite("web", map[string]any{"x": edit})
			}
			if written := m.written(); len(written) > 0 {
				t.Errorf("while the heir's cache is behind, there are writes: %v", written)
			}
			m.bookmark(before)
			m.donor.mustPass(t, "web")
			want := []string{}
			if selector != nil {
				want = append(want, "DELETE "+pagePath)
			}
			if diff := cmp.Diff(want, m.written()); diff != "" {
				t.Errorf("writes of children (-want +got):\n%s", diff)
			}
		})
	}
}

// A parent that leaves the donor's selector for that of the heir keeps its children until the
// heir's cache has what the API server says of it.
func TestLeaverKeepsWhatAnHeirMayTakeThatHasNotSeenIt(t *testing.T) {
	for name, wanted := range map[string]bool{"it is the heir's": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			r := newLeavingRig(t, true)
			uid := r.donor.server.uidOf(pageID)
			r.heir.parents = &cache{version: 1}
			r.heir.Parents = r.heir.parents
			r.begin(r.heir)
			r.look(t)
			r.look(t)
			if r.donor.object(pageID) == "none" {
				t.Fatal("while the heir has not seen the parent, the child is deleted")
			}
			if wanted {
				r.heirHandles(t)
			} else {
				r.donor.server.do(func(c *cluster) { r.heir.parents.version = c.version })
			}
			r.look(t)
			r.expectTaken(t, wanted, uid)
		})
	}
}

// A change of the status makes the donor drop a child that the heir wants from then on. What the
// heir says of an older version of the parent does not count, although nothing but its status is
// another.
func TestMoveByAStatus(t *testing.T) {
	for name, wanted := range map[string]bool{"the heir wants it": true, "nobody wants it": false} {
		t.Run(name, func(t *testing.T) {
			m, uid := newUnmovedRig(t)
			m.setPhase(t)
			m.keeps, m.blind = nil, true
			if m.run(t, "donor", "heir"); len(m.written()) > 0 {
				t.Error("while the cache of the heir is behind, there are writes")
			}
			if again := m.donor.mustPass(t, "web").RequeueAfter; again == 0 || again > staleInterval {
				t.Errorf("the donor looks again after %s, want %s", again, staleInterval)
			}
			m.blind = false
			if wanted {
				m.wants = pages(page)
			}
			m.sync()
			if m.run(t, "donor"); wanted { // Its event may call for nothing.
				m.taken(t, uid)
			} else if diff := cmp.Diff([]string{"DELETE " + pagePath}, m.written()); diff != "" {
				t.Errorf("writes of children (-want +got):\n%s", diff)
			}
		})
	}
}

// A parent that becomes one of the donor's by an edit which its cache does not have yet: the donor
// may want the child again, so the heir does not take it.
func TestMoveFromADonorThatHasNotSeenTheParent(t *testing.T) {
	for name, selected := range map[string]bool{"it is the donor's": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			m := newMovesRig(t, nil, page)
			uid := m.donor.server.uidOf(pageID)
			m.donor.selects = selectedLabel
			m.donor.Selection.Labels = labels.Set{selectedLabel: "yes"}.AsSelector()
			m.donorAs.Selection = m.donor.Selection
			m.change(pages(page), pages(page))
			m.donor.sync() // The website has left.
			m.takeOver()
			m.begin(m.heir)
			m.label(selectedLabel)
			m.donor.parents = &cache{version: 1}
			m.donor.Parents = m.donor.parents
			m.takeOver()
			m.heir.sync()
			if again := m.heir.mustPass(t, "web").RequeueAfter; again == 0 || again > staleInterval {
				t.Errorf("the heir looks again after %s, want %s", again, staleInterval)
			}
			if written := m.written(); len(written) > 0 {
				t.Errorf("while the donor has not seen the parent, there are writes: %v", written)
			}
			if !selected {
				m.donor.server.do(func(c *cluster) { m.donor.parents.version = c.version })
				m.heir.mustPass(t, "web")
				m.taken(t, uid)
				return
			}
			m.donor.sync()
			if m.run(t, "donor"); len(m.written()) > 0 {
				t.Error("there are writes of what the donor wants")
			}
			if refused := metricOf(t, m.heir, "kooperd_compose_children", "refused"); refused != 1 {
				t.Errorf("%v children are refused, want 1", refused)
			}
		})
	}
}
