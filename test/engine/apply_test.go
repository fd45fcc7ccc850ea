package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

const watchSecrets = `watch: {apiVersion: "v1", kind: "Secret", namespaces: [%[1]q]}`

// TestApply adds, replaces and removes definitions beside one that must not notice.
func TestApply(t *testing.T) {
	same := `same: {` + watchConfigMaps + `, retry: initialDelay: "4m", handler: test: {}}` + "\n"
	r := start(t, options{
		definitions: same + `changed: {` + watchConfigMaps + `, handler: test: version: "1"}` + "\n" +
			`removed: {` + watchConfigMaps + `, handler: test: {}}`,
		handle: func(_ context.Context, env handlers.Env, req handlers.Request) (handlers.Result, error) {
			if env.Definition == "same" && req.Object.Name() == "fails" {
				return handlers.Result{}, errors.New("as the test wants")
			}
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a", "fails")
	for _, name := range []string{"same", "changed", "removed"} {
		r.awaitCalls(t, name, 2)
	}
	want := engine.Changes{
		Added: []string{"added"}, Replaced: []string{"changed"}, Removed: []string{"removed"}, Kept: []string{"same"},
	}
	have := r.apply(t, same+`changed: {`+watchConfigMaps+`, handler: test: version: "2"}`+"\n"+
		`added: {`+watchSecrets+`, handler: test: {}}`)
	if diff := cmp.Diff(want, have, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changes (-want +have):\n%s", diff)
	}
	r.await(t, "both objects with the new handler", func() bool {
		seen := map[string]bool{}
		for _, c := range r.of("changed") {
			seen[c.version+c.object] = true
		}
		return seen["2a"] && seen["2fails"]
	})
	r.await(t, "the end of what was removed", func() bool {
		_, ok := r.board.All()["removed"]
		return !ok && r.series(t, "removed") == 0
	})
	shared.Kubectl(t, "-n", r.namespace, "create", "secret", "generic", "s")
	r.awaitCalls(t, "added", 1)
	r.change(t, "a", "1")
	r.await(t, "the change of a", func() bool {
		calls := r.of("changed")
		last := calls[len(calls)-1]
		return len(r.of("same")) == 3 && last.cause == handlers.CauseChange && last.version == "2"
	})
	if n := len(r.of("removed")); n != 2 {
		t.Errorf("the removed definition was called %d times, want 2", n)
	}
	if n := len(r.of("same")); n != 3 {
		t.Errorf("the definition that is the same was called %d times, want 3", n)
	}
	if n := r.series(t, "Secret"); n == 0 {
		t.Error("the source of secrets has no metrics")
	}
	r.apply(t, same)
	r.await(t, "the end of the source of secrets", func() bool { return r.series(t, "Secret") == 0 })
}

// TestApplyWaitsForTheNewSource changes a definition to one that cannot be watched, and then again.
func TestApplyWaitsForTheNewSource(t *testing.T) {
	r := start(t, options{
		definitions: `d: {` + watchConfigMaps + `, handler: test: version: "1"}`,
		handle:      succeed,
	})
	r.create(t, "a")
	r.awaitCalls(t, "d", 1)
	r.apply(t, `d: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q], fieldSelector: "metadata.nothing=x"}, handler: test: version: "2"}`)
	r.await(t, "the state ReloadPending", func() bool { return r.board.Get("d").State == status.ReloadPending })
	r.change(t, "a", "1")
	if calls := r.awaitCalls(t, "d", 2); calls[1].version != "1" {
		t.Errorf("the change was handled by version %s, want 1", calls[1].version)
	}
	r.apply(t, `d: {`+watchConfigMaps+`, handler: test: version: "3"}`)
	r.await(t, "the new handler", func() bool {
		calls := r.of("d")
		return calls[len(calls)-1].version == "3"
	})
	r.await(t, "the state Running", func() bool { return r.board.Get("d").State == status.Running })
}

// TestApplyChangesTheKind changes a definition to a kind that is not served, and then to one that
// is.
func TestApplyChangesTheKind(t *testing.T) {
	r := start(t, options{
		definitions: `d: {` + watchConfigMaps + `, handler: test: version: "1"}`,
		handle:      succeed,
	})
	r.create(t, "a")
	r.awaitCalls(t, "d", 1)
	r.apply(t, `d: {watch: {apiVersion: "example.com/v1", kind: "Absent", namespaces: [%[1]q]}, handler: test: version: "2"}`)
	r.await(t, "the state ReloadPending", func() bool { return r.board.Get("d").State == status.ReloadPending })
	want := map[string]string{"d": "the API server does not serve kind Absent of example.com/v1"}
	if diff := cmp.Diff(want, r.engine.Pending()); diff != "" {
		t.Errorf("pending (-want +have):\n%s", diff)
	}
	r.change(t, "a", "1")
	if calls := r.awaitCalls(t, "d", 2); calls[1].version != "1" {
		t.Errorf("the change was handled by version %s, want 1", calls[1].version)
	}
	shared.Kubectl(t, "-n", r.namespace, "create", "secret", "generic", "s")
	r.apply(t, `d: {`+watchSecrets+`, handler: test: version: "3"}`)
	r.await(t, "the secret with the new handler", func() bool {
		calls := r.of("d")
		last := calls[len(calls)-1]
		return last.version == "3" && last.object == "s"
	})
	r.await(t, "the state Running", func() bool { return r.board.Get("d").State == status.Running })
}

// TestChangeStartsTheBackoffAnew changes an object ten times a second while its calls fail. When
// they could succeed, the next one comes soon.
func TestChangeStartsTheBackoffAnew(t *testing.T) {
	fails := make(chan struct{})
	r := start(t, options{
		definitions: `d: {` + watchConfigMaps + `, retry: initialDelay: "100ms", handler: test: {}}`,
		handle: func(context.Context, handlers.Env, handlers.Request) (handlers.Result, error) {
			select {
			case <-fails:
				return handlers.Result{}, nil
			default:
				return handlers.Result{}, errors.New("as the test wants")
			}
		},
	})
	r.create(t, "a")
	r.awaitCalls(t, "d", 1)
	for i := range 20 {
		r.change(t, "a", time.Duration(i).String())
	}
	r.await(t, "a retry after the last change", func() bool {
		calls := r.of("d")
		return calls[len(calls)-1].attempt >= 1
	})
	close(fails)
	r.await(t, "the state Running", func() bool { return r.board.Get("d").State == status.Running })
	retries := 0
	for _, c := range r.of("d") {
		if c.cause == handlers.CauseRetry {
			retries++
		}
		if c.cause == handlers.CauseChange && c.attempt != 0 {
			t.Errorf("a change is attempt %d", c.attempt)
		}
	}
	r.metric(t, "kooperd_controller_retries_total", "d", float64(retries))
}

// series returns how many series have a label of that value.
func (r *rig) series(t *testing.T, value string) (n int) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetValue() == value {
					n++
				}
			}
		}
	}
	return n
}
