package compose

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

// adoptionStories are seeds of FuzzPlan.
var adoptionStories = []string{
	others + "\x00\x08\x01\x00" + wishes + "\x01\x00\x05\x00\x00\x00" + carried + carried,                               // a stranger is adopted
	others + "\x00\x05\x00\x01" + others + "\x00\x08\x01\x00" + wishes + "\x01\x00\x11\x00\x00\x00" + carried + carried, // it is taken over
	"\x08\x01\x00\x01\x00\x00\x00" + wishes + "\x01\x00\x09\x00\x00\x00" + carried + carried,                            // a restore
	oneChild + others + "\x01\x04\x00" + wishes + "\x01\x01\x05\x00\x00\x00" + carried + carried,                        // a copy is adopted
}

// adopting is the page with an adopt policy.
func adopting(policy handlers.ChildPolicy) []handlers.Child {
	child := page
	child.Policy = policy
	return pages(child)
}

var (
	ifUnowned = adopting(handlers.ChildPolicy{Adopt: handlers.AdoptIfUnowned})
	restored  = adopting(handlers.ChildPolicy{Adopt: handlers.AdoptRestored})
	fromHelm  = adopting(handlers.ChildPolicy{AdoptFrom: []string{"helm", "kubectl"}})
	fromAny   = adopting(handlers.ChildPolicy{AdoptFrom: []string{"operator/*"}})
)

// controlledBy makes an object the child of some controller.
func controlledBy(kind, name, uid string) func(map[string]any) {
	return func(tree map[string]any) {
		object(tree, "metadata")["ownerReferences"] = []any{map[string]any{
			"apiVersion": "demo.kooperd.dev/v1", "kind": kind, "name": name, "uid": uid, "controller": true,
		}}
	}
}

