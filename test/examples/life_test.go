package examples_test

import (
	"testing"
)

// life is what an example of the plugin apply goes through: what people change, and what there is
// then. Each step is gone through in peace, and with a fault in the middle of what it causes.
//
// The example runs with the rights that `kooperd rbac` prints for it, and its lease has the name of
// its folder, in the namespace "default". Where it has a crd.yaml, that kind is there from the
// start.
type life struct {
	// before are objects, as YAML, that are there from the start.
	before string
	// parents are the objects that it handles, by definition. They are touched, so that there is a
	// pass: it must write nothing when everything is right.
	parents map[string][]string
	// secrets are texts that may be neither in a log nor in an event.
	secrets []string
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
	// others are other objects, such as the parents.
	others objects
	// gone are objects that are not there in the end.
	gone []string
	// left are parents that are there, and that their definition does not select from now on.
	left []string
	// renewed are children that are made anew. All others that there were before stay the same
	// objects, but for those that people delete.
	renewed []string
}

// objects are objects by name.
type objects map[string]fields

// fields are the texts at JSONPaths, as in {"{.spec.replicas}": "2"}. Nothing there is "".
type fields map[string]string

// lives are the examples of the plugin apply, by folder.
var lives = map[string]life{
	"namespace-defaults": namespaceDefaultsLife,
	"secret-copy":        secretCopyLife,
	"website":            websiteLife,
}

// live goes through the life of an example.
func live(t *testing.T, name string, l life) {
	counts := make([]int, len(l.steps))
	t.Run("in peace", func(t *testing.T) {
		r := newResident(t, name, l)
		r.start(t)
		for i, s := range l.steps {
			mark := shared.AuditMark(t)
			r.person(t, s)
			r.arrive(t, s)
			counts[i] = len(r.writes(t, mark))
			t.Logf("%s: %d writes", s.name, counts[i])
			r.settle(t)
			if i == 0 {
				r.restart(t)
			}
		}
		r.end(t)
	})
	if t.Failed() {
		return
	}
	if !conformance {
		t.Run("with faults", func(t *testing.T) {
			liveThrough(t, name, l, func(i int) (fault, int) { return usualFaults[i%len(usualFaults)], (counts[i] + 1) / 2 })
		})
		return
	}
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
		f, n := plan(i)
		if r.suffer(t, s, f, n) {
			faults++
		}
		r.settle(t)
	}
	r.end(t)
	if faults == 0 && !conformance {
		t.Error("there was no fault")
	}
	return faults
}
