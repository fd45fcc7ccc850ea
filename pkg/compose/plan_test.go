package compose

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
)

// words are ops as a test expects them: "apply Drift ConfigMap team-a/page: data.html".
func words(ops []Op) []string {
	all := []string{}
	for _, op := range ops {
		text := strings.Join([]string{string(op.Action), string(op.Reason), op.ID.String()}, " ")
		if op.Message != "" {
			text += ": " + op.Message
		}
		all = append(all, text)
	}
	return all
}

// planCase is a state of the cluster in which children of the website are planned.
type planCase struct {
	// made are children that were applied before, without a mistake.
	made []handlers.Child
	// madeFor is the parent they were made for; the website if empty.
	madeFor Parent
	// others is what others have done since.
	others func(c *cluster)
	// desired are the children now.
	desired []handlers.Child
	// metadataOnly are kinds of which the metadata alone is cached.
	metadataOnly []schema.GroupKind
	// live says that what is observed has been read to find out whether it may be adopted.
	live bool
	// input changes the input.
	input func(in *Input)
	want  []string
}

func (tc planCase) run(t *testing.T) {
	c := newCluster()
	parent := website
	if tc.madeFor.UID != "" {
		parent = tc.madeFor
	}
	made := desire(t, parent, tc.made...)
	if err := c.execute(Plan(Input{Installation: installation, Definition: definition, Parent: parent, Desired: made})); err != nil {
		t.Fatal(err)
	}
	if tc.others != nil {
		tc.others(c)
	}
	desired := desire(t, website, tc.desired...)
	in := Input{
		Installation: installation, Definition: definition, Parent: website, Desired: desired,
		Observed: c.observed(t, website, desired, tc.metadataOnly...),
	}
	for i, o := range in.Observed {
		if !tc.live {
			break
		}
		seen, err := c.live(o.ID, !o.Whole)
		if err != nil {
			t.Fatal(err)
		}
		in.Observed[i] = seen
	}
	if tc.input != nil {
		tc.input(&in)
	}
	ops := Plan(in)
	if diff := cmp.Diff(tc.want, words(ops)); diff != "" {
		t.Errorf("Plan (-want +got):\n%s", diff)
	}
	for _, op := range ops {
		if ready := op.Action == Skip && op.NotReady == ""; op.Desired != nil && op.Ready != ready {
			t.Errorf("%s: Ready is %v, and NotReady %q", op.ID, op.Ready, op.NotReady)
		}
		if op.Desired != nil && !op.Ready && op.NotReady == "" {
			t.Errorf("%s: it is not said why it is not ready", op.ID)
		}
	}
}

func runPlans(t *testing.T, tests map[string]planCase) {
	t.Helper()
	for name, tc := range tests {
		t.Run(name, tc.run)
	}
}

var errDamaged = errors.New("it is damaged")

var (
	page   = configMap("page", map[string]any{"html": "hello"})
	pageID = idOf(configMapKind, "team-a", "page")
)

func pages(children ...handlers.Child) []handlers.Child { return children }

// labelled sets a label, or removes it.
func labelled(name, value string) func(map[string]any) {
	return func(tree map[string]any) { setText(object(object(tree, "metadata"), "labels"), name, value) }
}

func annotated(name, value string) func(map[string]any) {
	return func(tree map[string]any) { setText(annotations(tree), name, value) }
}

func setText(texts map[string]any, name, value string) {
	if texts[name] = value; value == "" {
		delete(texts, name)
	}
}

func withData(name, value string) func(map[string]any) {
	return func(tree map[string]any) { setText(object(tree, "data"), name, value) }
}

func TestPlanOfOneChild(t *testing.T) {
	runPlans(t, map[string]planCase{
		"absent": {
			desired: pages(page),
			want:    []string{"create Absent ConfigMap team-a/page"},
		},
		"current": {
			made: pages(page), desired: pages(page),
			want: []string{"skip Current ConfigMap team-a/page"},
		},
		"changed": {
			made: pages(page), desired: pages(configMap("page", map[string]any{"html": "bye"})),
			want: []string{"apply Changed ConfigMap team-a/page"},
		},
		"moved to another name within the parent": {
			made: pages(page), desired: pages(handlers.Child{Name: "index", Object: page.Object}),
			want: []string{"apply Changed ConfigMap team-a/page"},
		},
		"not desired": {
			made: pages(page),
			want: []string{"delete NotDesired ConfigMap team-a/page"},
		},
		"being deleted": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "other", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
				if err := c.delete(pageID, "", ""); err != nil {
					panic(err)
				}
			},
			want: []string{"wait Deleting ConfigMap team-a/page: it is being deleted and waits for finalizer example.com/guard"},
		},
		"being deleted and not desired": {
			made: pages(page),
			others: func(c *cluster) {
				c.objects[pageID].deleting = true
			},
			want: []string{"wait Deleting ConfigMap team-a/page: it is being deleted"},
		},
	})
}