func TestPlanOfAdoption(t *testing.T) {
	stranger := func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "theirs")) }
	by := func(manager string, changes ...func(map[string]any)) func(*cluster) {
		return func(c *cluster) {
			for _, change := range changes {
				c.edit(pageID, manager, change)
			}
		}
	}
	const exists = "ConfigMap team-a/page exists and was not made by kooperd, and is not adopted: "
	runPlans(t, map[string]planCase{
		"a stranger that the cache has": {
			others: stranger, desired: ifUnowned, want: []string{"read Foreign ConfigMap team-a/page"},
		},
		"nobody's": {
			others: stranger, desired: ifUnowned, live: true,
			want: []string{"adopt Adopted ConfigMap team-a/page: nothing else controls it"},
		},
		"another's": {
			others: by("kubectl", controlledBy("Shop", "s", "u")), desired: ifUnowned, live: true,
			want: []string{"refuse Foreign ConfigMap team-a/page: " + exists + "Shop s controls it"},
		},
		"another's, which the cache shows": {
			others: by("kubectl", controlledBy("Shop", "s", "u")), desired: fromHelm,
			want: []string{"refuse Foreign ConfigMap team-a/page: " + exists + "Shop s controls it"},
		},
		"the parent's, made by another operator": {
			others: by("operator", controlledBy("Website", "web", string(website.UID))), desired: ifUnowned, live: true,
			want: []string{"adopt Adopted ConfigMap team-a/page: nothing else controls it"},
		},
		"that of another parent": {
			made: pages(page), madeFor: shop, desired: ifUnowned, live: true,
			want: []string{"refuse OtherParent ConfigMap team-a/page: ConfigMap team-a/page is child page of team-a/shop, " +
				"made by definition websites, and is not adopted: Website shop controls it"},
		},
		"with copied marks of another parent": {
			others: by("kubectl", labelled(ParentUIDLabel, "u"), annotated(ParentAnnotation, "team-a/other")), desired: ifUnowned, live: true,
			want: []string{"refuse Foreign ConfigMap team-a/page: ConfigMap team-a/page carries the marks of a child and was not made by kooperd, " +
				"and is not adopted: it has the mark of another parent, team-a/other"},
		},
		"with the mark of another installation": {
			others: by("kubectl", labelled(InstallationLabel, "i")), desired: fromHelm, live: true,
			want: []string{"refuse Foreign ConfigMap team-a/page: ConfigMap team-a/page belongs to another installation of kooperd " +
				"(label kooperd.dev/installation), and is not adopted: it has the mark of another installation of kooperd (label kooperd.dev/installation)"},
		},
		"with copied marks of the parent": {
			others: by("kubectl", labelled(ParentUIDLabel, string(website.UID))), desired: ifUnowned, live: true,
			want: []string{"adopt Adopted ConfigMap team-a/page: nothing else controls it"},
		},
		"being deleted": {
			others: func(c *cluster) {
				c.edit(pageID, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
				if err := c.delete(pageID, "", ""); err != nil {
					panic(err)
				}
			},
			desired: ifUnowned, live: true,
			want: []string{"refuse Foreign ConfigMap team-a/page: " + exists + "it is being deleted"},
		},
		"from a manager": {
			others: stranger, desired: fromHelm, live: true,
			want: []string{"adopt Adopted ConfigMap team-a/page: it is taken over from kubectl"},
		},
		"from two managers": {
			others: func(c *cluster) {
				stranger(c)
				c.edit(pageID, "helm", withData("more", "1"))
			},
			desired: fromHelm, live: true,
			want: []string{"adopt Adopted ConfigMap team-a/page: it is taken over from helm, kubectl"},
		},
		"from a manager of whose name the beginning is known": {
			others: by("operator/7f3a", withData("html", "theirs")), desired: fromAny, live: true,
			want: []string{"adopt Adopted ConfigMap team-a/page: it is taken over from operator/7f3a"},
		},
		"from none that begins so": {
			others: by("operators", withData("html", "theirs")), desired: fromAny, live: true,
			want: []string{"refuse Foreign ConfigMap team-a/page: " + exists + "none of its fields is from operator/*"},
		},
		"from none of the managers": {
			others: by("operator", withData("html", "theirs")), desired: fromHelm, live: true,
			want: []string{"refuse Foreign ConfigMap team-a/page: " + exists + "none of its fields is from helm, kubectl"},
		},
		"a restored one": {
			made: pages(page), madeFor: former, desired: restored, live: true,
			want: []string{"adopt Adopted ConfigMap team-a/page: it was made for an earlier object of the parent's name"},
		},
		"a restored one without the policy": {
			made: pages(page), madeFor: former, desired: ifUnowned, live: true,
			want: []string{"refuse OtherParent ConfigMap team-a/page: ConfigMap team-a/page is child page of an earlier team-a/web, which is gone, " +
				"made by definition websites (kooperd orphans lists and deletes such objects), and is not adopted: it has the mark of another parent, team-a/web"},
		},
		"one of another parent is not a restored one": {
			made: pages(page), madeFor: shop, desired: restored, live: true,
			others: by("kubectl", func(tree map[string]any) { delete(object(tree, "metadata"), "ownerReferences") }),
			want: []string{"refuse OtherParent ConfigMap team-a/page: ConfigMap team-a/page is child page of team-a/shop, " +
				"made by definition websites, and is not adopted: it has the mark of another parent, team-a/shop"},
		},
		"a stranger is not a restored one": {
			others: stranger, desired: restored, live: true,
			want: []string{"refuse Foreign ConfigMap team-a/page: " + exists + "it was not made for an earlier object of the parent's name"},
		},
	})
}

// An owner has the namespace of what it owns: of another namespace, it is another object.
// The beginning of a name stands for no manager of kooperd: what parents contribute is theirs.
func TestManagersOfOthers(t *testing.T) {
	o := &Observed{}
	for _, manager := range []string{"kooperd", "kooperd-create", "kooperd/site/7b3f", "kooperdish", "kubectl"} {
		o.Managers = append(o.Managers, metav1.ManagedFieldsEntry{Manager: manager})
	}
	if diff := cmp.Diff([]string{"kooperdish", "kubectl"}, managersOf(o, []string{"k*"})); diff != "" {
		t.Errorf("managers (-want +got):\n%s", diff)
	}
}

func TestFormerParentIsOfTheNamespace(t *testing.T) {
	yes := true
	owner := metav1.OwnerReference{APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Name: "web", UID: "u", Controller: &yes}
	p := &planner{Input: Input{Parent: website}}
	for namespace, want := range map[string]string{"team-a": "", "team-b": "Website web"} {
		o := &Observed{ID: idOf(configMapKind, namespace, "page"), references: []metav1.OwnerReference{owner}}
		if got := p.controller(o); got != want {
			t.Errorf("in %s, %q controls it, want %q", namespace, got, want)
		}
	}
}

