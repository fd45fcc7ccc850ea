package compose_test

import (
	"fmt"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// most is how many requests a start or a take-over may cost, whatever the number of parents is:
// lists and watches of each kind, discovery, rights, the state beside the lease.
const most = 60

// TestManyParents counts what a start and a failover cost when everything is as it should be.
func TestManyParents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.short = true
	n := size(100, 1000)
	r.defineAll(t, map[string]definition{definitionName: {
		Config:   parts.Config{Children: []parts.Child{configMap("a"), fixed("b"), fixed("c")}, Status: map[string]any{"text": "{text}"}},
		settings: map[string]any{"mode": "concurrent", "workers": 4},
	}})
	r.createMany(t, n)
	first := r.launch(t, "pod-0", r.kubeconfig)
	first.leads(t)
	r.await(t, things, "every parent ready", func(o objects) bool {
		for _, parent := range o {
			if !isReady(parent) {
				return false
			}
		}
		return len(o) == n
	})
	if made := len(r.list(t, configMaps)); made < 3*n {
		t.Errorf("there are %d ConfigMaps, want %d children", made, 3*n)
	}
	first.settle(t, "p0")

	first.kill9(t)
	mark := shared.AuditMark(t)
	first = r.launch(t, "pod-0", r.kubeconfig)
	r.handledAll(t, first, n)
	r.quiet(t, mark, "after a restart")

	second := r.launch(t, "pod-1", r.kubeconfig)
	second.AwaitLog(t, "leader changed")
	second.AwaitReady(t)
	mark = shared.AuditMark(t)
	first.kill9(t)
	r.handledAll(t, second, n)
	r.quiet(t, mark, "after a failover")

	mark = shared.AuditMark(t)
	r.patch(t, things, "p1", `{"spec": {"text": "y"}}`)
	r.await(t, things, "the change", func(o objects) bool { return o.text("p1", "status", "text") == "y" && isReady(o["p1"]) })
	second.settle(t, "p0")
	r.onlyWrites(t, mark, "patch configmaps p1-a: 200", "patch things/status p1: 200")
}

// createMany makes n parents, several at a time.
func (r *rig) createMany(t *testing.T, n int) {
	t.Helper()
	r.createRange(t, 0, n)
}

// createRange makes the parents with the numbers from first to n.
func (r *rig) createRange(t *testing.T, first, n int) {
	t.Helper()
	client := shared.Dynamic().Resource(things).Namespace(r.namespace)
	var running sync.WaitGroup
	const clients = 8
	failed := make(chan error, clients)
	for c := range clients {
		running.Go(func() {
			for i := first + c; i < n; i += clients {
				thing := &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": things.GroupVersion().String(), "kind": "Thing",
					"metadata": map[string]any{"name": fmt.Sprintf("p%d", i)}, "spec": map[string]any{"text": "x"},
				}}
				if _, err := client.Create(t.Context(), thing, metav1.CreateOptions{}); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	running.Wait()
	select {
	case err := <-failed:
		t.Fatalf("creating parents: %v", err)
	default:
	}
}

// handledAll waits until a process has composed every parent, and has ended those calls.
func (r *rig) handledAll(t *testing.T, p *replica, n int) {
	t.Helper()
	p.Await(t, "a call for each parent", func() bool {
		handled := map[string]bool{}
		for _, c := range r.record.all(t) {
			if c.Process == p.Pid() {
				handled[c.Object] = true
			}
		}
		return len(handled) == n
	})
	for i := range 4 { // The workers.
		p.settle(t, fmt.Sprintf("p%d", i))
	}
}

// quiet fails the test if the installation has written since mark, or has asked too much.
func (r *rig) quiet(t *testing.T, mark cluster.AuditMark, when string) {
	t.Helper()
	r.noWrites(t, mark, when)
	all := r.sent(t, mark)
	byWhat := map[string]int{}
	for _, s := range all {
		byWhat[s.verb+" "+s.resource]++
	}
	if len(all) > most {
		t.Errorf("%s: %d requests, want at most %d: %v", when, len(all), most, byWhat)
	}
	t.Logf("%s: %d requests: %v", when, len(all), byWhat)
}