func TestPlanOfDrift(t *testing.T) {
	bye := func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "bye")) }
	with := func(drift handlers.Drift) []handlers.Child {
		child := page
		child.Policy.Drift = drift
		return pages(child)
	}
	widget := handlers.Child{Name: "part", Object: untyped(widgetKind, "", "part", map[string]any{
		"spec": map[string]any{"replicas": int64(1), "selector": map[string]any{"app": "web"}},
	})}
	runPlans(t, map[string]planCase{
		"a value, fixed": {
			made: pages(page), desired: pages(page), others: bye,
			want: []string{"apply Drift ConfigMap team-a/page: .data.html"},
		},
		"a value, reported": {
			made: pages(page), desired: with(handlers.DriftReport), others: bye,
			want: []string{"skip Drift ConfigMap team-a/page: another party has changed .data.html"},
		},
		"a value, ignored": {
			made: pages(page), desired: with(handlers.DriftIgnore), others: bye,
			want: []string{"skip Current ConfigMap team-a/page"},
		},
		"a value that is set back": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) { bye(c); c.edit(pageID, "kubectl", withData("html", "hello")) },
			want:   []string{"skip Current ConfigMap team-a/page"},
		},
		"a value that is gone": {
			made: pages(page), desired: pages(page), others: func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "")) },
			want: []string{"apply Drift ConfigMap team-a/page: .data.html"},
		},
		"a value that another applies too": {
			made: pages(page), desired: pages(page), others: func(c *cluster) {
				tree := map[string]any{"metadata": map[string]any{"name": "page", "namespace": "team-a"}, "data": map[string]any{"html": "hello"}}
				if _, err := c.apply(configMapKind, pageID, "other", tree, true); err != nil {
					panic(err)
				}
			},
			want: []string{"skip Current ConfigMap team-a/page"},
		},
		"an atomic map that was extended": {
			made: pages(widget), desired: pages(widget), others: func(c *cluster) {
				c.edit(idOf(widgetKind, "team-a", "part"), "kubectl", func(tree map[string]any) {
					object(object(tree, "spec"), "selector")["version"] = "v2"
				})
			},
			want: []string{"apply Drift Widget team-a/part: .spec.selector.app"},
		},
		"more than is desired": {
			made: pages(page), desired: pages(page), others: func(c *cluster) { c.edit(pageID, "kubectl", withData("css", "red")) },
			want: []string{"skip Current ConfigMap team-a/page"},
		},
		"a value, while the metadata alone is known": {
			made: pages(page), desired: pages(page), others: bye, metadataOnly: []schema.GroupKind{configMapKind.GroupKind()},
			want: []string{"apply Drift ConfigMap team-a/page: .data.html"},
		},
		"a mark, while the metadata alone is known": {
			made: pages(page), desired: pages(page), metadataOnly: []schema.GroupKind{configMapKind.GroupKind()},
			others: func(c *cluster) { c.edit(pageID, "kubectl", annotated(ChildAnnotation, "")) },
			want:   []string{"apply Drift ConfigMap team-a/page: .metadata.annotations.kooperd.dev/child"},
		},
		"nothing, while the metadata alone is known": {
			made: pages(page), desired: pages(page), metadataOnly: []schema.GroupKind{configMapKind.GroupKind()},
			want: []string{"skip Current ConfigMap team-a/page"},
		},
		"the hash": {
			made: pages(page), desired: pages(page), others: func(c *cluster) { c.edit(pageID, "kubectl", annotated(AppliedAnnotation, "v1-0")) },
			want: []string{"apply Changed ConfigMap team-a/page"},
		},
		"the owner reference": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", func(tree map[string]any) { delete(object(tree, "metadata"), "ownerReferences") })
			},
			want: []string{"apply Drift ConfigMap team-a/page: metadata.ownerReferences"},
		},
		"a field of the owner reference": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", func(tree map[string]any) {
					object(tree, "metadata")["ownerReferences"] = []any{website.reference(true)}
				})
			},
			want: []string{"apply Drift ConfigMap team-a/page: metadata.ownerReferences"},
		},
		"an owner more": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", func(tree map[string]any) {
					other := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "uid-of-x"}
					object(tree, "metadata")["ownerReferences"] = []any{other, website.reference(false)}
				})
			},
			want: []string{"skip Current ConfigMap team-a/page"},
		},
		"what was applied in this very state, as is remembered": {
			made: pages(page), desired: pages(page), others: bye,
			input: func(in *Input) { in.Observed[0].applied = in.Desired[0].hash },
			want:  []string{"skip Current ConfigMap team-a/page"},
		},
		"what was applied of something else": {
			made: pages(page), desired: pages(page), others: bye,
			input: func(in *Input) { in.Observed[0].applied = "v1-of-something-else" },
			want:  []string{"apply Drift ConfigMap team-a/page: .data.html"},
		},
	})
}

