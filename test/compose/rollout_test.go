package compose_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// brokenImage is one whose Deployments never become available.
const brokenImage = "broken"

// TestRollout changes an image to one that does not work: as many parents get it as may be not
// ready, and nothing is written to the others, over a reload, a restart and a failover. When it is
// mended, all get the new one, over another restart, but for one that is paused, for which nobody
// waits. There are never more that are not ready.
func TestRollout(t *testing.T) {
	t.Parallel()
	n, bound := size(12, 200), size(2, 10)
	r := newRig(t)
	r.short = conformance
	r.defineServer(t, "good-1", bound, nil)
	k := r.kubelet(t)
	p := r.start(t)
	r.createMany(t, n)
	r.awaitServers(t, n, "good-1")
	p.Await(t, "the kubelet to have seen all available", k.judge)

	before, mark := r.serversAndParents(t), shared.AuditMark(t)
	r.defineServer(t, brokenImage, bound, nil)
	p.reload(t)
	stopped := func(when string) {
		t.Helper()
		want := fmt.Sprintf("rollout: of %d parents, 0 are updated and ready, %d are held; %d are not ready, of %d that may be: ", n, n-bound, bound, bound)
		p.Await(t, "the end of the rollout at its bound", func() bool { return strings.Contains(p.readyz(t), want) })
		r.heldUntouched(t, when, before, mark, bound)
	}
	stopped("after the change")
	calls := r.callsOfAll(t)
	r.defineServer(t, brokenImage, bound, map[string]any{"timeout": "59s"})
	p.reload(t)
	p.Await(t, "a call for each parent", func() bool {
		for name, times := range r.callsOfAll(t) {
			if times == calls[name] {
				return false
			}
		}
		return true
	})
	stopped("after a reload")
	p.kill9(t)
	p = r.start(t)
	stopped("after a restart")
	if conformance {
		second := r.launch(t, "pod-1", r.kubeconfig)
		second.AwaitLog(t, "leader changed")
		p.kill9(t)
		second.leads(t)
		p = second
		stopped("after a failover")
	}

	paused := strings.TrimSuffix(r.list(t, deployments).withImage("good-1")[0], "-d")
	pause := func(value string) {
		t.Helper()
		r.patch(t, things, paused, fmt.Sprintf(`{"metadata": {"annotations": {"kooperd.dev/paused": %s}}}`, value))
	}
	pause(`"true"`)
	r.await(t, things, "the pause", func(o objects) bool {
		status, _, _ := o.condition(paused, "Paused")
		return status == "True"
	})
	r.defineServer(t, "good-2", bound, nil)
	p.reload(t)
	r.await(t, deployments, "some of the mended", func(o objects) bool { return len(o.withImage("good-2")) > n/3 })
	p.kill9(t)
	if p = r.launch(t, "pod-0", r.kubeconfig); conformance {
		p.leads(t)
	}
	r.await(t, deployments, "all but the paused one", func(o objects) bool {
		return len(o.withImage("good-2")) == n-1 && len(o.withImage("good-1")) == 1
	})
	pause("null")
	r.awaitServers(t, n, "good-2")
	if most := k.most(); most > bound {
		t.Errorf("%d Deployments were not available at once, want at most %d", most, bound)
	}
	p.Await(t, "the end of the rollout", func() bool {
		updated, _ := p.Metric(t, fmt.Sprintf(`kooperd_rollout_parents{controller=%q,state="updated"}`, definitionName))
		return updated == fmt.Sprint(n) && !strings.Contains(p.readyz(t), "rollout:")
	})
}

// defineServer makes the config a definition with a Deployment that has an image.
func (r *rig) defineServer(t *testing.T, image string, maxUnavailable int, more map[string]any) {
	t.Helper()
	labels := map[string]any{"app": "{name}"}
	settings := map[string]any{
		"mode": "concurrent", "workers": 4, "rollout": map[string]any{"maxUnavailable": maxUnavailable},
	}
	maps.Copy(settings, more)
	r.defineAll(t, map[string]definition{definitionName: {settings: settings, Config: parts.Config{
		Owns: []parts.Owns{{APIVersion: "apps/v1", Kind: "Deployment"}},
		Children: []parts.Child{{Name: "d", Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "{name}-d"},
			"spec": map[string]any{
				"selector": map[string]any{"matchLabels": labels},
				"template": map[string]any{
					"metadata": map[string]any{"labels": labels},
					"spec":     map[string]any{"containers": []any{map[string]any{"name": "web", "image": image}}},
				},
			},
		}}},
	}}})
}

