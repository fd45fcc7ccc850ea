package kube

import (
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

// podAppliedBy is a pod that several managers have applied, each with one field.
func podAppliedBy(t *testing.T, text string, fields map[string]string) handlers.Object {
	t.Helper()
	p := pod(text)
	p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	for manager, field := range fields {
		entry := applied("v1", fmt.Sprintf(`{"f:spec":{"f:%s":{}}}`, field))
		entry.Manager = manager
		p.ManagedFields = append(p.ManagedFields, entry)
	}
	obj, err := ReadObject(jsonOf(t, p), podKind, testManager+"/", false)
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

func TestAppliedBy(t *testing.T) {
	obj := podAppliedBy(t, "a@1", map[string]string{"kooperd": "own", "kooperd/": "none", "kooperd/a/1": "one", "kooperd/b/2": "two", "kooperd-create": "made"})
	found := map[string]string{}
	for manager, set := range AppliedBy(obj) {
		found[manager] = set.String()
	}
	if diff := gocmp.Diff(map[string]string{"kooperd/a/1": ".spec.one", "kooperd/b/2": ".spec.two"}, found); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if FieldsOf(obj) != nil {
		t.Error("there are fields of a single manager")
	}
	if other := read(t, child("a@1", "u-1", "x")); AppliedBy(other) != nil || AppliedBy(nil) != nil {
		t.Error("an object of which one manager is kept has several")
	}
}

// Objects are found by who has applied them, as they change.
func TestObjectsAreFoundByManager(t *testing.T) {
	c := newObjectCache("")
	set := func(text string, managers ...string) {
		fields := map[string]string{}
		for _, manager := range managers {
			fields[manager] = "x"
		}
		o := cached(t, podAppliedBy(t, text, fields))
		c.set(o.key(), o)
	}
	check := func(manager string, want ...string) {
		t.Helper()
		names := []string{}
		for _, o := range appliedBy(c, manager) {
			names = append(names, o.Name)
		}
		slices.Sort(names)
		if !slices.Equal(want, names) {
			t.Errorf("%s has applied %q, want %q", manager, names, want)
		}
	}
	set("a@1", "kooperd/d/1", "kooperd/d/2")
	set("b@2", "kooperd/d/2")
	check("kooperd/d/1", "a")
	check("kooperd/d/2", "a", "b")
	set("a@3", "kooperd/d/1")
	set("b@4")
	set("c@5", "kooperd/d/2", "kooperd/d/2")
	check("kooperd/d/1", "a")
	check("kooperd/d/2", "c")
	check("kooperd/d/3")
}