func TestPlanProvesOwnership(t *testing.T) {
	other := Parent{Kind: websiteKind, Namespace: "team-a", Name: "shop", UID: "uid-of-shop"}
	foreign := func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "mine")) }
	// copied has all labels and annotations of a child, and was made by another.
	copied := func(c *cluster) {
		made := desire(t, website, page)[0].tree
		c.edit(pageID, "kubectl", func(tree map[string]any) {
			for _, name := range []string{"labels", "annotations"} {
				object(tree, "metadata")[name] = object(object(made, "metadata"), name)
			}
		})
	}
	withReference := func(c *cluster) {
		copied(c)
		c.edit(pageID, "kubectl", func(tree map[string]any) {
			object(tree, "metadata")["ownerReferences"] = []any{website.reference(false)}
		})
	}
	wiped := func(c *cluster) { c.wipe(pageID) }
	const notMade = ": ConfigMap team-a/page exists and was not made by kooperd"
	const notOurs = ": ConfigMap team-a/page carries the marks of a child and was not made by kooperd"
	runPlans(t, map[string]planCase{
		"a stranger": {
			others: foreign, desired: pages(page), want: []string{"refuse Foreign ConfigMap team-a/page" + notMade},
		},
		"copied marks, desired": {
			others: copied, desired: pages(page), want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"copied marks, not desired": {
			others: copied, want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"copied marks and a reference of the copier's, not desired": {
			others: withReference, want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"copied marks of another parent": {
			others: func(c *cluster) {
				copied(c)
				c.edit(pageID, "kubectl", labelled(ParentUIDLabel, string(other.UID)))
			},
			desired: pages(page), want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"another parent's": {
			made: pages(page), madeFor: other, desired: pages(page),
			want: []string{"refuse OtherParent ConfigMap team-a/page: ConfigMap team-a/page is child page of team-a/shop, made by definition websites"},
		},
		"another definition's, of the same parent": {
			made: pages(page), desired: pages(page), input: func(in *Input) { in.Definition = "shops" },
			want: []string{"refuse OtherParent ConfigMap team-a/page: ConfigMap team-a/page is child page of team-a/web, made by definition websites"},
		},
		"another definition's, not desired": {
			made: pages(page), input: func(in *Input) { in.Definition = "shops" },
			want: []string{},
		},
		"another installation's": {
			made: pages(page), desired: pages(page), input: func(in *Input) { in.Installation = "iother" },
			want: []string{"refuse Foreign ConfigMap team-a/page: ConfigMap team-a/page belongs to another installation of kooperd (label kooperd.dev/installation)"},
		},
		"another installation's, not desired": {
			made: pages(page), input: func(in *Input) { in.Installation = "iother" },
			want: []string{},
		},
		"by the owner reference alone": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				for _, mark := range []string{InstallationLabel, DefinitionLabel, ParentUIDLabel} {
					c.edit(pageID, "kubectl", labelled(mark, ""))
				}
			},
			want: []string{"apply Drift ConfigMap team-a/page: .metadata.labels.kooperd.dev/definition and 2 more"},
		},
		"by the mark alone": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", func(tree map[string]any) {
					delete(object(tree, "metadata"), "ownerReferences")
					delete(object(tree, "metadata"), "annotations")
				})
			},
			want: []string{"apply Changed ConfigMap team-a/page"},
		},
		"a mark that another has set back, not desired": {
			made: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", func(tree map[string]any) {
					delete(object(tree, "metadata"), "ownerReferences")
					delete(object(object(tree, "metadata"), "labels"), ParentUIDLabel)
				})
				c.edit(pageID, "kubectl", labelled(ParentUIDLabel, string(website.UID)))
			},
			want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"no managedFields, not desired": {
			made: pages(page), others: wiped, want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"no managedFields, changed": {
			made: pages(page), others: wiped, desired: pages(configMap("page", map[string]any{"html": "bye"})),
			want: []string{"apply Changed ConfigMap team-a/page"},
		},
		"no managedFields": {
			made: pages(page), others: wiped, desired: pages(page),
			want: []string{"apply Drift ConfigMap team-a/page: metadata.managedFields"},
		},
		"no managedFields, while the metadata alone is known": {
			made: pages(page), others: wiped, desired: pages(page), metadataOnly: []schema.GroupKind{configMapKind.GroupKind()},
			want: []string{"apply Drift ConfigMap team-a/page: .data.html and 6 more"},
		},
		"the parent's mark edited": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) { c.edit(pageID, "kubectl", labelled(ParentUIDLabel, string(other.UID))) },
			want:   []string{"apply Drift ConfigMap team-a/page: .metadata.labels.kooperd.dev/parent-uid"},
		},
		"the definition's mark edited": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) { c.edit(pageID, "kubectl", labelled(DefinitionLabel, "shops")) },
			want:   []string{"apply Drift ConfigMap team-a/page: .metadata.labels.kooperd.dev/definition"},
		},
		"the definition's mark edited, which then is another's that does not desire it": {
			made:   pages(page),
			others: func(c *cluster) { c.edit(pageID, "kubectl", labelled(DefinitionLabel, "shops")) },
			input:  func(in *Input) { in.Definition = "shops" },
			want:   []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"the installation's mark edited": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) { c.edit(pageID, "kubectl", labelled(InstallationLabel, "iother")) },
			want:   []string{"apply Drift ConfigMap team-a/page: .metadata.labels.kooperd.dev/installation"},
		},
		"the parent's mark edited and the reference removed": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", func(tree map[string]any) {
					delete(object(tree, "metadata"), "ownerReferences")
					labelled(ParentUIDLabel, string(other.UID))(tree)
				})
			},
			want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"no managedFields and no controller reference": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", func(tree map[string]any) { delete(object(tree, "metadata"), "ownerReferences") })
				c.wipe(pageID)
			},
			want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
		"no managedFields and a mark removed": {
			made: pages(page), desired: pages(page),
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", labelled(InstallationLabel, ""))
				c.wipe(pageID)
			},
			want: []string{"refuse Foreign ConfigMap team-a/page" + notOurs},
		},
	})
}

