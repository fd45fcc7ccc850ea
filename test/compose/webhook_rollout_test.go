package compose_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// serversOf answers with Deployments of the image that the parent says, and with no status.
func serversOf(n int, image func(text string) string) hookAnswer {
	return func(_ http.ResponseWriter, _ *http.Request, call hookCall) any {
		parent := call.parent()
		text, _, _ := unstructured.NestedString(parent.Object, "spec", "text")
		var children []any
		for i := range n {
			labels := map[string]any{"app": fmt.Sprint(i)}
			children = append(children, map[string]any{
				"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": fmt.Sprintf("%s-%d", parent.GetName(), i)},
				"spec": map[string]any{"selector": map[string]any{"matchLabels": labels}, "template": map[string]any{
					"metadata": map[string]any{"labels": labels},
					"spec":     map[string]any{"containers": []any{map[string]any{"name": "c", "image": image(text)}}},
				}},
			})
		}
		return map[string]any{"children": children}
	}
}

func plainly(text string) string { return text }

// rollingServers are the settings of Deployments that move one after the other.
func rollingServers() map[string]any {
	return map[string]any{"children": []any{map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "update": "rollingInPlace",
		"statusChecks": []any{map[string]any{"type": "Available", "status": "True"}},
	}}}
}

// TestWebhookRollsOut changes a parent whose children move one at a time, each when the one before
// is available. The hook gives no status, which is what metacontroller ends with a panic for. In
// between, the process is killed, and the hook itself is changed: that is no change of the parent,
// so all its children follow, each as its revision says.
func TestWebhookRollsOut(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("it takes longer; TestPrograms rolls out by a program")
	}
	r, s := newRig(t), newHookService(t)
	s.answer("p", serversOf(3, plainly))
	r.defineAll(t, map[string]definition{"p": s.hooked(r, "p", rollingServers())})
	p := r.start(t)
	r.hookParent(t, "p", "p", "a")
	r.awaitImages(t, "a", "a", "a")
	for i := range 3 {
		r.available(t, fmt.Sprintf("p-%d", i), 1)
	}
	r.awaitUpdated(t, "True", "OnLatestRevision")

	r.patch(t, things, "p", `{"spec": {"text": "b"}}`)
	r.awaitImages(t, "b", "a", "a")
	r.awaitUpdated(t, "False", "RolloutWaiting")
	if have := r.list(t, revisions); len(have) != 2 {
		t.Errorf("there are the revisions %v, want two", have.names())
	}
	p.kill9(t)
	p = r.start(t)
	before := s.called("p", "sync", "p")
	r.touch(t, "p")
	p.Await(t, "a call of the hook", func() bool { return s.called("p", "sync", "p") > before })
	r.available(t, "p-0", 2)
	r.awaitImages(t, "b", "b", "a")
	r.awaitUpdated(t, "False", "RolloutWaiting")

	s.answer("p", serversOf(3, func(text string) string { return "new-" + text }))
	r.touch(t, "p")
	r.awaitImages(t, "new-b", "new-b", "new-a")
	r.available(t, "p-0", 3)
	r.available(t, "p-1", 3)
	r.awaitImages(t, "new-b", "new-b", "new-b")
	r.awaitUpdated(t, "True", "OnLatestRevision")
	r.await(t, revisions, "one revision at the end", func(o objects) bool { return len(o) == 1 })
}

// TestWebhookRollsOutBesideItsOwnCondition has a hook that answers with a condition of the type
// that says how far the rollout is: kooperd's is the one that counts, and the others stay.
func TestWebhookRollsOutBesideItsOwnCondition(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("it takes longer; TestRolloutStatus of pkg/hook has the same")
	}
	r, s := newRig(t), newHookService(t)
	servers := serversOf(1, plainly)
	s.answer("p", func(w http.ResponseWriter, req *http.Request, call hookCall) any {
		answer, _ := servers(w, req, call).(map[string]any)
		answer["status"] = map[string]any{"text": "own", "conditions": []any{
			map[string]any{"type": "Updated", "status": "Unknown", "reason": "Theirs", "message": ""},
			map[string]any{"type": "Mine", "status": "True", "reason": "Theirs", "message": ""},
		}}
		return answer
	})
	r.defineAll(t, map[string]definition{"p": s.hooked(r, "p", rollingServers())})
	r.start(t)
	r.hookParent(t, "p", "p", "a")
	r.awaitUpdated(t, "True", "OnLatestRevision")
	parent := r.get(t, things, "p")
	if status, reason, _ := conditionOf(parent, "Mine"); status != "True" || reason != "Theirs" {
		t.Errorf("the hook's other condition is %s %s", status, reason)
	}
	conditions, _, _ := unstructured.NestedSlice(parent.Object, "status", "conditions")
	n := 0
	for _, c := range conditions {
		if c, _ := c.(map[string]any); c["type"] == "Updated" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("there are %d conditions Updated: %v", n, conditions)
	}
}

// TestWebhookRollsOutWithoutANamespace has parents that belong to no namespace: their revisions are
// in the one that the config names, with the rights that kooperd prints.
func TestWebhookRollsOutWithoutANamespace(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("it takes longer")
	}
	declareRealms.Do(func() { shared.Apply(t, realmsDefinition) })
	r, s := newBoundRig(t), newHookService(t)
	elsewhere := &rig{namespace: shared.Namespace(t)}
	c := hookCell{name: "rolling", shape: "composite", version: "v2"}
	var asked sync.Map
	s.answer(c.name, func(_ http.ResponseWriter, _ *http.Request, call hookCall) any {
		parent := call.parent()
		text, _, _ := unstructured.NestedString(parent.Object, "spec", "text")
		asked.Store(text, true)
		first, second := configMapFor(parent, r.namespace, text), configMapFor(parent, r.namespace, text)
		metadataOf(second)["name"] = parent.GetName() + "-second"
		return map[string]any{"children": []any{first, second}, "status": map[string]any{}}
	})
	d := s.hooked(r, c.name, map[string]any{
		"children":        []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "update": "rollingInPlace"}},
		"revisionHistory": map[string]any{"namespace": elsewhere.namespace},
	})
	d.settings["watch"] = map[string]any{
		"apiVersion": realms.GroupVersion().String(), "kind": "Realm", "labelSelector": hookLabel + "=" + c.name + ",rig=" + r.namespace,
	}
	r.defineAll(t, map[string]definition{c.name: d})
	r.grant(t, r.printed(t)...)
	c.create(t, r)
	r.start(t)
	client, name := c.parents(r)
	updated := func(want string) {
		t.Helper()
		c.await(t, r, "Updated "+want, func(parent *unstructured.Unstructured) bool {
			if parent == nil {
				return false
			}
			status, _, _ := conditionOf(parent, "Updated")
			return status == want
		})
	}
	texts := func(first, second string) {
		t.Helper()
		r.await(t, configMaps, fmt.Sprintf("the texts %s and %s", first, second), func(o objects) bool {
			return o.text(name+"-page", "data", "text") == first && o.text(name+"-second", "data", "text") == second
		})
	}
	texts("x", "x")
	updated("True")
	if have := elsewhere.list(t, revisions); len(have) != 1 || len(r.list(t, revisions)) != 0 {
		t.Errorf("there are the revisions %v, want one", have.names())
	}
	if _, err := client.Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec": {"text": "y"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	texts("y", "x")
	texts("y", "y")
	updated("True")
	elsewhere.await(t, revisions, "one revision at the end", func(o objects) bool { return len(o) == 1 })
	if _, ok := asked.Load("x"); !ok {
		t.Error("the hook was never asked about the parent as it was")
	}
	r.nothingRefused(t)
}