// What another manager has set goes when the child ceases to set it, whatever the operation and
// the version were, and what a subresource has set stays whose it is. What the child leaves to
// others is left.
func TestTakeOverPatch(t *testing.T) {
	fields := func(names ...string) *metav1.FieldsV1 {
		text := `{"f:data":{`
		for i, name := range names {
			text += strings.Repeat(",", min(i, 1)) + `"f:` + name + `":{}`
		}
		return metav1.NewFieldsV1(text + "}}")
	}
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, version, subresource string, names ...string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: operation, APIVersion: version, Subresource: subresource, FieldsType: "FieldsV1", FieldsV1: fields(names...),
		}
	}
	const update, apply = metav1.ManagedFieldsOperationUpdate, metav1.ManagedFieldsOperationApply
	o := &Observed{UID: "u", ResourceVersion: "7", Managers: []metav1.ManagedFieldsEntry{
		entry("helm", update, "v1", "", "a"), entry("helm", update, "v1beta1", "", "b"), entry("helm", apply, "v1", "", "c"),
		entry(FieldManager, apply, "v1beta1", "", "d"), entry("other", update, "v1", "", "e"), entry("helm", update, "v1", "status", "f"),
	}}
	d := desire(t, website, ignoring(page, "data.c"))[0]
	patch, err := takeOverPatch(o, []string{"helm"}, "v1", d.released)
	if err != nil {
		t.Fatal(err)
	}
	id := idOf(configMapKind, "team-a", "page")
	c := newCluster()
	c.edit(id, "kubectl", withData("a", "1"))
	c.objects[id].uid, c.objects[id].version = "u", "8"
	if err := c.jsonPatch(id, patch); err == nil {
		t.Error("the patch changes a version that it is not for")
	}
	c.objects[id].version = "7"
	if err := c.jsonPatch(id, patch); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for manager, set := range c.objects[id].managers {
		got[manager] = strings.ReplaceAll(set.Set().String(), "\n", " ")
	}
	want := map[string]string{FieldManager: ".data.a .data.b .data.d", CreateManager: ".data.c", "other": ".data.e", "helm": ".data.f"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("managers (-want +got):\n%s", diff)
	}
}

func TestAdoptionIsChecked(t *testing.T) {
	for want, policy := range map[string]handlers.ChildPolicy{
		`child page: there is no adopt policy "always": want never, ifUnowned or restored`:              {Adopt: "always"},
		`child page: adoptFrom has field managers, and the adopt policy is never`:                       {Adopt: handlers.AdoptNever, AdoptFrom: []string{"helm"}},
		`child page: adoptFrom has an empty field manager`:                                              {AdoptFrom: []string{""}},
		`child page: adoptFrom has * alone, which is every field manager: name them, or how they begin`: {AdoptFrom: []string{"*"}},
		`child page: adoptFrom has the field manager kooperd, which is that of all children`:            {AdoptFrom: []string{"kooperd"}},
	} {
		child := page
		child.Name, child.Policy = "page", policy
		if _, err := makerFor(website).make(child); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// A website is not made its own child, and not that of another website, whatever may be adopted:
// both have to stay as they are.
func TestNoParentIsAdopted(t *testing.T) {
	for name, tc := range map[string]struct {
		child string
		where string // the other website's, if not empty
		want  string // in the error; empty when it is adopted
	}{
		"itself":                  {child: "web", want: "child site: Website team-a/web is the parent itself, which cannot be its own child"},
		"another":                 {child: "other", want: "Website team-a/other exists and was not made by kooperd, and is not adopted: the definition handles it as a parent"},
		"one that is not handled": {child: "other", where: `object.metadata.name != "other"`},
	} {
		t.Run(name, func(t *testing.T) {
			composer := handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
				if req.Object.Name() != "web" {
					return handlers.Composition{}, nil
				}
				site := handlers.Child{Name: "site", Object: untyped(websiteKind, "", tc.child, map[string]any{"spec": map[string]any{"data": "x"}})}
				site.Policy.Adopt = handlers.AdoptIfUnowned
				return handlers.Composition{Children: []handlers.Child{site}}, nil
			})
			r := newRig(t, rigOptions{composer: composer, owns: []schema.GroupVersionKind{websiteKind}})
			if tc.where != "" {
				r.Where = whereOf(t, tc.where)
			}
			r.newWebsite("web", nil)
			r.newWebsite("other", nil)
			_, err := r.pass(t, "web")
			if adopted := err == nil; adopted != (tc.want == "") || !adopted && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if _, reason, _ := r.conditionOf("web", conditionDegraded); tc.want != "" && reason != string(ReasonForeign) {
				t.Errorf("Degraded has the reason %q", reason)
			}
			r.server.do(func(c *cluster) {
				child := c.objects[idOf(websiteKind, "team-a", tc.child)]
				if marked := child.metadata("labels", ParentUIDLabel) != ""; marked != (tc.want == "") {
					t.Errorf("%s has the mark of a parent: %v", tc.child, marked)
				}
			})
		})
	}
}