func TestPlanOrders(t *testing.T) {
	one, two, three := configMap("one", nil), configMap("two", nil), configMap("three", nil)
	after := func(child handlers.Child, names ...string) handlers.Child {
		child.After = names
		return child
	}
	notReady := func(child handlers.Child) handlers.Child {
		child.Policy.Ready = func(handlers.Object) (bool, string) { return false, "it is too early" }
		return child
	}
	runPlans(t, map[string]planCase{
		"after one that is made first": {
			desired: pages(after(two, "one"), one),
			want: []string{
				"wait After ConfigMap team-a/two: it waits for child one", "create Absent ConfigMap team-a/one",
			},
		},
		"after one that is ready": {
			made: pages(one), desired: pages(after(two, "one"), one),
			want: []string{"create Absent ConfigMap team-a/two", "skip Current ConfigMap team-a/one"},
		},
		"after one that is not ready": {
			made: pages(one), desired: pages(notReady(one), after(two, "one"), three),
			want: []string{
				"skip Current ConfigMap team-a/one", "wait After ConfigMap team-a/two: it waits for child one",
				"create Absent ConfigMap team-a/three",
			},
		},
		"after one of several": {
			made: pages(one), desired: pages(one, two, after(three, "one", "two")),
			want: []string{
				"skip Current ConfigMap team-a/one", "create Absent ConfigMap team-a/two", "wait After ConfigMap team-a/three: it waits for child two",
			},
		},
		"a chain": {
			desired: pages(one, after(two, "one"), after(three, "two")),
			want: []string{
				"create Absent ConfigMap team-a/one", "wait After ConfigMap team-a/two: it waits for child one",
				"wait After ConfigMap team-a/three: it waits for child two",
			},
		},
		"a chain, changed at its begin, is left alone": {
			made: pages(one, two), desired: pages(configMap("one", map[string]any{"a": "b"}), after(configMap("two", map[string]any{"a": "b"}), "one")),
			want: []string{"apply Changed ConfigMap team-a/one", "wait After ConfigMap team-a/two: it waits for child one"},
		},
		"after one that there is not": {
			desired: pages(after(two, "zero")),
			want:    []string{"refuse Order ConfigMap team-a/two: it comes after child zero, which there is not"},
		},
		"after itself": {
			desired: pages(after(one, "one")),
			want:    []string{"refuse Order ConfigMap team-a/one: it comes after child one, which comes after it"},
		},
		"a cycle": {
			desired: pages(after(one, "two"), after(two, "one")),
			want: []string{
				"wait After ConfigMap team-a/one: it waits for child two",
				"refuse Order ConfigMap team-a/two: it comes after child one, which comes after it",
			},
		},
		"after one that is refused": {
			others:  func(c *cluster) { c.edit(idOf(configMapKind, "team-a", "one"), "kubectl", withData("a", "b")) },
			desired: pages(one, after(two, "one")),
			want: []string{
				"refuse Foreign ConfigMap team-a/one: ConfigMap team-a/one exists and was not made by kooperd",
				"wait After ConfigMap team-a/two: it waits for child one",
			},
		},
	})
}

