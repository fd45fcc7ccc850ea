package compose_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// These are cases in which metacontroller 4.17 goes wrong, see docs/from-metacontroller.md.

// TestWebhookKeepsTheGeneratedLabel removes the label by which the children are selected: the child
// gets it back, and stays one.
func TestWebhookKeepsTheGeneratedLabel(t *testing.T) {
	t.Parallel()
	r, s := newRig(t), newHookService(t)
	s.answer("pages", works)
	r.defineAll(t, map[string]definition{"pages": s.hooked(r, "pages", map[string]any{"generateSelector": true})})
	r.hookParent(t, "pages", "p", "x")
	r.start(t)
	r.page(t, "p", "x")
	uid := string(r.get(t, things, "p").GetUID())
	before := r.get(t, configMaps, "p-page")
	if got := before.GetLabels()["controller-uid"]; got != uid {
		t.Fatalf("the label is %q, want the UID of the parent", got)
	}
	r.patch(t, configMaps, "p-page", `{"metadata": {"labels": {"controller-uid": null}}}`)
	after := r.await(t, configMaps, "the label again", func(o objects) bool {
		return o["p-page"] != nil && o["p-page"].GetLabels()["controller-uid"] == uid
	})["p-page"]
	if after.GetUID() != before.GetUID() || controlledBy(after) != "p" {
		t.Errorf("the object was %s of %q, and is %s of %q", before.GetUID(), controlledBy(before), after.GetUID(), controlledBy(after))
	}
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.page(t, "p", "y")
}

// TestWebhookRecreates changes a Deployment that may be recreated: in place where that is possible,
// and else once.
func TestWebhookRecreates(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("TestRecreate has the same of another composer")
	}
	r, s := newRig(t), newHookService(t)
	servers := serversOf(1, plainly)
	answer := func(app string) hookAnswer {
		return func(w http.ResponseWriter, req *http.Request, call hookCall) any {
			said, _ := servers(w, req, call).(map[string]any)
			children, _ := said["children"].([]any)
			server, _ := children[0].(map[string]any)
			for _, path := range [][]string{{"spec", "selector", "matchLabels", "app"}, {"spec", "template", "metadata", "labels", "app"}} {
				if err := unstructured.SetNestedField(server, app, path...); err != nil {
					s.mistakef("setting %v: %v", path, err)
				}
			}
			return said
		}
	}
	s.answer("p", answer("one"))
	r.defineAll(t, map[string]definition{"p": s.hooked(r, "p", map[string]any{
		"children": []any{map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "update": "recreate"}},
	})})
	r.start(t)
	r.hookParent(t, "p", "p", "a")
	r.awaitImages(t, "a")
	before := r.get(t, deployments, "p-0").GetUID()
	r.patch(t, things, "p", `{"spec": {"text": "b"}}`)
	r.awaitImages(t, "b")
	if now := r.get(t, deployments, "p-0").GetUID(); now != before {
		t.Error("the Deployment is another one, and could have been changed in place")
	}
	s.answer("p", answer("two"))
	r.touch(t, "p")
	r.await(t, deployments, "another object", func(o objects) bool { return o["p-0"] != nil && o["p-0"].GetUID() != before })
	r.awaitImages(t, "b")
	if events := r.eventsOf(t, r.get(t, things, "p"), "ComposeFailed"); len(events) > 0 {
		t.Errorf("there are the events %v", events)
	}
}

// TestWebhookSettles has a hook that answers with what is stored otherwise than it is written, and
// with conditions of this very moment: nothing is written again, by another process neither.
func TestWebhookSettles(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("TestWrittenOtherwise has the same of another composer")
	}
	shared.Apply(t, factsDefinition)
	r, s := newRig(t), newHookService(t)
	mutateConfigMaps(t, r.namespace, "admitted", "changed")
	children, owns, _ := writtenChildren(t)
	var kinds, answered []any
	for _, kind := range owns {
		kinds = append(kinds, map[string]any{"apiVersion": kind.APIVersion, "kind": kind.Kind})
	}
	for _, child := range children {
		metadata, _ := child.Object["metadata"].(map[string]any)
		metadata["name"] = strings.ReplaceAll(fmt.Sprint(metadata["name"]), "{name}", "p")
		answered = append(answered, child.Object)
	}
	s.answer("p", func(http.ResponseWriter, *http.Request, hookCall) any {
		return map[string]any{"children": answered, "status": map[string]any{"observedGeneration": 0, "conditions": []any{map[string]any{
			"type": "Theirs", "status": "True", "reason": "Fine", "message": "", "lastTransitionTime": time.Now().Format(time.RFC3339),
		}}}}
	})
	r.defineAll(t, map[string]definition{"p": s.hooked(r, "p", map[string]any{"children": kinds})})
	p := r.start(t)
	settle := func() { // The second call begins when the pass of the first is over.
		t.Helper()
		for range 2 {
			before := s.called("p", "sync", "p")
			r.touch(t, "p")
			p.Await(t, "another call of the hook", func() bool { return s.called("p", "sync", "p") > before })
		}
	}
	r.hookParent(t, "p", "p", "x")
	for range 2 {
		settle()
	}
	for _, w := range r.writes(t, r.begun) {
		if w.code >= 300 && w.code != http.StatusConflict { // The test changes the parent, too.
			t.Errorf("it was refused: %s", w)
		}
	}
	mark := shared.AuditMark(t)
	settle()
	r.noWrites(t, mark, "by further passes")
	p.kill9(t)
	mark = shared.AuditMark(t)
	p = r.start(t)
	settle()
	r.noWrites(t, mark, "after a restart")
}

