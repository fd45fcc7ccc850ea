package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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

// forbiddenWrites takes the right to write children away while kooperd runs.
func forbiddenWrites(s *scene) func() {
	kubeconfig := s.account()
	revoke := s.maySecrets()
	s.thing("one", nil)
	p := s.start(daemon.Options{Kubeconfig: kubeconfig, Config: s.write(s.things(`handler: apply: children: child: template: {
	apiVersion: "v1", kind: "Secret", metadata: name: "${object.metadata.name}-child"
}`))})
	client := shared.Client().CoreV1().Secrets(s.namespace)
	p.Await(s.T, "the first child", func() bool {
		_, err := client.Get(s.Context(), "one-child", metav1.GetOptions{})
		return err == nil || !apierrors.IsNotFound(err)
	})
	revoke() // The API server obeys a moment later.
	more := 0
	s.await("a write is forbidden", func() bool {
		s.thing(fmt.Sprint("more-", more), nil)
		more++
		failed := s.prometheus.value(s.T, fmt.Sprintf(`kooperd_compose_errors_total{job=%q, controller="things", reason="Forbidden"}`, s.job))
		return failed != "" && failed != "0"
	}, func() string { return "none is" })
	return func() { s.maySecrets() }
}