// awaitServers waits until all parents are ready, and their Deployments have an image.
func (r *rig) awaitServers(t *testing.T, n int, image string) {
	t.Helper()
	r.await(t, deployments, fmt.Sprintf("%d Deployments with %s", n, image), func(o objects) bool { return len(o.withImage(image)) == n })
	r.await(t, things, "all parents ready", func(o objects) bool {
		for _, parent := range o {
			if !isReady(parent) {
				return false
			}
		}
		return len(o) == n
	})
}

func imageOf(deployment *unstructured.Unstructured) string {
	containers, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if len(containers) == 0 {
		return ""
	}
	c, _ := containers[0].(map[string]any)
	image, _ := c["image"].(string)
	return image
}

// withImage are the Deployments with an image.
func (o objects) withImage(image string) (names []string) {
	for _, name := range o.names() {
		if imageOf(o[name]) == image {
			names = append(names, name)
		}
	}
	return names
}

// serversAndParents are all objects of the parents, by kind and name.
func (r *rig) serversAndParents(t *testing.T) objects {
	t.Helper()
	all := r.list(t, things)
	maps.Copy(all, r.list(t, deployments))
	return all
}

// heldUntouched fails the test if not so many parents have the broken image, or if something was
// written to the others.
func (r *rig) heldUntouched(t *testing.T, when string, before objects, mark cluster.AuditMark, bound int) {
	t.Helper()
	now := r.serversAndParents(t)
	moved := map[string]bool{}
	for _, name := range now.withImage(brokenImage) {
		moved[name], moved[strings.TrimSuffix(name, "-d")] = true, true
	}
	if len(moved) != 2*bound {
		t.Errorf("%s, %d Deployments are broken, want %d", when, len(moved)/2, bound)
	}
	for name, object := range before {
		if !moved[name] && now[name].GetResourceVersion() != object.GetResourceVersion() {
			t.Errorf("%s, %s is not as it was, and it is held", when, name)
		}
	}
	for _, w := range r.writes(t, mark) {
		if !moved[w.name] {
			t.Errorf("%s, there is a write to one that is held: %s", when, w)
		}
	}
}

// callsOfAll is how often the composer was called for each parent.
func (r *rig) callsOfAll(t *testing.T) map[string]int {
	t.Helper()
	times := map[string]int{}
	for _, call := range r.record.all(t) {
		times[call.Object]++
	}
	return times
}

// kubelet makes Deployments available, but for those with the broken image, and counts those that
// are not.
type kubelet struct {
	rig     *rig
	mu      sync.Mutex
	down    map[string]bool
	judging bool
	highest int
}

// kubelet runs one until the end of the test.
func (r *rig) kubelet(t *testing.T) *kubelet {
	t.Helper()
	k := &kubelet{rig: r, down: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			k.watch(ctx)
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	return k
}

// watch sees every state of every Deployment in its order, until the watch ends.
func (k *kubelet) watch(ctx context.Context) {
	client := shared.Dynamic().Resource(deployments).Namespace(k.rig.namespace)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for i := range list.Items {
		k.see(ctx, &list.Items[i])
	}
	events, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		deployment, ok := e.Object.(*unstructured.Unstructured)
		if !ok || deployment.GetName() == "" {
			return
		}
		k.see(ctx, deployment)
	}
}

// see takes note of a state, and makes the Deployment available.
func (k *kubelet) see(ctx context.Context, deployment *unstructured.Unstructured) {
	observed, _, _ := unstructured.NestedInt64(deployment.Object, "status", "observedGeneration")
	available, _, _ := unstructured.NestedInt64(deployment.Object, "status", "availableReplicas")
	down := observed < deployment.GetGeneration() || available < 1
	k.mu.Lock()
	if delete(k.down, deployment.GetName()); down {
		k.down[deployment.GetName()] = true
	}
	if k.judging {
		k.highest = max(k.highest, len(k.down))
	}
	k.mu.Unlock()
	if !down || imageOf(deployment) == brokenImage {
		return
	}
	status := fmt.Sprintf(`{"status": {"observedGeneration": %d, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}}`,
		deployment.GetGeneration())
	_, _ = shared.Dynamic().Resource(deployments).Namespace(k.rig.namespace).
		Patch(ctx, deployment.GetName(), types.MergePatchType, []byte(status), metav1.PatchOptions{FieldManager: other}, "status") // If it fails, the test ends or waits.
}

// judge begins to count if all are available, and reports whether they are.
func (k *kubelet) judge() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.judging = len(k.down) == 0
	return k.judging
}

// most is how many were not available at once.
func (k *kubelet) most() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.highest
}
