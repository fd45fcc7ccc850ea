package compose

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

func TestPlanOfMoves(t *testing.T) {
	const older = "webs" // an id that the donor has had
	heir := func(of []string, kept map[ChildID]Kept, children ...handlers.Child) func(*Input) {
		return func(in *Input) {
			in.Definition, in.Donors, in.Kept = "sites", of, kept
			in.Desired = desireAs(t, in.Definition, children...)
		}
	}
	donors, other := []string{definition, older}, configMap("other", nil)
	late := withUpdate(handlers.UpdateOnDelete, configMap("page", map[string]any{"html": "new"}))
	runPlans(t, map[string]planCase{
		"what the donor does not want": {
			made: pages(page, other), desired: pages(page), input: heir(donors, nil, page),
			want: []string{"apply Moved ConfigMap team-a/page"},
		},
		"changed in the same breath": {
			made: pages(page), desired: pages(page), input: heir(donors, nil, configMap("page", map[string]any{"html": "new"})),
			want: []string{"apply Moved ConfigMap team-a/page"},
		},
		"without managedFields": {
			made: pages(page), desired: pages(page), others: func(c *cluster) { c.wipe(pageID) }, input: heir(donors, nil, page),
			want: []string{"apply Moved ConfigMap team-a/page"},
		},
		"what is not known yet": {
			made: pages(page), desired: pages(page), input: heir(donors, map[ChildID]Kept{pageID: {Message: "in a moment"}}, page),
			want: []string{"wait Moving ConfigMap team-a/page: in a moment"},
		},
		"what the donor wants": {
			made: pages(page), desired: pages(page), input: heir(donors, map[ChildID]Kept{pageID: {Wanted: true}}, page),
			want: []string{"refuse OtherParent ConfigMap team-a/page: ConfigMap team-a/page is child page of team-a/web, " +
				"made by definition websites, which wants it itself"},
		},
		"of no donor": {
			made: pages(page), desired: pages(page), input: heir([]string{older}, nil, page),
			want: []string{"refuse OtherParent ConfigMap team-a/page: ConfigMap team-a/page is child page of team-a/web, made by definition websites"},
		},
		"of another parent": {
			made: pages(page), madeFor: shop, desired: pages(page), input: heir(donors, nil, page),
			want: []string{"refuse OtherParent ConfigMap team-a/page: ConfigMap team-a/page is child page of team-a/shop, made by definition websites"},
		},
		"changed when it is deleted": {
			made: pages(page), desired: pages(page), input: heir(donors, nil, late),
			want: []string{"skip OnDelete ConfigMap team-a/page: it is not what is desired now, and is made so when it is deleted"},
		},
		"what may have finished": {
			desired: pages(pod("a")), input: heir(donors, map[ChildID]Kept{idOf(podKind, "team-a", "run"): {Message: "in a moment"}}, pod("a")),
			want: []string{"wait Moving Pod team-a/run: in a moment"},
		},
		"what has finished": {
			desired: pages(pod("a")), input: func(in *Input) {
				in.Done = map[string]string{"run": outcome(in.Desired[0].hash, false)}
				in.Kept = map[ChildID]Kept{in.Desired[0].ID: {Message: "in a moment"}}
			},
			want: []string{"skip Done Pod team-a/run: it has finished, and is not made again until what is desired changes"},
		},
		"claimed by another": {
			made: pages(page, other), input: func(in *Input) { in.Claimed = map[ChildID]string{pageID: "definition sites takes it over"} },
			want: []string{
				"delete NotDesired ConfigMap team-a/other",
				"wait Moving ConfigMap team-a/page: definition sites takes it over",
			},
		},
	})
}

// movesRig has two definitions over one cluster: websites, the donor, and sites, the heir.
type movesRig struct {
	moves           *Moves
	donor, heir     *rig
	keeps, wants    []handlers.Child // what the composers say
	failing         error            // of the composer of the heir
	pending         error            // of that of the donor
	refuses         bool             // some requests fail
	queue           []string         // passes that are asked for
	passes          int
	donorAs, heirAs Party // as the file has them
	at              time.Time
	works           map[*rig]bool // handles objects
	blind           bool          // the cache of the heir does not change
}