// TestWebhookPutsOff has a hook that is busy, and says so at length: that is no failure.
func TestWebhookPutsOff(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("it takes longer; TestAComposerThatPutsOff of pkg/compose and TestRetryAfter of the plugin have the same")
	}
	r, s := newRig(t), newHookService(t)
	s.answer("p", works)
	r.defineAll(t, map[string]definition{"p": s.hooked(r, "p", nil)})
	p := r.start(t)
	r.hookParent(t, "p", "p", "before")
	r.page(t, "p", "before")
	before := r.get(t, configMaps, "p-page")
	const busy = 4
	var calls atomic.Int32
	s.answer("p", func(w http.ResponseWriter, _ *http.Request, call hookCall) any {
		if calls.Add(1) > busy {
			return pageOf(call)
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "<html>"+strings.Repeat("busy ", 1000))
		return nil
	})
	r.patch(t, things, "p", `{"spec": {"text": "after"}}`)
	p.Await(t, "the last answer but one", func() bool { return calls.Load() >= busy })
	r.untouched(t, configMaps, before)
	if text := p.readyz(t); !strings.Contains(text, "p: Running since") {
		t.Errorf("the definition is said to be:\n%s", text)
	}
	r.page(t, "p", "after")
	r.ready(t, "p")
	if events := r.eventsAbout(t, "p"); len(events) > 0 {
		t.Errorf("there is the event %s", events[0].Note)
	}
	if got, _ := p.Metric(t, `kooperd_webhook_requests_total{controller="p",hook="sync",outcome="throttled"}`); got != fmt.Sprint(busy) {
		t.Errorf("%s requests were throttled, want %d", got, busy)
	}
	if strings.Contains(p.Tail(10000), strings.Repeat("busy ", 60)) {
		t.Error("the log has more of the answer than its beginning")
	}
}

// TestWebhookOfARemovedDefinition removes a definition with a finalize hook: its finalizer goes,
// and the parent can be deleted.
func TestWebhookOfARemovedDefinition(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("TestOnRemove has the same of another composer")
	}
	r, s := newRig(t), newHookService(t)
	s.answer("p", works)
	s.answer(healthyDefinition, works)
	with := map[string]definition{
		"p":               s.hooked(r, "p", map[string]any{"finalize": s.endpoint("p", "finalize")}),
		healthyDefinition: s.hooked(r, healthyDefinition, nil),
	}
	r.defineAll(t, with)
	p := r.start(t)
	r.hookParent(t, "p", "p", "x")
	r.page(t, "p", "x")
	r.await(t, things, "the finalizer", func(o objects) bool { return len(o["p"].GetFinalizers()) == 1 })
	delete(with, "p")
	r.removed = []string{"p"}
	r.defineAll(t, with)
	p.reload(t)
	r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
	r.remove(t, things, "p")
	r.await(t, things, "the end of the parent", func(o objects) bool { return o["p"] == nil })
	if n := s.called("p", "finalize", "p"); n > 0 {
		t.Errorf("finalize was called %d times by a definition that is gone", n)
	}
}

