package compose

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

const websitesPath = "/apis/demo.kooperd.dev/v1/"

// websiteScope is what the definition of the tests has to do with.
var websiteScope = Scope{
	APIVersion: "demo.kooperd.dev/v1", Kind: "Website",
	Owns: []OwnedRecord{{APIVersion: "v1", Kind: "ConfigMap", Namespaces: []string{"team-a"}}},
}

// orphanRig is a search in a cluster with one website, which has one child, of a definition that is
// there and recorded.
type orphanRig struct {
	*server
	search OrphanSearch
	parent Parent
}

func newOrphanRig(t *testing.T) *orphanRig {
	t.Helper()
	r := &orphanRig{server: newServer(t), parent: website}
	r.search = OrphanSearch{
		Installation: installation, Records: map[string]Record{definition: {Scope: websiteScope}}, Client: r.client(t),
		Claims: []Claim{{IDs: []string{definition}, Parent: websiteKind, Owns: websiteScope.Owns}},
	}
	r.do(func(c *cluster) {
		c.edit(siteID, "kubectl", func(map[string]any) {})
		r.parent.UID = c.objects[siteID].uid
	})
	r.make(t, page)
	return r
}

// make makes children of the website.
func (r *orphanRig) make(t *testing.T, children ...handlers.Child) {
	t.Helper()
	desired := desire(t, r.parent, children...)
	r.do(func(c *cluster) {
		if err := c.execute(Plan(Input{Installation: installation, Definition: definition, Parent: r.parent, Desired: desired})); err != nil {
			t.Fatal(err)
		}
	})
}

func (r *orphanRig) removeParent() {
	r.do(func(c *cluster) {
		if err := c.delete(siteID, "", ""); err != nil {
			panic(err)
		}
	})
}

// childrenMade is when all objects of the cluster were made.
var childrenMade = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// recordWidgets is a record that was made anew at some time, when the definition handled Widgets.
func (r *orphanRig) recordWidgets(since time.Time) {
	now := websiteScope
	now.Kind = "Widget"
	r.search.Records[definition] = Record{Scope: now, Since: since}
}

func (r *orphanRig) edit(id ChildID, change func(tree map[string]any)) {
	r.do(func(c *cluster) { c.edit(id, "other", change) })
}

// copyPage is what somebody does who copies a child, marks and all.
func (r *orphanRig) copyPage(name string) {
	r.do(func(c *cluster) {
		metadata := object(c.objects[pageID].tree, "metadata")
		c.edit(idOf(configMapKind, "team-a", name), "kubectl", func(tree map[string]any) {
			object(tree, "metadata")["labels"], object(tree, "metadata")["annotations"] = metadata["labels"], metadata["annotations"]
		})
	})
}

// refuse refuses requests with a path that begins so.
func (r *orphanRig) refuse(paths ...string) {
	r.answer = func(w http.ResponseWriter, asked request) bool {
		if slices.ContainsFunc(paths, func(path string) bool { return asked.path == path }) {
			sendError(w, apierrors.NewForbidden(schema.GroupResource{Resource: "some"}, "", errors.New("no")))
			return true
		}
		return false
	}
}

// words are orphans as a test expects them.
func orphanWords(orphans []Orphan) []string {
	words := []string{}
	for _, o := range orphans {
		proven := "unproven"
		if o.Proven {
			proven = "proven"
		}
		words = append(words, fmt.Sprintf("%s of %s by %s, %s: %v: %s", o, o.Parent, o.Definition, proven, o.Reasons, o.Why))
	}
	return words
}

var siteID = idOf(websiteKind, "team-a", "web")

func withoutReferences(tree map[string]any) { delete(object(tree, "metadata"), "ownerReferences") }

