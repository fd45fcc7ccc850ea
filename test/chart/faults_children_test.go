package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// rivalManager is the field manager of a party that undoes changes.
const rivalManager = "rival"

// hook is a handler with a sync hook, which answers with as many children for each parent as
// children returns, or with an error if that is negative.
func (s *scene) hook(children func() int) (handler string) {
	s.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var request struct {
			Parent struct{ Metadata struct{ Name string } }
		}
		n := children()
		if err := json.NewDecoder(req.Body).Decode(&request); err != nil || n < 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer := []any{}
		for i := range n {
			answer = append(answer, map[string]any{
				"apiVersion": "v1", "kind": "Secret",
				"metadata": map[string]any{"name": fmt.Sprintf("%s-%d", request.Parent.Metadata.Name, i)},
			})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"children": answer})
	}))
	s.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return fmt.Sprintf("handler: webhook: {\nsync: {url: %q, timeout: \"5s\"}\nchildren: [{apiVersion: \"v1\", kind: \"Secret\"}]\n}", server.URL)
}

// brokenHook answers every request with an error.
func brokenHook(s *scene) func() {
	var children atomic.Int64
	children.Store(-1)
	handler := s.hook(func() int { return int(children.Load()) })
	s.manyThings(2)
	s.run(s.things("retry: {initialDelay: \"50ms\", maxDelay: \"2s\"}\n" + handler))
	return func() { children.Store(1) }
}

// emptyHandedHook wants no children any more, all of a sudden.
func emptyHandedHook(s *scene) func() {
	var children atomic.Int64
	children.Store(3)
	handler := s.hook(func() int { return int(children.Load()) })
	s.manyThings(12)
	s.run(s.things("resync: \"2s\"\n" + handler))
	s.awaitValue(`kooperd_compose_children{JOB, controller="things", state="ready"}`, "36")
	children.Store(0)
	return func() { children.Store(3) }
}

// apply is a handler with one child, a ConfigMap with a value, which is ready when the value begins
// with "good".
func apply(value string) string {
	return fmt.Sprintf(`handler: apply: children: child: {
	template: {apiVersion: "v1", kind: "ConfigMap", metadata: name: "${object.metadata.name}-child", data: value: %q}
	readyWhen: "self.data.value.startsWith('good')"
}`, value)
}

// badRollout changes all parents to what does not become ready, one at a time.
func badRollout(s *scene) func() {
	rollout := "rollout: maxUnavailable: 1\n"
	s.manyThings(4)
	p := s.run(s.things(rollout + apply("good")))
	s.awaitValue(`kooperd_rollout_parents{JOB, controller="things", state="updated"}`, "4")
	s.write(s.things(rollout + apply("bad")))
	s.reload(p)
	return func() {
		s.write(s.things(rollout + apply("good again")))
		s.reload(p)
	}
}