// newMovesRig returns one of which the donor has made children, and the file has no heir yet.
func newMovesRig(t *testing.T, owns []schema.GroupVersionKind, children ...handlers.Child) *movesRig {
	t.Helper()
	m := &movesRig{moves: NewMoves(), keeps: children, at: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC), works: map[*rig]bool{}}
	m.donor = newRig(t, rigOptions{owns: owns, composer: handlers.ComposerFunc(
		func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
			return handlers.Composition{Children: m.keeps}, m.pending
		},
	)})
	m.heir = newRig(t, rigOptions{owns: owns, composer: handlers.ComposerFunc(
		func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
			if m.failing != nil {
				return handlers.Composition{}, m.failing
			}
			return handlers.Composition{Children: m.wants}, nil
		},
	)})
	m.heir.server, m.heir.Client, m.heir.Dynamic = m.donor.server, m.donor.Client, m.donor.Dynamic
	m.heir.Status, m.heir.Definition = config.Status{None: true}, "sites"
	for _, r := range []*rig{m.donor, m.heir} {
		r.Moves, r.Digest, r.now = m.moves, "1", func() time.Time { return m.at }
	}
	kinds := []schema.GroupKind{configMapKind.GroupKind(), podKind.GroupKind()}
	m.donorAs = Party{Identity: m.donor.Identity, Digest: "1", Selection: m.donor.Selection, Owns: kinds}
	m.heirAs = Party{Identity: m.heir.Identity, Donors: []string{definition}, Digest: "1", Selection: m.heir.Selection, Owns: kinds}
	m.moves.Set([]Party{m.donorAs})
	m.begin(m.donor)
	m.donor.newWebsite("web", nil)
	m.run(t, "donor")
	m.donor.asked()
	return m
}

// newUnmovedRig returns one of which the donor alone wants the page, and both work. uid is that of
// the page.
func newUnmovedRig(t *testing.T) (m *movesRig, uid string) {
	t.Helper()
	m = newMovesRig(t, nil, page)
	m.change(pages(page), nil)
	m.takeOver()
	m.begin(m.heir)
	m.run(t, "donor", "heir")
	m.written()
	return m, m.donor.server.uidOf(pageID)
}

// begin lets the revision of now handle objects.
func (m *movesRig) begin(r *rig) {
	name := m.name(r)
	m.works[r] = true
	m.moves.Begin(r.Reconciler, func(kube.Key) { m.queue = append(m.queue, name) })
}

func (m *movesRig) name(r *rig) string {
	if r == m.donor {
		return "donor"
	}
	return "heir"
}

// change is a change of the file: the donor wants other children, and there is the heir. It does
// not begin to work.
func (m *movesRig) change(keeps, wants []handlers.Child) {
	m.keeps, m.wants = keeps, wants
	m.donorAs.Digest = "2"
	m.moves.Set([]Party{m.donorAs, m.heirAs})
}

// takeOver lets the changed donor take over from what it was before.
func (m *movesRig) takeOver() {
	m.donor.Digest = "2"
	m.begin(m.donor)
}

// run makes passes, and those that they lead to.
func (m *movesRig) run(t *testing.T, first ...string) {
	t.Helper()
	m.queue = append(first, m.queue...)
	for m.passes = 0; len(m.queue) > 0; m.passes++ {
		if m.passes == 20 {
			t.Fatalf("the definitions call each other without end: %v", m.queue)
		}
		next := m.queue[0]
		m.queue = slices.DeleteFunc(m.queue, func(name string) bool { return name == next })
		r := m.donor
		if next == "heir" {
			r = m.heir
		}
		if r.parent("web") == nil {
			continue // It does not handle the website.
		}
		if _, err := r.pass(t, "web"); err != nil && m.failing == nil && m.pending == nil && !m.refuses && !strings.Contains(err.Error(), "made by definition") {
			t.Fatalf("handling by the %s: %v", next, err)
		}
		m.sync()
	}
}