func TestPlanRefusesDuplicates(t *testing.T) {
	runPlans(t, map[string]planCase{
		"the same object": {
			desired: pages(page, handlers.Child{Name: "index", Object: page.Object}),
			want: []string{
				"create Absent ConfigMap team-a/page", "refuse Duplicate ConfigMap team-a/page: child index is the same object as child page",
			},
		},
		"the same object, which exists": {
			made: pages(page), desired: pages(page, handlers.Child{Name: "index", Object: page.Object}),
			want: []string{
				"skip Current ConfigMap team-a/page", "refuse Duplicate ConfigMap team-a/page: child index is the same object as child page",
			},
		},
		"the same name": {
			desired: pages(page, handlers.Child{Name: "page", Object: untyped(secretKind, "", "page", nil)}),
			want: []string{
				"create Absent ConfigMap team-a/page",
				"refuse Duplicate Secret team-a/page: child page has the same name as that for ConfigMap team-a/page",
			},
		},
		"after one of two with the same name": {
			desired: pages(
				page, handlers.Child{Name: "page", Object: untyped(secretKind, "", "page", nil)},
				handlers.Child{Name: "last", After: []string{"page"}, Object: untyped(secretKind, "", "last", nil)},
			),
			want: []string{
				"create Absent ConfigMap team-a/page",
				"refuse Duplicate Secret team-a/page: child page has the same name as that for ConfigMap team-a/page",
				"wait After Secret team-a/last: it waits for child page",
			},
		},
	})
}