// rival changes a child back, fifty times in a second.
func rival(s *scene) func() {
	s.thing("one", nil)
	s.run(s.things(apply("good")))
	s.awaitValue(`kooperd_compose_children{JOB, controller="things", state="ready"}`, "1")
	ctx, cancel := context.WithCancel(s.Context())
	var fighting sync.WaitGroup
	fighting.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			_, err := shared.Client().CoreV1().ConfigMaps(s.namespace).Patch(ctx, "one-child", types.MergePatchType,
				[]byte(`{"data": {"value": "good for me"}}`), metav1.PatchOptions{FieldManager: rivalManager})
			if err != nil && ctx.Err() == nil {
				s.Errorf("changing the child: %v", err)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	stop := func() { cancel(); fighting.Wait() }
	s.Cleanup(stop)
	return stop
}

// foreignObject stands where a child should be.
func foreignObject(s *scene) func() {
	client := shared.Client().CoreV1().ConfigMaps(s.namespace)
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one-child"}}
	if _, err := client.Create(s.Context(), foreign, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.thing("one", nil)
	s.run(s.things(apply("good")))
	return func() {
		if err := client.Delete(s.Context(), foreign.Name, metav1.DeleteOptions{}); err != nil {
			s.Fatal(err)
		}
	}
}

// secretChild is a handler with one child, a Secret.
const secretChild = `handler: apply: children: child: template: {
	apiVersion: "v1", kind: "Secret", metadata: name: "${object.metadata.name}-child"
}`

// forbiddenWrites has a policy that refuses children.
func forbiddenWrites(s *scene) func() {
	lift := shared.Deny(s.T, s.namespace, "no-secrets", "secrets", `"CREATE"`, `{expression: "false", message: "no Secrets here", reason: "Forbidden"}`)
	s.run(s.things(secretChild))
	more := 0
	s.await("a write is forbidden", func() bool { // The API server obeys a moment later.
		s.thing(fmt.Sprint("thing-", more), nil)
		more++
		failed := s.prometheus.value(s.T, fmt.Sprintf(`kooperd_compose_refused_objects{job=%q, controller="things", by="admission"}`, s.job))
		return failed != "" && failed != "0"
	}, func() string { return "none is" })
	return func() {
		lift()
		s.await("what was refused is made", func() bool { // The retry may be minutes away.
			for i := range more {
				if err := s.touch(s.Context(), fmt.Sprint("thing-", i)); err != nil {
					s.Fatal(err)
				}
			}
			return s.prometheus.value(s.T, fmt.Sprintf(`kooperd_compose_refused_objects{job=%q, by="admission"}`, s.job)) == "0"
		}, func() string { return "it is not" })
	}
}

// missingRight lacks the right to write children. It asks the API server which that is, and that is
// all that is told of it, however long children have been refused.
func missingRight(s *scene) func() {
	account := s.account()
	shared.Grant(s.T, s.namespace, "kooperd", cluster.InNamespace(s.namespace, cluster.Allow("get,list,watch", "", "secrets")))
	s.thing("one", nil)
	s.start(daemon.Options{Kubeconfig: account, Config: s.write(s.things(secretChild))})
	refused := `kooperd_compose_refused_objects{JOB, controller="things", by="rights"}`
	s.awaitValue(refused+" offset 30s", "1") // Alerts that are due after 15 s have come.
	return func() {
		s.maySecrets()
		if err := s.touch(s.Context(), "one"); err != nil { // The retry may be minutes away.
			s.Fatal(err)
		}
		s.awaitValue(refused, "0")
	}
}

// heldChild has a child that does not go, since it has a finalizer of somebody else, below a parent
// that was deleted.
func heldChild(s *scene) func() {
	client := shared.Client().CoreV1().ConfigMaps(s.namespace)
	s.thing("one", nil)
	s.run(s.things(strings.Replace(apply("good"), "children:", `{deletion: "ordered", children:`, 1) + "}"))
	s.awaitValue(`kooperd_compose_children{JOB, controller="things", state="ready"}`, "1")
	s.hold("one-child", `["example.com/hold"]`)
	if err := client.Delete(s.Context(), "one", metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	return func() { s.hold("one-child", "null") }
}

// hold sets the finalizers of an object, given as JSON.
func (s *scene) hold(name, finalizers string) {
	s.Helper()
	s.change(name, fmt.Sprintf(`{"metadata": {"finalizers": %s}}`, finalizers))
}

// prunedChild has a child that is not desired any more, and that a finalizer of somebody else
// keeps. Its parent is ready.
func prunedChild(s *scene) func() {
	s.thing("one", map[string]string{"extra": "yes"})
	const extra = `more: {
	includeWhen: "object.data.extra == 'yes'"
	template: {apiVersion: "v1", kind: "ConfigMap", metadata: name: "${object.metadata.name}-more"}
}`
	s.run(s.things(strings.Replace(apply("good"), "children: child:", "children: {"+extra+"\nchild:", 1) + "}"))
	s.awaitValue(`kooperd_compose_children{JOB, controller="things", state="ready"}`, "2")
	s.hold("one-more", `["example.com/hold"]`)
	s.change("one", `{"data": {"extra": "no"}}`)
	return func() { s.hold("one-more", "null") }
}

// deletedChild has a child that somebody has deleted, and that a finalizer keeps. Until it is gone,
// it cannot be made anew, so its parent is not ready.
func deletedChild(s *scene) func() {
	s.thing("one", nil)
	s.run(s.things(apply("good")))
	s.awaitValue(`kooperd_compose_children{JOB, controller="things", state="ready"}`, "1")
	s.hold("one-child", `["example.com/hold"]`)
	if err := shared.Client().CoreV1().ConfigMaps(s.namespace).Delete(s.Context(), "one-child", metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	return func() { s.hold("one-child", "null") }
}

// slowChild has a child that is not ready before somebody else does something.
func slowChild(s *scene) func() {
	s.thing("one", nil)
	s.thing("two", nil)
	s.run(s.things(strings.Replace(apply("as it is"), "self.data.value.startsWith('good')", "has(self.metadata.annotations) && 'done' in self.metadata.annotations", 1)))
	s.awaitValue(`kooperd_compose_children{JOB, controller="things", state="notReady"}`, "2")
	return func() {
		for _, child := range []string{"one-child", "two-child"} {
			s.change(child, `{"metadata": {"annotations": {"done": "yes"}}}`)
		}
	}
}

// change changes an object by a merge patch.
func (s *scene) change(name, patch string) {
	s.Helper()
	_, err := shared.Client().CoreV1().ConfigMaps(s.namespace).Patch(s.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		s.Fatal(err)
	}
}