// lose takes the parents from the cache of the heir, which is as new as that of the donor.
func (m *movesRig) lose() {
	m.heir.parents, m.blind = &cache{}, true
	m.donor.server.do(func(c *cluster) { m.heir.parents.version = c.version })
	m.heir.Parents = m.heir.parents
}

// sync lets both see what there is, and asks for the passes of that.
func (m *movesRig) sync() {
	for _, r := range []*rig{m.donor, m.heir} {
		if m.blind && r == m.heir {
			continue
		}
		if len(r.sync()) > 0 && m.works[r] {
			m.queue = append(m.queue, m.name(r))
		}
	}
}

// written are the requests about children, without reads.
func (m *movesRig) written() []string {
	return slices.DeleteFunc(children(m.donor.asked()), func(text string) bool { return strings.HasPrefix(text, "GET ") })
}

const pagePath = "/api/v1/namespaces/team-a/configmaps/page"

// taken checks that the page is the same object as before, and the heir's by one apply.
func (m *movesRig) taken(t *testing.T, uid string) {
	t.Helper()
	if diff := cmp.Diff([]string{"PATCH " + pagePath}, m.written()); diff != "" {
		t.Errorf("writes of children (-want +got):\n%s", diff)
	}
	m.donor.server.do(func(c *cluster) {
		if o := c.objects[pageID]; string(o.uid) != uid || o.metadata("labels", DefinitionLabel) != "sites" {
			t.Errorf("the page is %s of %s, want %s of sites", o.uid, o.metadata("labels", DefinitionLabel), uid)
		}
	})
}

// A child moves by one apply, whichever definition comes first.
func TestMove(t *testing.T) {
	for _, order := range [][]string{{"donor", "heir"}, {"heir", "donor"}} {
		t.Run(order[0]+" first", func(t *testing.T) {
			m := newMovesRig(t, nil, page)
			uid := m.donor.server.uidOf(pageID)
			m.change(nil, pages(page))
			m.takeOver()
			m.begin(m.heir)
			m.sync()
			m.queue = nil
			m.run(t, order...)
			m.taken(t, uid)
			m.run(t, order...)
			if written := m.written(); len(written) > 0 {
				t.Errorf("when all is as it should be, there are writes: %v", written)
			}
		})
	}
}

