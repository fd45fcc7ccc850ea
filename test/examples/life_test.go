package examples_test

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// life is what an example of the plugin apply goes through: what people change, and what there is
// then. Some steps are gone through in peace, and others with a fault in the middle of what they
// cause.
//
// The example runs with the rights that `kooperd rbac` prints for it, and its lease has the name of
// its folder, in the namespace "default". Its kinds are there from the
// start, be they declared in its config or in a crd.yaml.
type life struct {
	// before are objects, as YAML, that are there from the start.
	before string
	// parents are the objects that it handles, by definition. They are touched, so that there is a
	// pass: it must write nothing when everything is right.
	parents map[string][]string
	// secrets are texts that may be neither in a log nor in an event.
	secrets []string
	// generated are Secrets with a value that is made once, and its key. While the Secret is there,
	// the value stays the same, and it is one of secrets.
	generated map[string]string
	// steps come one after the other. After the last one, everything is as it was before the first.
	steps []step
}

// step is a change by people, and what follows from it. Objects are named as in
// "Deployment default/home".
type step struct {
	name string
	// remove are objects to delete. apply are objects as YAML, or the name of a file of the
	// example.
	// patch are merge patches by object, or by its subresource, as in
	// "Deployment default/home/status". They are done in this order.
	remove []string
	apply  string
	patch  map[string]string

	// children are all objects that have the mark of the installation in the end.
	children objects
	// patched are all objects that the installation contributes something to in the end.
	patched []string
	// others are other objects, such as the parents.
	others objects
	// gone are objects that are not there in the end.
	gone []string
	// left are parents that are there, and that their definition does not select from now on.
	left []string
	// renewed are children that are made anew. All others that there were before stay the same
	// objects, but for those that people delete.
	renewed []string
	// check says what else is not as it should be in the end. Nil says nothing.
	check func(t *testing.T, kinds kindTable) string
	// refused says that the API server refuses something, which is tried again and again.
	refused bool
}

// objects are objects by name.
type objects map[string]fields

// fields are the texts at JSONPaths, as in {"{.spec.replicas}": "2"}. Nothing there is "".
type fields map[string]string

// lives are the examples of the plugin apply, by folder.
var lives = map[string]life{
	"decorate":           decorateLife,
	"namespace-defaults": namespaceDefaultsLife,
	"postgres":           postgresLife,
	"secret-copy":        secretCopyLife,
	"website":            websiteLife,
}

// live goes through the life of an example: once, with another sort of fault in each step, or with
// -conformance in peace, and with each fault after each write.
func live(t *testing.T, name string, l life) {
	if !conformance {
		first := slices.Index(slices.Sorted(maps.Keys(lives)), name) // so that the others begin with another one
		faults := liveThrough(t, name, l, func(i int) (fault, int) { return usualFaults[(first+i)%len(usualFaults)], 1 + i%2 })
		if faults == 0 {
			t.Error("there was no fault")
		}
		return
	}
	t.Run("in peace", func(t *testing.T) {
		liveThrough(t, name, l, func(int) (fault, int) { return none, 0 })
	})
	for _, f := range []fault{terminated, killed, replaced} {
		t.Run(string(f), func(t *testing.T) {
			for n := 1; liveThrough(t, name, l, func(int) (fault, int) { return f, n }) > 0; n++ {
				t.Logf("a fault after write %d of each step that has so many", n)
			}
		})
	}
}

// liveThrough goes through a life with a fault after the n-th write of each step, as plan says. It
// returns how many steps had so many writes.
func liveThrough(t *testing.T, name string, l life, plan func(step int) (f fault, n int)) (faults int) {
	t.Helper()
	r := newResident(t, name, l)
	r.start(t)
	for i, s := range l.steps {
		begun := time.Now()
		f, n := plan(i)
		if r.suffer(t, s, f, n) {
			faults++
		} else {
			f = none
		}
		arrived := time.Since(begun)
		r.settle(t)
		if i == 0 {
			r.restart(t)
		}
		t.Logf("%s: fault %q after write %d; it took %s, and %s with all that was looked at", s.name, f, n, arrived, time.Since(begun))
	}
	r.end(t)
	return faults
}