func TestOrphans(t *testing.T) {
	const (
		ours   = "ConfigMap team-a/page of Website team-a/web by websites, proven: "
		gone   = ours + "[NoParent]: its parent is gone"
		copied = "ConfigMap team-a/copied of Website team-a/web by websites, unproven: "
	)
	for name, tc := range map[string]struct {
		change func(t *testing.T, r *orphanRig)
		want   []string
		unseen []string // the beginnings
	}{
		"a child": {},
		"a copy":  {change: func(_ *testing.T, r *orphanRig) { r.copyPage("copied") }},
		"a definition that is gone": {
			change: func(_ *testing.T, r *orphanRig) { r.search.Claims = nil; r.copyPage("copied") },
			want:   []string{copied + `[NoDefinition]: no definition has the id "websites"`, ours + `[NoDefinition]: no definition has the id "websites"`},
		},
		"a definition that has another id now": {
			change: func(_ *testing.T, r *orphanRig) { r.search.Claims[0].IDs = []string{"sites", definition} },
		},
		"a parent that is gone": {
			change: func(_ *testing.T, r *orphanRig) { r.removeParent() },
			want:   []string{gone},
		},
		"a parent that is gone, and another one has its name": {
			change: func(_ *testing.T, r *orphanRig) { r.removeParent(); r.edit(siteID, func(map[string]any) {}) },
			want:   []string{gone + ", and another object has its name"},
		},
		"a child without its reference": {change: func(_ *testing.T, r *orphanRig) { r.edit(pageID, withoutReferences) }},
		"a child without its reference, and the parent is gone": {
			change: func(_ *testing.T, r *orphanRig) { r.edit(pageID, withoutReferences); r.removeParent() },
			want:   []string{gone},
		},
		"the same without a record, which alone has all kinds of parents": {
			change: func(_ *testing.T, r *orphanRig) {
				r.edit(pageID, withoutReferences)
				r.removeParent()
				r.search.Records = nil
			},
		},
		"a parent of a kind that the definition has handled before": {
			change: func(_ *testing.T, r *orphanRig) {
				r.edit(pageID, withoutReferences)
				now := websiteScope
				now.Kind = "Widget"
				r.search.Records[definition] = Record{Scope: now, Left: []Scope{websiteScope}}
				r.search.Claims[0].Parent = widgetKind
			},
		},
		"a child without its reference that is older than the record": {
			change: func(_ *testing.T, r *orphanRig) {
				r.edit(pageID, withoutReferences)
				r.search.Claims[0].Parent = widgetKind
				r.recordWidgets(childrenMade.Add(time.Second))
			},
		},
		"a child without its reference that is as old as the record": {
			change: func(_ *testing.T, r *orphanRig) {
				r.edit(pageID, withoutReferences)
				r.removeParent()
				r.search.Records[definition] = Record{Scope: websiteScope, Since: childrenMade}
			},
			want: []string{gone},
		},
		"a child that is older than the record, and whose reference says what its parent was": {
			change: func(_ *testing.T, r *orphanRig) { r.removeParent(); r.recordWidgets(childrenMade.Add(time.Second)) },
			want:   []string{gone},
		},
		"a definition that goes on for another one, by the records": {
			change: func(_ *testing.T, r *orphanRig) {
				r.edit(pageID, withoutReferences)
				r.removeParent()
				r.search.Claims = nil
				now := websiteScope
				now.Formerly = []string{definition}
				r.search.Records = map[string]Record{"sites": {Scope: now}}
			},
			want: []string{ours + `[NoDefinition NoParent]: no definition has the id "websites"; its parent is gone`},
		},
		"a kind that is not owned any more": {
			change: func(_ *testing.T, r *orphanRig) {
				r.search.Claims[0].Owns = []OwnedRecord{{APIVersion: "v1", Kind: "Secret"}}
			},
			want: []string{ours + "[KindNotOwned]: definition websites does not own kind ConfigMap"},
		},
		"another version of the kind": {
			change: func(_ *testing.T, r *orphanRig) {
				r.search.Claims[0].Owns = []OwnedRecord{{APIVersion: "v2", Kind: "ConfigMap"}}
				r.removeParent()
			},
			want: []string{gone},
		},
		"a kind that is not served": {
			change: func(_ *testing.T, r *orphanRig) {
				r.search.Claims[0].Owns = append(slices.Clone(websiteScope.Owns), OwnedRecord{APIVersion: "example.com/v1", Kind: "Gone"})
				r.removeParent()
			},
			want: []string{gone}, unseen: []string{"Gone.example.com cannot be looked at: listing Gone: the API server does not serve"},
		},
		"children that may be listed in their namespace alone": {
			change: func(_ *testing.T, r *orphanRig) { r.refuse("/api/v1/configmaps"); r.removeParent() },
			want:   []string{gone}, unseen: []string{"ConfigMap cannot be looked at but in team-a: listing ConfigMap: "},
		},
		"parents that may be listed in their namespace alone": {
			change: func(_ *testing.T, r *orphanRig) { r.refuse(websitesPath + "websites"); r.removeParent() },
			want:   []string{gone}, unseen: []string{"Website.demo.kooperd.dev cannot be looked at but in team-a: "},
		},
		"parents that may not be listed": {
			change: func(_ *testing.T, r *orphanRig) {
				r.refuse(websitesPath+"websites", websitesPath+"namespaces/team-a/websites")
				r.removeParent()
			},
			unseen: []string{"Website.demo.kooperd.dev cannot be looked at: "},
		},
		"a mark of the installation that somebody else has set": {
			change: func(_ *testing.T, r *orphanRig) {
				r.edit(pageID, func(tree map[string]any) { object(object(tree, "metadata"), "labels")[InstallationLabel] = "another" })
				r.edit(pageID, func(tree map[string]any) {
					object(object(tree, "metadata"), "labels")[InstallationLabel] = installation
				})
				r.removeParent()
			},
			want: []string{strings.Replace(gone, "proven", "unproven", 1)},
		},
		"a child of another installation": {
			change: func(_ *testing.T, r *orphanRig) { r.search.Installation = "another"; r.search.Claims = nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newOrphanRig(t)
			if tc.change != nil {
				tc.change(t, r)
			}
			r.take()
			found, err := r.search.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{}, tc.want...), orphanWords(found.Found)); diff != "" {
				t.Errorf("orphans (-want +got):\n%s", diff)
			}
			if len(found.Unseen) != len(tc.unseen) {
				t.Errorf("unseen are %q, want %q", found.Unseen, tc.unseen)
			}
			for i, text := range tc.unseen {
				if !strings.HasPrefix(found.Unseen[i], text) {
					t.Errorf("unseen is %q, want %q", found.Unseen[i], text)
				}
			}
			for _, asked := range r.take() {
				if asked.method != http.MethodGet {
					t.Errorf("a search sends %s", asked)
				}
			}
		})
	}
}