// As long as the heir cannot say what it wants, the donor keeps everything, and says so. When it
// does not want a child, the donor deletes it at once.
func TestMoveWaitsForTheHeir(t *testing.T) {
	for name, until := range map[string]func(m *movesRig){
		"it does not work":   func(*movesRig) {},
		"an earlier one":     func(m *movesRig) { m.heir.Digest = "0"; m.begin(m.heir); m.queue = append(m.queue, "heir") },
		"it fails":           func(m *movesRig) { m.failing = errDamaged; m.begin(m.heir); m.queue = append(m.queue, "heir") },
		"it cannot tell all": func(m *movesRig) { m.failing = handlers.Pending{Name: "x"}; m.begin(m.heir) },
	} {
		for _, wanted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/wanted %t", name, wanted), func(t *testing.T) {
				m := newMovesRig(t, nil, page)
				uid := m.donor.server.uidOf(pageID)
				m.sync()
				m.queue = nil
				m.change(nil, nil)
				if wanted {
					m.wants = pages(page)
				}
				m.takeOver()
				until(m)
				m.run(t, "donor")
				if status, reason, _ := m.donor.conditionOf("web", conditionProgressing); status != "False" {
					t.Errorf("at once, the parent is Progressing: %s", reason)
				}
				m.at = m.at.Add(movingPatience)
				m.run(t, "donor")
				if status, reason, message := m.donor.conditionOf("web", conditionProgressing); status != "True" || reason != "Moving" || !strings.Contains(message, "definition sites") {
					t.Errorf("Progressing is %q, %q, %q", status, reason, message)
				}
				if n := metricOf(t, m.donor, "kooperd_compose_moving_children", definition); n != 1 {
					t.Errorf("%v children wait, want 1", n)
				}
				if written := m.written(); len(written) > 0 {
					t.Errorf("there are writes: %v", written)
				}

				m.failing, m.heir.Digest = nil, "1"
				m.begin(m.heir)
				m.run(t, "heir")
				if n := metricOf(t, m.donor, "kooperd_compose_moving_children", definition); n != 0 {
					t.Errorf("%v children wait, want none", n)
				}
				if status, reason, _ := m.donor.conditionOf("web", conditionProgressing); status != "False" {
					t.Errorf("at the end, the parent is Progressing: %s", reason)
				}
				if wanted {
					m.taken(t, uid)
				} else if diff := cmp.Diff([]string{"DELETE " + pagePath}, m.written()); diff != "" {
					t.Errorf("writes of children (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// The heir takes nothing that the donor wants, or that an earlier revision of it may want. When the
// donor lets go, the heir takes it at once.
func TestMoveWaitsForTheDonor(t *testing.T) {
	t.Run("it wants the child", func(t *testing.T) {
		m := newMovesRig(t, nil, page)
		uid := m.donor.server.uidOf(pageID)
		m.change(pages(page), pages(page))
		m.takeOver()
		m.begin(m.heir)
		m.run(t, "heir", "donor")
		if written := m.written(); len(written) > 0 {
			t.Errorf("there are writes: %v", written)
		}
		if refused := metricOf(t, m.heir, "kooperd_compose_children", "refused"); refused != 1 {
			t.Errorf("%v children are refused, want 1", refused)
		}
		m.keeps = nil
		m.run(t, "donor")
		m.taken(t, uid)
	})
	t.Run("it is pending", func(t *testing.T) {
		m := newMovesRig(t, nil, page)
		uid := m.donor.server.uidOf(pageID)
		m.change(nil, pages(page))
		m.keeps = pages(page)
		m.begin(m.heir)
		m.run(t, "heir", "donor")
		if written := m.written(); len(written) > 0 {
			t.Errorf("there are writes: %v", written)
		}
		if waiting := metricOf(t, m.heir, "kooperd_compose_moving_children", definition); waiting != 1 {
			t.Errorf("%v children wait, want 1", waiting)
		}
		m.keeps = nil
		m.takeOver()
		m.run(t, "donor")
		m.taken(t, uid)
	})
}

// What the heir does not handle, or cannot make, the donor deletes without asking it.
func TestNoMove(t *testing.T) {
	for name, change := range map[string]func(m *movesRig){
		"other labels":      func(m *movesRig) { m.heirAs.Selection.Labels = labels.Set{"a": "b"}.AsSelector() },
		"other namespaces":  func(m *movesRig) { m.heirAs.Selection.Namespaces = []string{"team-b"} },
		"another kind":      func(m *movesRig) { m.heirAs.Selection.Kind = widgetKind },
		"no such children":  func(m *movesRig) { m.heirAs.Owns = nil },
		"not in its cache":  func(m *movesRig) { m.lose(); m.begin(m.heir) },
		"it is gone":        func(m *movesRig) { m.moves.Set([]Party{m.donorAs}) },
		"it is of no donor": func(m *movesRig) { m.heirAs.Donors = nil; m.moves.Set([]Party{m.donorAs, m.heirAs}) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMovesRig(t, nil, page)
			m.change(nil, pages(page))
			m.takeOver()
			change(m)
			if !strings.HasPrefix(name, "it is") {
				m.moves.Set([]Party{m.donorAs, m.heirAs})
			}
			m.run(t, "donor")
			if diff := cmp.Diff([]string{"DELETE " + pagePath}, m.written()); diff != "" {
				t.Errorf("writes of children (-want +got):\n%s", diff)
			}
		})
	}
}

// A parent that ends to be one of the heir's is no reason to wait any more, nor is an heir that is
// not in the file any more.
func TestEndOfAnHeir(t *testing.T) {
	for name, end := range map[string]func(m *movesRig){
		"the parent leaves": func(m *movesRig) {
			m.lose()
			m.begin(m.heir)
		},
		"the file changes": func(m *movesRig) { m.moves.Set([]Party{m.donorAs}) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMovesRig(t, nil, page)
			m.change(nil, pages(page))
			m.takeOver()
			m.run(t, "donor")
			if written := m.written(); len(written) > 0 {
				t.Errorf("there are writes: %v", written)
			}
			end(m)
			m.run(t)
			if diff := cmp.Diff([]string{"DELETE " + pagePath}, m.written()); diff != "" {
				t.Errorf("writes of children (-want +got):\n%s", diff)
			}
		})
	}
}

// An heir wants nothing of a parent that is being deleted.
func TestDeletionSaysWhatIsWanted(t *testing.T) {
	m := newMovesRig(t, nil, page)
	m.change(nil, pages(page))
	m.donor.server.do(func(c *cluster) {
		id := idOf(websiteKind, "team-a", "web")
		c.edit(id, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"other.io/x"} })
		if err := c.delete(id, "", ""); err != nil {
			t.Error(err)
		}
	})
	m.begin(m.heir)
	m.sync()
	m.queue = nil
	claimed := func() int {
		parent := m.heir.parent("web")
		about := parentRef{Parent: Parent{Kind: websiteKind, Namespace: "team-a", Name: "web", UID: parent.UID()}}
		return len(m.moves.claimed(definition, about, []ChildID{pageID}))
	}
	if claimed() != 1 {
		t.Fatal("before the pass of the heir, the child is not claimed")
	}
	m.heir.mustPass(t, "web")
	if claimed() != 0 {
		t.Error("after the pass of the heir, the child is claimed")
	}
}

