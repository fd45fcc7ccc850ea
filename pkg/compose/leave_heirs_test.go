package compose

import (
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/handlers"
)

// leavingRig is a donor whose website leaves its selector while the heir does not work yet, which
// selects all.
type leavingRig struct {
	*movesRig
	left   handlers.Object
	logged int
	early  bool // calls come before they are due
}

func newLeavingRig(t *testing.T, wanted bool) *leavingRig {
	t.Helper()
	r := &leavingRig{movesRig: newMovesRig(t, nil, page)}
	var wants []handlers.Child
	if wanted {
		wants = pages(page)
	}
	r.change(pages(page), wants)
	r.takeOver()
	r.run(t, "donor")
	r.donor.Logger = funcr.New(func(string, string) { r.logged++ }, funcr.Options{})
	r.donor.Selection.Labels = labels.Set{selectedLabel: "yes"}.AsSelector()
	r.donorAs.Selection = r.donor.Selection
	r.moves.Set([]Party{r.donorAs, r.heirAs})
	r.left = r.donor.parent("web")
	r.donor.Leavers.Note(r.left)
	r.donor.Leavers.again(webKey) // The first look is over.
	r.donor.server.do(func(c *cluster) {
		c.edit(siteID, "kubectl", func(tree map[string]any) { object(tree, "metadata")["labels"] = map[string]any{"another": "label"} })
		r.donor.parents.sync(c, websiteKind.GroupKind(), selectedLabel, false, nil)
	})
	r.sync()
	r.donor.server.do(func(c *cluster) { r.donor.parents.sync(c, websiteKind.GroupKind(), selectedLabel, false, nil) })
	r.donor.asked()
	return r
}

// look handles the website by the donor once more, and lets the time pass that it asks for.
func (r *leavingRig) look(t *testing.T) {
	t.Helper()
	result, err := r.donor.Handle(t.Context(), handlers.Request{Object: r.left})
	if err != nil {
		t.Fatal(err)
	}
	r.at = r.at.Add(result.RequeueAfter)
	if r.early && result.RequeueAfter > time.Minute {
		r.at = r.at.Add(-time.Minute) // Something else calls for it before.
	}
}

// heirHandles lets the heir begin to work, and handle the website.
func (r *leavingRig) heirHandles(t *testing.T) {
	t.Helper()
	r.begin(r.heir)
	r.look(t) // It is called for that, and waits again.
	r.queue = nil
	r.donor.server.do(func(c *cluster) {
		r.heir.parents.sync(c, websiteKind.GroupKind(), "", false, nil)
		r.heir.caches[configMapKind].sync(c, configMapKind.GroupKind(), InstallationLabel, false, nil)
	})
	if _, err := r.heir.pass(t, "web"); err != nil {
		t.Fatal(err)
	}
	if len(r.queue) == 0 {
		t.Error("what the heir says does not call the donor")
	}
	r.donor.server.do(func(c *cluster) {
		r.donor.caches[configMapKind].sync(c, configMapKind.GroupKind(), InstallationLabel, false, nil)
	})
}

// expectTaken checks that the page is the same object as before, and the heir's, or else that it is
// gone.
func (r *leavingRig) expectTaken(t *testing.T, wanted bool, uid string) {
	t.Helper()
	r.donor.server.do(func(c *cluster) {
		o, there := c.objects[pageID]
		if there != wanted || there && (string(o.uid) != uid || o.metadata("labels", DefinitionLabel) != "sites") {
			t.Errorf("the child is there: %t, want %t", there, wanted)
		}
	})
}

// While the heir is pending, it costs next to nothing that a parent has left, and is said once.
func TestLeaverThatWaitsForAnHeirIsCheap(t *testing.T) {
	r := newLeavingRig(t, true)
	for end := r.at.Add(time.Hour); r.at.Before(end); {
		r.look(t)
	}
	if asked := len(lists(r.donor.server.take())); asked < 2 || asked > 20 {
		t.Errorf("%d lists in an hour, want a few", asked)
	}
	if r.logged != 1 {
		t.Errorf("it is said %d times that the children wait", r.logged)
	}
	if r.donor.object(pageID) == "none" {
		t.Error("the child is gone")
	}
	for range 100 { // Calls for another reason come at any time.
		if _, err := r.donor.Handle(t.Context(), handlers.Request{Object: r.left}); err != nil {
			t.Fatal(err)
		}
	}
	if asked := len(lists(r.donor.server.take())); asked > 2 {
		t.Errorf("%d lists by 100 calls at once", asked)
	}
}

// The report of the heir ends the wait.
func TestLeaverIsDoneWhenTheHeirHasSaidWhatItWants(t *testing.T) {
	for name, wanted := range map[string]bool{"it takes the child over": true, "it does not want the child": false} {
		t.Run(name, func(t *testing.T) {
			r := newLeavingRig(t, wanted)
			uid := r.donor.server.uidOf(pageID)
			r.early = true
			r.look(t)
			r.heirHandles(t)
			r.look(t)
			r.expectTaken(t, wanted, uid)
			if len(r.donor.Leavers.parents) > 0 {
				t.Error("the parent is still looked at")
			}
		})
	}
}