// A pass adopts what stands where the child should be, says so once, and then has nothing to do.
// A field that the child ceases to set goes, and another manager's is not taken.
func TestPassAdopts(t *testing.T) {
	data := map[string]any{"a": "1", "b": "2"}
	policy := handlers.ChildPolicy{AdoptFrom: []string{"kubectl"}}
	r := newRig(t, rigOptions{composer: handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
		child := configMap("page", data)
		child.Policy = policy
		return handlers.Composition{Children: pages(child)}, nil
	})})
	r.server.do(func(c *cluster) {
		c.edit(pageID, "kubectl", withData("a", "1"))
		c.edit(pageID, "kubectl", withData("b", "1"))
		c.edit(pageID, "kubectl", withData("old", "1"))
	})
	r.newWebsite("web", nil)
	r.asked()
	r.mustPass(t, "web")
	const path = "/api/v1/namespaces/team-a/configmaps/page"
	if diff := cmp.Diff([]string{"GET " + path, "PATCH " + path, "PATCH " + path, "PATCH " + path, "PATCH " + path}, children(r.asked())); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	want := corev1.EventTypeNormal + " Adopted ConfigMap team-a/page existed and is child page now: it is taken over from kubectl"
	if got := <-r.events.Events; got != want {
		t.Errorf("event %q, want %q", got, want)
	}
	check := func(want map[string]any, annotation string) {
		t.Helper()
		r.server.do(func(c *cluster) {
			got, _, _ := unstructured.NestedMap(c.objects[pageID].tree, "data")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
			if got := c.objects[pageID].annotation(AdoptedAnnotation); got != annotation {
				t.Errorf("annotation %q, want %q", got, annotation)
			}
		})
	}
	check(map[string]any{"a": "1", "b": "2"}, "true")
	r.sync()
	r.mustPass(t, "web")
	if got := children(r.asked()); len(got) > 0 {
		t.Errorf("when all is as it should be, there are requests: %v", got)
	}
	data = map[string]any{"b": "2"}
	r.mustPass(t, "web")
	check(data, "true")

	r.server.do(func(c *cluster) { c.edit(pageID, "kubectl", withData("b", "9")) })
	r.sync()
	if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), `conflict with "kubectl"`) {
		t.Errorf("error %v, want a conflict", err)
	}
	policy.Conflicts = handlers.ConflictsForce
	r.mustPass(t, "web")
	check(data, "true")
}

// A conflict with a third field manager is found before anything is taken over.
func TestNothingIsTakenOverForAConflict(t *testing.T) {
	policy := handlers.ChildPolicy{AdoptFrom: []string{"helm"}}
	r := newRig(t, rigOptions{composer: handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
		child := configMap("page", map[string]any{"a": "1", "b": "2"})
		child.Policy = policy
		return handlers.Composition{Children: pages(child)}, nil
	})})
	r.server.do(func(c *cluster) {
		c.edit(pageID, "helm", withData("a", "9"))
		c.edit(pageID, "third", withData("b", "9"))
	})
	r.newWebsite("web", nil)
	if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), `conflict with "third"`) || strings.Contains(err.Error(), "helm") {
		t.Errorf("error %v, want the conflict with the third alone", err)
	}
	r.server.do(func(c *cluster) {
		if _, there := c.objects[pageID].managers["helm"]; !there || c.objects[pageID].annotation(AdoptedAnnotation) != "" {
			t.Errorf("the field managers are %v, want them as before", c.objects[pageID].managers)
		}
	})
	policy.Conflicts = handlers.ConflictsForce
	r.mustPass(t, "web")
}

// children are the requests about children.
func children(requests []string) []string {
	return slices.DeleteFunc(slices.Clone(requests), func(text string) bool { return !strings.Contains(text, "/configmaps/") })
}
