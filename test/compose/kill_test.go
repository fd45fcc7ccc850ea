package compose_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// stage is a change of a parent with three children, one of them in another namespace.
type stage struct {
	name string
	// from is the text of the parent before; empty when there is none.
	from string
	// change makes the change.
	change func(t *testing.T, r *rig, parent string)
	// children are those that the parent has in the end, and to the text that they have.
	children []string
	to       string
	gone     bool // the parent
}

var stages = []stage{
	{name: "create", to: "all", children: []string{"a", "b", "c"}, change: func(t *testing.T, r *rig, parent string) { r.thing(t, parent, "all") }},
	{name: "update", from: "all", to: "more", children: []string{"a", "b", "c"}, change: setText("more")},
	{name: "prune", from: "all", to: "none", change: setText("none")},
	{name: "delete", from: "all", gone: true, change: func(t *testing.T, r *rig, parent string) { r.remove(t, things, parent) }},
}

func setText(text string) func(*testing.T, *rig, string) {
	return func(t *testing.T, r *rig, parent string) {
		r.patch(t, things, parent, fmt.Sprintf(`{"spec": {"text": %q}}`, text))
	}
}

// threeChildren are two children beside the parent and one in another namespace.
func threeChildren(elsewhere string) definition {
	d := definition{Config: parts.Config{
		Owns:   []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}},
		Status: map[string]any{"text": "{text}"},
	}}
	for _, name := range []string{"a", "b", "c"} {
		child := configMap(name)
		child.When = []string{"all", "more"}
		if name == "c" {
			child.Object["metadata"].(map[string]any)["namespace"] = elsewhere
		}
		d.Children = append(d.Children, child)
	}
	return d
}

// TestKill9AfterEachWrite kills the leader right after each write of a change, before it has the
// answer. The next one must bring the world to the same end.
func TestKill9AfterEachWrite(t *testing.T) {
	t.Parallel()
	for _, s := range stages {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			k := newKilled(t)
			last := size(1, 100)
			for n := 1; n <= last; n++ {
				if !k.run(t, s, fmt.Sprintf("%s-%d", s.name, n), n) {
					if n <= 2 {
						t.Errorf("there are %d writes, which is fewer than there must be", n-1)
					}
					t.Logf("%s: killed after each of %d writes", s.name, n-1)
					return
				}
			}
		})
	}
}

// killed is an installation that is killed again and again.
type killed struct {
	*rig
	elsewhere string // the other namespace
	cutter    *cluster.Cutter
	process   *replica
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	k := &killed{rig: newRig(t), elsewhere: shared.Namespace(t)}
	k.defineAll(t, map[string]definition{definitionName: threeChildren(k.elsewhere)})
	k.cutter = newCutter(t, k.rig)
	k.launch(t)
	k.thing(t, "barrier", "none")
	k.ready(t, "barrier")
	return k
}

// newCutter returns a cutter that counts the writes for parents.
func newCutter(t *testing.T, r *rig) *cluster.Cutter {
	t.Helper()
	return shared.Cutter(t, r.rest, func(req *http.Request) bool {
		for _, part := range []string{"/namespaces/" + r.leases + "/", "/events", "/apis/authorization.k8s.io/"} {
			if strings.Contains(req.URL.Path, part) {
				return false
			}
		}
		return true
	})
}

func (k *killed) launch(t *testing.T) {
	t.Helper()
	k.process = k.rig.launch(t, "pod-0", k.cutter.Kubeconfig(t, k.leases))
	k.process.leads(t)
}

// run makes the change for a new parent, and kills the leader after the n-th write of it. It
// reports whether there were that many.
func (k *killed) run(t *testing.T, s stage, parent string, n int) bool {
	t.Helper()
	if s.from != "" {
		k.thing(t, parent, s.from)
		k.awaitEnd(t, stage{name: "preparing", to: s.from, children: []string{"a", "b", "c"}}, parent, nil)
		k.process.settle(t, parent) // It writes no more.
	}
	reached := k.cutter.Arm(n)
	s.change(t, k.rig, parent)
	// A pass for another parent comes after all that there is to write for this one.
	if k.awaitEnd(t, s, parent, reached) && k.process.settleUnless(t, reached, "barrier") {
		k.cutter.Release()
		return false
	}
	k.process.kill9(t)
	k.cutter.Release()
	k.launch(t)
	k.awaitEnd(t, s, parent, nil)
	return true
}

// awaitEnd waits until a stage is over, and reports whether it is: not so when cut is closed
// before.
func (k *killed) awaitEnd(t *testing.T, s stage, parent string, cut <-chan struct{}) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	parents, here, there := place{things, k.namespace}, place{configMaps, k.namespace}, place{configMaps, k.elsewhere}
	w := observe(ctx, &running, parents, here, there)
	return w.await(t, fmt.Sprintf("the end of %q for %s", s.name, parent), cut, func(at map[place]objects) bool {
		return len(at) == 3 && s.isEnd(parent, at[parents], at[here], at[there])
	})
}

// isEnd reports whether the parent, and the objects in both namespaces, are as the stage leaves
// them.
func (s stage) isEnd(parent string, parents, here, there objects) bool {
	if s.gone != (parents[parent] == nil) {
		return false
	}
	if !s.gone && (!isReady(parents[parent]) || parents.text(parent, "status", "text") != s.to) {
		return false
	}
	wanted := map[string]bool{}
	for _, child := range s.children {
		name, where := parent+"-"+child, here
		if child == "c" {
			where = there
		}
		if wanted[name] = true; where.text(name, "data", "text") != s.to {
			return false
		}
	}
	for _, child := range []string{"a", "b", "c"} {
		name := parent + "-" + child
		if !wanted[name] && (here[name] != nil || there[name] != nil) {
			return false
		}
	}
	return true
}