// After a restart, a former id that has done its work leads to no write.
func TestRestartAfterAMove(t *testing.T) {
	for _, order := range [][]string{{"donor", "heir"}, {"heir", "donor"}} {
		m := newMovesRig(t, nil, page)
		other := configMap("other", nil)
		m.change(pages(other), pages(page))
		m.takeOver()
		m.begin(m.heir)
		m.run(t, "donor", "heir")
		m.written()
		m.restart()
		m.begin(m.donor)
		m.begin(m.heir)
		m.run(t, order...)
		if asked := children(m.donor.asked()); len(asked) > 0 {
			t.Errorf("%s first: there are requests: %v", order[0], asked)
		}
	}
}

// A Pod that has finished as a child of the donor is not run again by the heir, and what is noted
// of it moves, too.
func TestMoveOfFinished(t *testing.T) {
	podID := idOf(podKind, "team-a", "run")
	finish := func(m *movesRig) {
		m.donor.server.do(func(c *cluster) {
			c.edit(podID, "kubelet", func(tree map[string]any) { object(tree, "status")["phase"] = "Succeeded" })
		})
	}
	expire := func(t *testing.T, m *movesRig) {
		m.donor.server.do(func(c *cluster) {
			if err := c.delete(podID, "", ""); err != nil {
				t.Error(err)
			}
		})
	}
	for name, gone := range map[string]func(t *testing.T, m *movesRig){
		"before the change": func(t *testing.T, m *movesRig) {
			m.sync()
			m.run(t, "donor")
			expire(t, m)
			m.sync()
			m.run(t, "donor")
			m.change(nil, pages(pod("a")))
		},
		"in the moment of the change": func(t *testing.T, m *movesRig) {
			m.change(nil, pages(pod("a")))
			m.sync()
			expire(t, m)
			m.sync()
		},
		"while the heir is pending": func(t *testing.T, m *movesRig) {
			m.change(nil, pages(pod("a")))
			m.takeOver()
			m.sync()
			m.run(t, "donor")
			expire(t, m)
			m.sync()
			m.run(t, "donor")
			m.donor.Memory = NewMemory() // It is restarted.
		},
	} {
		for _, order := range [][]string{{"donor", "heir"}, {"heir", "donor"}} {
			t.Run(name+"/"+order[0]+" first", func(t *testing.T) {
				m := newMovesRig(t, []schema.GroupVersionKind{podKind}, pod("a"))
				finish(m)
				gone(t, m)
				m.queue = nil
				m.donor.asked()
				m.takeOver()
				m.begin(m.heir)
				m.run(t, order...)
				m.donor.server.do(func(c *cluster) {
					if c.objects[podID] != nil {
						t.Error("it is run again")
					}
				})
				noted := m.donor.parent("web").Metadata().Annotations
				if text := noted[DoneAnnotation(installation, "sites")]; !strings.Contains(text, "run") {
					t.Errorf("noted is %v", noted)
				}
				if text := noted[DoneAnnotation(installation, definition)]; text != "" {
					t.Errorf("the donor has noted %s", text)
				}
			})
		}
	}
}