func TestOrphansNeedAnAnswer(t *testing.T) {
	r := newOrphanRig(t)
	r.answer = func(w http.ResponseWriter, _ request) bool {
		sendError(w, apierrors.NewInternalError(errors.New("broken")))
		return true
	}
	if found, err := r.search.Run(t.Context()); err == nil {
		t.Errorf("found is %v although the API server does not answer", found)
	}
}

func TestDeleteOrphans(t *testing.T) {
	space := handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil)}
	inSpace := handlers.Child{Name: "in", Object: untyped(configMapKind, "space", "in", nil)}
	claimed := func(context.Context, string) (string, error) { return "somebody leads", nil }
	for name, tc := range map[string]struct {
		before func(t *testing.T, r *orphanRig, d *OrphanDeletion) // the search
		since  func(r *orphanRig)
		want   []string
	}{
		"of a definition": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) { r.search.Claims = nil },
			want:   []string{"ConfigMap team-a/page Deleted "},
		},
		"of a definition that a leader claims": {
			before: func(_ *testing.T, r *orphanRig, d *OrphanDeletion) { r.search.Claims, d.Claimed = nil, claimed },
			want:   []string{"ConfigMap team-a/page Refused somebody leads"},
		},
		"of a parent, which a leader does not matter for": {
			before: func(_ *testing.T, r *orphanRig, d *OrphanDeletion) { r.removeParent(); d.Claimed = claimed },
			want:   []string{"ConfigMap team-a/page Deleted "},
		},
		"of a parent, and another object has its name": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) {
				r.removeParent()
				r.edit(siteID, func(map[string]any) {})
			},
			want: []string{"ConfigMap team-a/page Deleted "},
		},
		"of a parent, and another object has its name, which a leader may have": {
			before: func(_ *testing.T, r *orphanRig, d *OrphanDeletion) {
				r.removeParent()
				r.edit(siteID, func(map[string]any) {})
				d.Claimed = claimed
			},
			want: []string{"ConfigMap team-a/page Refused Website team-a/web may adopt it, as after a restore from a backup; " +
				"if it does not, delete this object with kubectl. somebody leads"},
		},
		"where nothing is known of a leader": {
			before: func(_ *testing.T, r *orphanRig, d *OrphanDeletion) {
				r.search.Claims = nil
				d.Claimed = func(context.Context, string) (string, error) { return "", errors.New("no lease") }
			},
			want: []string{"ConfigMap team-a/page Failed no lease"},
		},
		"a copy": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) { r.copyPage("copied"); r.removeParent() },
			want: []string{
				"ConfigMap team-a/copied Kept it is not provably kooperd's: its marks may have been copied", "ConfigMap team-a/page Deleted ",
			},
		},
		"one that has changed": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) { r.removeParent() },
			since:  func(r *orphanRig) { r.edit(pageID, withData("more", "1")) },
			want:   []string{"ConfigMap team-a/page Deleted "},
		},
		"one that another parent has adopted": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) { r.removeParent() },
			since: func(r *orphanRig) {
				r.do(func(c *cluster) {
					c.edit(pageID, FieldManager, func(tree map[string]any) { object(object(tree, "metadata"), "labels")[ParentUIDLabel] = "another" })
				})
			},
			want: []string{"ConfigMap team-a/page Kept its marks have changed since it was found"},
		},
		"one whose mark was taken over": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) { r.removeParent() },
			since:  func(r *orphanRig) { r.do(func(c *cluster) { c.wipe(pageID) }) },
			want:   []string{"ConfigMap team-a/page Kept it is not provably kooperd's any more"},
		},
		"one that was made again": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) { r.removeParent() },
			since: func(r *orphanRig) {
				r.do(func(c *cluster) { delete(c.objects, pageID) })
				r.edit(pageID, withData("more", "1"))
			},
			want: []string{"ConfigMap team-a/page Kept another object has its name by now"},
		},
		"one that is gone": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) { r.removeParent() },
			since:  func(r *orphanRig) { r.do(func(c *cluster) { delete(c.objects, pageID) }) },
			want:   []string{"ConfigMap team-a/page Deleted it is gone already"},
		},
		"one with a finalizer": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) {
				r.removeParent()
				r.edit(pageID, func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
			},
			want: []string{"ConfigMap team-a/page Deleted it is being deleted and waits for finalizer example.com/guard"},
		},
		"one that is forbidden": {
			before: func(_ *testing.T, r *orphanRig, _ *OrphanDeletion) { r.removeParent() },
			since:  func(r *orphanRig) { r.refuse(configMapPath("page")) },
			want:   []string{`ConfigMap team-a/page Failed reading it: some is forbidden: no`},
		},
		"a namespace": {
			before: func(t *testing.T, r *orphanRig, _ *OrphanDeletion) { r.make(t, space); r.search.Claims = nil },
			want: []string{
				"ConfigMap team-a/page Deleted ",
				"Namespace space Kept the deletion of a Namespace takes more with it; --include-data says that it may",
			},
		},
		"a namespace with a word": {
			before: func(t *testing.T, r *orphanRig, d *OrphanDeletion) {
				r.make(t, space, inSpace)
				r.search.Claims, d.IncludeData = nil, true
			},
			want: []string{"ConfigMap space/in Deleted ", "ConfigMap team-a/page Deleted ", "Namespace space Deleted "},
		},
		"a namespace in which a child stays": {
			before: func(t *testing.T, r *orphanRig, d *OrphanDeletion) {
				r.make(t, space, inSpace)
				r.search.Claims[0].Owns, d.IncludeData = websiteScope.Owns, true
			},
			want: []string{"Namespace space Kept ConfigMap space/in is in it, which stays"},
		},
		"a namespace of which not all is seen": {
			before: func(t *testing.T, r *orphanRig, d *OrphanDeletion) {
				r.make(t, space)
				owns := append(slices.Clone(websiteScope.Owns), OwnedRecord{APIVersion: "v1", Kind: "Secret"})
				r.search.Claims[0].Owns, d.IncludeData = owns, true
				r.refuse("/api/v1/secrets")
			},
			want: []string{"Namespace space Kept not all kinds could be looked at, so that there may be a child in it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newOrphanRig(t)
			scope := websiteScope
			scope.Owns = append(slices.Clone(scope.Owns), OwnedRecord{APIVersion: "v1", Kind: "Namespace"})
			r.search.Records[definition] = Record{Scope: scope}
			d := &OrphanDeletion{Client: r.search.Client, Claimed: func(context.Context, string) (string, error) { return "", nil }}
			tc.before(t, r, d)
			found, err := r.search.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if tc.since != nil {
				tc.since(r)
			}
			d.Orphans = found
			got := []string{}
			for _, o := range d.InOrder() {
				outcome, text := d.Delete(t.Context(), o)
				got = append(got, fmt.Sprintf("%s %s %s", o, outcome, text))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIsClaimed(t *testing.T) {
	removed := Record{Left: []Scope{websiteScope}}
	heir := websiteScope
	heir.Formerly = []string{"old"}
	records := map[string]Record{"there": {Scope: websiteScope}, "removed": removed, "heir": {Scope: heir}}
	for id, want := range map[string]bool{"there": true, "heir": true, "old": true, "removed": false, "unknown": false} {
		if got := IsClaimed(records, id); got != want {
			t.Errorf("definition %s is claimed: %t, want %t", id, got, want)
		}
	}
}
