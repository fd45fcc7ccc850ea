package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

const watchConfigMaps = `watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q], labelSelector: "e2e"}`

func TestPanicIsRecoveredAndRetried(t *testing.T) {
	r := start(t, options{
		definitions: `panics: {` + watchConfigMaps + `, retry: initialDelay: "10ms", handler: test: {}}`,
		handle: func(_ context.Context, _ handlers.Env, req handlers.Request) (handlers.Result, error) {
			if req.Attempt < 4 {
				panic("as the test wants")
			}
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	calls := r.awaitCalls(t, "panics", 5)
	for i, c := range calls[:5] {
		if c.attempt != i {
			t.Errorf("attempt of call %d is %d", i, c.attempt)
		}
	}
	if calls[1].cause != handlers.CauseRetry {
		t.Errorf("cause of the second call is %s, want %s", calls[1].cause, handlers.CauseRetry)
	}
	r.metric(t, "kooperd_controller_panics_total", "panics", 4)
	r.metric(t, "kooperd_controller_retries_total", "panics", 4)
	r.await(t, "Running after the success", func() bool { return r.board.Get("panics").State == status.Running })
}

func TestTerminalErrorWaitsForAChange(t *testing.T) {
	r := start(t, options{
		definitions: `ends: {` + watchConfigMaps + `, retry: initialDelay: "1ms", handler: test: {}}` + "\n" +
			`other: {` + watchConfigMaps + `, handler: test: {}}`,
		handle: func(_ context.Context, env handlers.Env, _ handlers.Request) (handlers.Result, error) {
			if env.Definition == "ends" {
				return handlers.Result{}, fmt.Errorf("wrapped: %w", handlers.Terminal(errors.New("bad object")))
			}
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	r.await(t, "the state Degraded", func() bool { return r.board.Get("ends").State == status.Degraded })
	if got, want := r.board.Get("ends").Reason, r.namespace+"/a: wrapped: bad object"; !strings.HasSuffix(got, want) {
		t.Errorf("reason is %q, want %q at its end", got, want)
	}
	r.await(t, "the state Running of the other definition", func() bool { return r.board.Get("other").State == status.Running })
	r.change(t, "a", "1")
	calls := r.awaitCalls(t, "ends", 2)
	if len(calls) != 2 || calls[1].cause != handlers.CauseChange || calls[1].attempt != 0 {
		t.Errorf("calls are %+v, want two, the second one for the change", calls)
	}
	r.awaitMetric(t, "kooperd_controller_terminal_errors_total", "ends", 2)
	r.metric(t, "kooperd_controller_retries_total", "ends", 0)
}

func TestOutOfRetriesUntilAChange(t *testing.T) {
	var healthy atomic.Bool
	r := start(t, options{
		definitions: `fails: {` + watchConfigMaps + `, retry: {maxRetries: 2, initialDelay: "1ms"}, handler: test: {}}`,
		handle: func(context.Context, handlers.Env, handlers.Request) (handlers.Result, error) {
			if healthy.Load() {
				return handlers.Result{}, nil
			}
			return handlers.Result{}, errors.New("not today")
		},
	})
	r.create(t, "a")
	r.await(t, "the object out of retries", func() bool {
		return strings.Contains(r.board.Get("fails").Reason, "1 of them not retried until they change")
	})
	if got := len(r.of("fails")); got != 3 {
		t.Errorf("the object was handled %d times, want 3", got)
	}
	r.metric(t, "kooperd_controller_objects_out_of_retries", "fails", 1)
	healthy.Store(true)
	r.change(t, "a", "1")
	r.await(t, "the state Running", func() bool { return r.board.Get("fails").State == status.Running })
	r.metric(t, "kooperd_controller_objects_out_of_retries", "fails", 0)
	r.metric(t, "kooperd_controller_failing_objects", "fails", 0)
}

func TestDeletedObjectIsNoTroubleAnyMore(t *testing.T) {
	r := start(t, options{
		definitions: `fails: {` + watchConfigMaps + `, retry: {maxRetries: 0}, handler: test: {}}`,
		handle: func(context.Context, handlers.Env, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, errors.New("never")
		},
	})
	r.create(t, "a")
	r.await(t, "the state Degraded", func() bool { return r.board.Get("fails").State == status.Degraded })
	shared.Kubectl(t, "-n", r.namespace, "delete", "configmap", "a")
	r.await(t, "the state Running", func() bool { return r.board.Get("fails").State == status.Running })
}

func TestRequeueAfter(t *testing.T) {
	const after = 300 * time.Millisecond
	r := start(t, options{
		definitions: `again: {` + watchConfigMaps + `, handler: test: {}}`,
		handle: func(_ context.Context, _ handlers.Env, req handlers.Request) (handlers.Result, error) {
			return handlers.Result{RequeueAfter: after}, nil
		},
	})
	r.create(t, "a")
	calls := r.awaitCalls(t, "again", 3)
	for i := 1; i < 3; i++ {
		if gap := calls[i].at.Sub(calls[i-1].at); gap < after {
			t.Errorf("call %d came %s after the one before, want at least %s", i, gap, after)
		}
		if calls[i].cause != handlers.CauseRequeue || calls[i].attempt != 0 {
			t.Errorf("call %d is %+v, want a requeue without failed attempts", i, calls[i])
		}
	}
}

func TestTimeoutEndsTheContext(t *testing.T) {
	r := start(t, options{
		definitions: `slow: {` + watchConfigMaps + `, timeout: "100ms", retry: {maxRetries: 1, initialDelay: "1ms"}, handler: test: {}}`,
		handle: func(ctx context.Context, _ handlers.Env, _ handlers.Request) (handlers.Result, error) {
			<-ctx.Done()
			return handlers.Result{}, ctx.Err()
		},
	})
	r.create(t, "a")
	r.await(t, "the state Degraded", func() bool { return r.board.Get("slow").State == status.Degraded })
	if got, want := r.board.Get("slow").Reason, "after the timeout of 100ms: context deadline exceeded"; !strings.HasSuffix(got, want) {
		t.Errorf("reason is %q, want %q at its end", got, want)
	}
	r.metric(t, "kooperd_controller_timeouts_total", "slow", 2)
}

// TestStuckHandlerHarmsNobodyElse lets a sequential handler ignore its deadline. Its definition
// says so, and another one on the same objects goes on.
func TestStuckHandlerHarmsNobodyElse(t *testing.T) {
	release := make(chan struct{})
	r := start(t, options{
		definitions: `stuck: {` + watchConfigMaps + `, timeout: "10ms", handler: test: {}}` + "\n" +
			`other: {` + watchConfigMaps + `, handler: test: {}}`,
		handle: func(_ context.Context, env handlers.Env, _ handlers.Request) (handlers.Result, error) {
			if env.Definition == "stuck" {
				<-release
			}
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	r.create(t, "b")
	r.awaitCalls(t, "other", 2)
	r.await(t, "the state Degraded", func() bool {
		return strings.Contains(r.board.Get("stuck").Reason, "1 call(s) ignore the deadline")
	})
	if got := len(r.of("stuck")); got != 1 {
		t.Errorf("the stuck definition has made %d calls, want 1", got)
	}
	close(release)
	r.awaitCalls(t, "stuck", 2)
	r.await(t, "the state Running", func() bool { return r.board.Get("stuck").State == status.Running })
}

func TestResync(t *testing.T) {
	r := start(t, options{
		definitions: `again: {` + watchConfigMaps + `, resync: "1s", handler: test: {}}`,
		handle: func(context.Context, handlers.Env, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	r.create(t, "b")
	r.await(t, "three resyncs of each object", func() bool {
		n := map[string]int{}
		for _, c := range r.of("again") {
			if c.cause == handlers.CauseResync {
				n[c.object]++
			}
		}
		return n["a"] >= 3 && n["b"] >= 3
	})
}

// TestFailingConstructor degrades its definition and is tried again.
func TestFailingConstructor(t *testing.T) {
	var seen, panicked atomic.Bool
	r := start(t, options{
		definitions: `late: {` + watchConfigMaps + `, handler: test: {}}`,
		build: func(handlers.Env) error {
			if !seen.Load() {
				return errors.New("the mail server is away")
			}
			if !panicked.Swap(true) {
				panic("so is everything")
			}
			return nil
		},
		handle: func(context.Context, handlers.Env, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	r.await(t, "the state Degraded", func() bool {
		return r.board.Get("late").Reason == "making the test handler: the mail server is away"
	})
	seen.Store(true)
	r.awaitCalls(t, "late", 1)
	r.await(t, "the state Running", func() bool { return r.board.Get("late").State == status.Running })
	r.metric(t, "kooperd_controller_panics_total", "late", 1)
}

// TestObjectIsTheHandlersOwn changes what a handler was given; the cache must not notice.
func TestObjectIsTheHandlersOwn(t *testing.T) {
	seen := make(chan string, 10)
	r := start(t, options{
		definitions: `writes: {` + watchConfigMaps + `, handler: test: {}}`,
		handle: func(_ context.Context, env handlers.Env, req handlers.Request) (handlers.Result, error) {
			var cm corev1.ConfigMap
			if err := req.Object.Into(&cm); err != nil {
				return handlers.Result{}, err
			}
			cm.Labels["e2e"] = "spoilt"
			req.Object.Metadata().Labels["e2e"] = "spoilt"
			var u unstructured.Unstructured
			if err := req.Object.Into(&u); err != nil {
				return handlers.Result{}, err
			}
			u.SetLabels(map[string]string{"e2e": "spoilt"})
			cached, ok := env.Lister.Get(req.Object.Namespace(), req.Object.Name())
			if !ok || len(env.Lister.List(req.Object.Namespace(), nil)) != 1 {
				return handlers.Result{}, handlers.Terminal(errors.New("the lister does not have it"))
			}
			seen <- cached.Metadata().Labels["e2e"] + " " + cached.GroupVersionKind().String()
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	r.awaitCalls(t, "writes", 1)
	if got, want := <-seen, "true /v1, Kind=ConfigMap"; got != want {
		t.Errorf("the cache holds %q, want %q", got, want)
	}
}

// TestGateRefusesWritesAfterTheTerm lets a handler write after its term has ended, with a context
// of its own.
func TestGateRefusesWritesAfterTheTerm(t *testing.T) {
	var leading atomic.Bool
	leading.Store(true)
	remaining := func() time.Duration {
		if leading.Load() {
			return time.Minute
		}
		return 0
	}
	results := make(chan error, 2)
	goOn := make(chan struct{})
	r := start(t, options{
		definitions: `writes: {` + watchConfigMaps + `, handler: test: {}}`,
		gate:        kube.NewGate(remaining, telemetry.NewMetrics(prometheus.NewRegistry())),
		handle: func(ctx context.Context, env handlers.Env, req handlers.Request) (handlers.Result, error) {
			secrets := env.Clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(req.Object.Namespace())
			write := func(name string) error {
				obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}}}
				_, err := secrets.Create(context.WithoutCancel(ctx), obj, metav1.CreateOptions{})
				return err
			}
			results <- write("within")
			<-goOn
			results <- write("after")
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	if err := <-results; err != nil {
		t.Errorf("writing within the term: %v", err)
	}
	leading.Store(false)
	r.term()
	close(goOn)
	if err := <-results; !errors.Is(err, kube.ErrNotLeading) {
		t.Errorf("writing after the term gives %v, want %v", err, kube.ErrNotLeading)
	}
	r.stop()
	if got := shared.Kubectl(t, "-n", r.namespace, "get", "secrets", "-o", "name"); strings.TrimSpace(got) != "secret/within" {
		t.Errorf("secrets are %q, want the one of the term", got)
	}
}

// TestDrainLetsCallsFinish ends the drain context: no new call, the one under way finishes and is
// not cancelled.
func TestDrainLetsCallsFinish(t *testing.T) {
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	finished := make(chan error, 2)
	r := start(t, options{
		definitions: `slow: {` + watchConfigMaps + `, handler: test: {}}`,
		shutdown:    time.Minute,
		handle: func(ctx context.Context, _ handlers.Env, _ handlers.Request) (handlers.Result, error) {
			begun <- struct{}{}
			<-goOn
			finished <- ctx.Err()
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	r.create(t, "b")
	<-begun
	r.drain()
	close(goOn)
	r.stop()
	if got := len(r.of("slow")); got != 1 {
		t.Errorf("there were %d calls, want only the one that was under way", got)
	}
	if err := <-finished; err != nil {
		t.Errorf("context of the call that finished is %v, want alive", err)
	}
}

// TestShutdownTimeoutCancels ends calls that take longer than the shutdown timeout.
func TestShutdownTimeoutCancels(t *testing.T) {
	begun := make(chan struct{}, 1)
	cause := make(chan error, 1)
	r := start(t, options{
		definitions: `slow: {` + watchConfigMaps + `, handler: test: {}}`,
		shutdown:    100 * time.Millisecond,
		handle: func(ctx context.Context, _ handlers.Env, _ handlers.Request) (handlers.Result, error) {
			begun <- struct{}{}
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return handlers.Result{}, ctx.Err()
		},
	})
	r.create(t, "a")
	<-begun
	r.stop()
	if err := <-cause; err == nil || err.Error() != "kooperd is shutting down" {
		t.Errorf("cause of the cancelled call is %v", err)
	}
	r.metric(t, "kooperd_controller_retries_total", "slow", 0)
}