// TestWebhookAdoptsWhatItNames has hooks that answer with objects that exist: what may be adopted
// becomes a child where an answer names it, and a parent never does.
func TestWebhookAdoptsWhatItNames(t *testing.T) {
	t.Parallel()
	r, s := newRig(t), newHookService(t)
	names := map[string]string{"itself": "itself", "other": "plain"} // of the parents that hooks answer with
	s.answer("pages", func(_ http.ResponseWriter, _ *http.Request, call hookCall) any {
		answer := pageOf(call)
		if name, there := names[call.parent().GetName()]; there {
			answer["children"] = []any{map[string]any{
				"apiVersion": things.GroupVersion().String(), "kind": "Thing", "metadata": map[string]any{"name": name},
				"spec": map[string]any{"text": "taken"},
			}}
		}
		return answer
	})
	r.defineAll(t, map[string]definition{"pages": s.hooked(r, "pages", map[string]any{"children": []any{
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "adopt": "ifUnowned"},
		map[string]any{"apiVersion": things.GroupVersion().String(), "kind": "Thing", "adopt": "ifUnowned"},
	}})})
	for _, name := range []string{"plain-page", "unnamed-page"} {
		r.create(t, configMaps, fmt.Sprintf(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": %q}, "data": {"more": "theirs"}}`, name))
	}
	unnamed := r.get(t, configMaps, "unnamed-page")
	parents := []string{"plain", "itself", "other"}
	for _, name := range parents {
		r.hookParent(t, "pages", name, "own")
	}
	r.start(t)
	r.page(t, "plain", "own")
	if adopted := r.get(t, configMaps, "plain-page"); controlledBy(adopted) != "plain" {
		t.Errorf("what the answer names is controlled by %q", controlledBy(adopted))
	}
	r.awaitCondition(t, "itself", "is the parent itself, which cannot be its own child")
	r.awaitCondition(t, "other", r.namespace+"/"+names["other"], "the definition handles it as a parent")
	r.untouched(t, configMaps, unnamed)
	for name, parent := range r.list(t, things) {
		marks := slices.Sorted(maps.Keys(parent.GetLabels()))
		text, _, _ := unstructured.NestedString(parent.Object, "spec", "text")
		if !slices.Equal(marks, []string{hookLabel}) || metav1.GetControllerOf(parent) != nil || text != "own" {
			t.Errorf("the parent %s has the labels %v, the controller %q, and the text %s", name, marks, controlledBy(parent), text)
		}
	}
}

// TestWebhookThatIsSlow has a hook that does not answer: it gets no more requests at a time than
// the definition says, and another definition goes on.
func TestWebhookThatIsSlow(t *testing.T) {
	t.Parallel()
	const atOnce, parents = 2, 6
	r, s := newRig(t), newHookService(t)
	release := make(chan struct{})
	var now, most atomic.Int32
	s.answer(healthyDefinition, works)
	s.answer("slow", func(_ http.ResponseWriter, req *http.Request, call hookCall) any {
		n := now.Add(1)
		defer now.Add(-1)
		for known := most.Load(); n > known; known = most.Load() {
			most.CompareAndSwap(known, n)
		}
		select {
		case <-release:
			return pageOf(call)
		case <-req.Context().Done():
			return nil
		}
	})
	slow := s.hooked(r, "slow", map[string]any{
		"maxConcurrent": atOnce, "sync": map[string]any{"url": s.endpoint("slow", "sync")["url"], "timeout": "50s"},
	})
	slow.settings["workers"] = parents
	r.defineAll(t, map[string]definition{"slow": slow, healthyDefinition: s.hooked(r, healthyDefinition, nil)})
	r.hookParent(t, healthyDefinition, healthyDefinition, "0")
	for i := range parents {
		r.hookParent(t, "slow", fmt.Sprintf("p%d", i), "x")
	}
	p := r.start(t)
	p.Await(t, "as many calls as there may be", func() bool { return now.Load() == atOnce })
	p.Await(t, "all workers to wait", func() bool {
		got, _ := p.Metric(t, `kooperd_controller_busy_workers{controller="slow"}`)
		return got == fmt.Sprint(parents)
	})
	r.page(t, healthyDefinition, "0")
	r.patch(t, things, healthyDefinition, `{"spec": {"text": "1"}}`)
	r.page(t, healthyDefinition, "1")
	if got, _ := p.Metric(t, `kooperd_webhook_requests_in_flight{controller="slow",hook="sync"}`); got != fmt.Sprint(atOnce) {
		t.Errorf("kooperd_webhook_requests_in_flight is %s, want %d", got, atOnce)
	}
	if text := p.readyz(t); !strings.Contains(text, "slow: Running since") || !strings.Contains(text, healthyDefinition+": Running since") {
		t.Errorf("the definitions are said to be:\n%s", text)
	}
	close(release)
	for i := range parents {
		r.page(t, fmt.Sprintf("p%d", i), "x")
	}
	if got := most.Load(); got != atOnce {
		t.Errorf("the hook has had %d requests at a time, want %d", got, atOnce)
	}
}