// A donor that waits for something, or cannot have all its children, does not keep the heir from
// making what finishes: that may be what it waits for.
func TestHeirOfAnUnsettledDonor(t *testing.T) {
	other := configMap("other", nil)
	for name, unsettle := range map[string]func(m *movesRig){
		"it is pending": func(m *movesRig) { m.pending = handlers.Pending{Name: "other", On: "run"} },
		"it fails":      func(m *movesRig) { m.pending = errDamaged },
		"a child of it is refused": func(m *movesRig) {
			m.keeps, m.refuses = pages(other), true
			m.donor.server.answer = func(w http.ResponseWriter, r request) bool {
				if !strings.HasSuffix(r.path, "/configmaps/other") {
					return false
				}
				sendError(w, apierrors.NewForbidden(schema.GroupResource{}, "other", nil))
				return true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMovesRig(t, []schema.GroupVersionKind{configMapKind, podKind})
			m.change(nil, pages(pod("a")))
			unsettle(m)
			m.takeOver()
			m.begin(m.heir)
			m.run(t, "heir", "donor")
			m.donor.server.do(func(c *cluster) {
				if c.objects[idOf(podKind, "team-a", "run")] == nil {
					t.Error("it is not run")
				}
			})
		})
	}
}

// An earlier revision of the heir knows nothing of what has finished as a child of the donor.
func TestOldHeirMakesNothingThatMayHaveFinished(t *testing.T) {
	podID := idOf(podKind, "team-a", "run")
	m := newMovesRig(t, []schema.GroupVersionKind{podKind}, pod("a"))
	m.donor.server.do(func(c *cluster) {
		c.edit(podID, "kubelet", func(tree map[string]any) { object(tree, "status")["phase"] = "Succeeded" })
	})
	m.sync()
	m.run(t, "donor")
	m.heir.Digest = "0"
	m.change(nil, pages(pod("a")))
	m.takeOver()
	m.donor.server.do(func(c *cluster) {
		if err := c.delete(podID, "", ""); err != nil {
			t.Error(err)
		}
	})
	isThere := func() (there bool) {
		m.donor.server.do(func(c *cluster) { there = c.objects[podID] != nil })
		return there
	}
	m.heir.sync()
	m.restart()
	m.begin(m.heir)
	if m.run(t, "heir"); isThere() {
		t.Error("it is run again by the earlier revision")
	}
	m.heir.Digest = "1"
	m.begin(m.donor)
	m.begin(m.heir)
	if m.run(t, "heir", "donor"); isThere() {
		t.Error("it is run again")
	}
}

// restart makes both forget everything. None of them works.
func (m *movesRig) restart() {
	m.moves, m.queue = NewMoves(), nil
	m.moves.Set([]Party{m.donorAs, m.heirAs})
	for _, r := range []*rig{m.donor, m.heir} {
		r.Memory, r.Moves = NewMemory(), m.moves
	}
}

// A parent that is gone ends all waiting, and what was said of it goes, too, also where it was
// never handled.
func TestForgetWhatWasSaid(t *testing.T) {
	for _, said := range []bool{true, false} {
		m := newMovesRig(t, nil, page)
		parent := m.donor.parent("web")
		m.change(nil, nil)
		m.takeOver()
		m.begin(m.heir)
		m.donor.mustPass(t, "web")
		if said {
			m.moves.report("sites", parent.UID(), passReport{digest: "1"})
			m.donor.mustPass(t, "web")
		}
		m.queue = nil
		m.heir.Forget(kube.Key{Namespace: "team-a", Name: "web"}, parent.UID())
		if n := len(m.moves.parties["sites"].reports); n > 0 || len(m.queue) == 0 {
			t.Errorf("reported before %t: %d reports are left, and %v are called", said, n, m.queue)
		}
	}
}