func TestPlanPrunes(t *testing.T) {
	claim := handlers.Child{Name: "disk", Object: untyped(claimKind, "", "disk", nil)}
	prunable := claim
	prunable.Policy.Prune = true
	space := handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil), Policy: handlers.ChildPolicy{Prune: true}}
	inside := handlers.Child{Name: "inside", Object: untyped(configMapKind, "space", "inside", nil)}
	runPlans(t, map[string]planCase{
		"a protected kind": {
			made: pages(claim),
			want: []string{"retain Protected PersistentVolumeClaim team-a/disk: objects of its kind are deleted only where that child says so"},
		},
		"a protected kind that may be": {
			made: pages(prunable), want: []string{"delete NotDesired PersistentVolumeClaim team-a/disk"},
		},
		"a protected kind whose word was taken back": {
			made: pages(prunable), desired: pages(claim),
			want: []string{"apply Changed PersistentVolumeClaim team-a/disk"},
		},
		"a namespace": {
			made: pages(space), want: []string{"delete NotDesired Namespace space"},
		},
		"a namespace with a child that stays": {
			made: pages(space, inside), desired: pages(inside),
			want: []string{"skip Current ConfigMap space/inside", "retain InUse Namespace space: children that are kept are in it"},
		},
		"a namespace with a child of a protected kind": {
			made: pages(space, handlers.Child{Name: "disk", Object: untyped(claimKind, "space", "disk", nil)}),
			want: []string{
				"retain InUse Namespace space: children that are kept are in it",
				"retain Protected PersistentVolumeClaim space/disk: objects of its kind are deleted only where that child says so",
			},
		},
		"a namespace with a child whose marks are not provably ours any more": {
			made: pages(space, inside), others: func(c *cluster) { c.wipe(idOf(configMapKind, "space", "inside")) },
			want: []string{
				"refuse Foreign ConfigMap space/inside: ConfigMap space/inside carries the marks of a child and was not made by kooperd",
				"retain InUse Namespace space: children that are kept are in it",
			},
		},
		"a namespace with a child that has moved out of it and is not ready": {
			made:    pages(space, inside),
			desired: pages(handlers.Child{Name: "inside", Object: untyped(configMapKind, "", "inside", nil)}),
			want: []string{
				"create Absent ConfigMap team-a/inside",
				"wait Replaced ConfigMap space/inside: ConfigMap team-a/inside, which replaces it, is not ready",
				"retain InUse Namespace space: children that are kept are in it",
			},
		},
		"a namespace with a child that goes too": {
			made: pages(space, inside),
			want: []string{"delete NotDesired ConfigMap space/inside", "delete NotDesired Namespace space"},
		},
		"while deletions are held": {
			made: pages(page), input: func(in *Input) { in.Hold = "child x is pending" },
			want: []string{"wait Held ConfigMap team-a/page: child x is pending"},
		},
		"while the brake holds": {
			made: pages(page), input: func(in *Input) { in.Brake = "too many would go" },
			want: []string{"wait PruneHeld ConfigMap team-a/page: it is not desired any more: too many would go"},
		},
		"while the brake holds, and something else does": {
			made: pages(page), input: func(in *Input) { in.Hold, in.Brake = "child x is pending", "too many would go" },
			want: []string{"wait Held ConfigMap team-a/page: child x is pending"},
		},
		"a renamed child is kept until the new one is there": {
			made: pages(page), desired: pages(handlers.Child{Name: "page", Object: untyped(configMapKind, "", "page-2", nil)}),
			want: []string{
				"create Absent ConfigMap team-a/page-2",
				"wait Replaced ConfigMap team-a/page: ConfigMap team-a/page-2, which replaces it, is not ready",
			},
		},
		"a renamed child is kept until the new one is ready": {
			made: pages(page, configMap("page-2", nil)),
			desired: pages(handlers.Child{
				Name: "page", Object: untyped(configMapKind, "", "page-2", nil),
				Policy: handlers.ChildPolicy{Ready: func(handlers.Object) (bool, string) { return false, "it is too early" }},
			}),
			want: []string{
				"apply Changed ConfigMap team-a/page-2",
				"wait Replaced ConfigMap team-a/page: ConfigMap team-a/page-2, which replaces it, is not ready",
			},
		},
		"a renamed child goes when the new one is ready": {
			made: pages(page), desired: pages(handlers.Child{Name: "page", Object: untyped(configMapKind, "", "page-2", nil)}),
			others: func(c *cluster) {
				d := desire(t, website, handlers.Child{Name: "page", Object: untyped(configMapKind, "", "page-2", nil)})
				if err := c.execute(Plan(Input{Installation: installation, Definition: definition, Parent: website, Desired: d})); err != nil {
					panic(err)
				}
			},
			want: []string{"skip Current ConfigMap team-a/page-2", "delete NotDesired ConfigMap team-a/page"},
		},
	})
}

func TestPlanOfAChildThatCannotBeRead(t *testing.T) {
	d := desire(t, website, page)
	o := &Observed{
		ID: pageID, UID: "u", Owned: fieldpath.NewSet(fieldpath.MakePathOrDie("metadata", "labels", ParentUIDLabel)), Whole: true,
		OwnedReferences: []types.UID{website.UID},
		Tree:            func() (map[string]any, error) { return nil, errDamaged },
		marks: marks{
			installation: installation, definition: definition, parentUID: website.UID, applied: d[0].hash,
			hasInstallation: true, hasParent: true,
		},
	}
	ops := Plan(Input{Installation: installation, Definition: definition, Parent: website, Desired: d, Observed: []*Observed{o}})
	if got := words(ops); len(got) != 1 || !strings.HasPrefix(got[0], "refuse Foreign ConfigMap team-a/page: ") {
		t.Errorf("ops %v, want one that refuses", got)
	}
}
