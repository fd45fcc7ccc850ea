package engine

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// handlerConfig is the config of the plugin "test".
type handlerConfig struct {
	// Version tells revisions of a definition apart.
	Version string `json:"version,omitempty"`
}

// rig is a running engine with a scripted API server, on the clock of a synctest bubble. Its
// handlers call functions of the test, and note when they are called.
type rig struct {
	*Engine
	t        *testing.T
	api      *fakeServer
	registry *prometheus.Registry
	log      strings.Builder
	begin    time.Time

	// What the plugin does. A nil function does nothing.
	construct func(ctx context.Context, env handlers.Env, version string) error
	handle    func(ctx context.Context, version string, req handlers.Request) (handlers.Result, error)
	finalize  func(ctx context.Context, version string, req handlers.Request) (handlers.Result, error)
	close     func(version string) error

	endTerm, startDrain, stopAll context.CancelFunc
	working, running             sync.WaitGroup
	endReplica                   func() // nil before workEverywhere
	everywhere                   sync.WaitGroup

	mu    sync.Mutex
	calls []string
	busy  map[string]bool // objects that are being handled
}

// newRig makes an engine with so many pods, which does not run yet.
func newRig(t *testing.T, pods int, options ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, api: newFakeServer(), registry: prometheus.NewRegistry(), begin: time.Now(), busy: map[string]bool{}}
	for i := range pods {
		r.api.put(t, podKind, key(i))
	}
	metrics := telemetry.NewMetrics(r.registry)
	opts := Options{
		Metrics: metrics, Board: status.NewBoard(metrics), ShutdownTimeout: 30 * time.Second,
		Logger: funcr.New(func(_, args string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.log.WriteString(args + "\n")
		}, funcr.Options{}),
	}
	for _, option := range options {
		option(&opts)
	}
	r.Engine = newEngine(opts, r.api)
	return r
}

// start runs the engine with definitions, and works until stop.
func (r *rig) start(definitions ...config.Definition) {
	r.t.Helper()
	r.apply(definitions...)
	r.run()
	r.lead()
}

func (r *rig) apply(definitions ...config.Definition) Changes {
	changes := r.Apply(&config.Config{Definitions: definitions})
	synctest.Wait()
	return changes
}

func (r *rig) run() {
	all, stopAll := context.WithCancel(r.t.Context())
	r.stopAll = stopAll
	r.running.Go(func() { r.Run(all) })
	synctest.Wait()
}

// lead begins a term.
func (r *rig) lead() {
	term, endTerm := context.WithCancel(r.t.Context())
	drain, startDrain := context.WithCancel(r.t.Context())
	r.endTerm, r.startDrain = endTerm, startDrain
	r.working.Go(func() { r.Work(term, Drain(drain.Done()), UnderLease) })
	synctest.Wait()
}

// workEverywhere works on the definitions of every replica until stop.
func (r *rig) workEverywhere() {
	term, endTerm := context.WithCancel(r.t.Context())
	drain, startDrain := context.WithCancel(r.t.Context())
	r.endReplica = func() {
		startDrain()
		r.everywhere.Wait()
		endTerm()
	}
	r.everywhere.Go(func() { r.Work(term, Drain(drain.Done()), EveryReplica) })
	synctest.Wait()
}

// stop is a clean stop.
func (r *rig) stop() {
	if r.startDrain != nil {
		r.startDrain()
		r.working.Wait()
		r.endTerm()
	}
	if r.endReplica != nil {
		r.endReplica()
	}
	r.stopAll()
	r.running.Wait()
}

// definition is one of the plugin "test" on pods.
func (r *rig) definition(name, version string, options ...func(*config.Definition)) config.Definition {
	r.t.Helper()
	plugin := handlers.Plugin[handlerConfig]{
		Name: "test", Summary: "Calls a function of the test", Schema: "#Config: {version?: string}",
		Rules: func(handlerConfig) []rbacv1.PolicyRule {
			return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"patch"}}}
		},
		Finalizes: func(handlerConfig) bool { return true },
		New: func(ctx context.Context, env handlers.Env, c handlerConfig) (handlers.Handler, error) {
			if r.construct != nil {
				if err := r.construct(ctx, env, c.Version); err != nil {
					return nil, err
				}
			}
			return &testHandler{rig: r, definition: name, version: c.Version}, nil
		},
	}
	bound := handlerstest.Bind(r.t, plugin, fmt.Sprintf(`{"version": %q}`, version))
	def := config.Definition{
		Name: name, Watch: config.Watch{Kind: podKind}, Handler: bound, Mode: config.Sequential, Workers: 1,
		Retry: config.Retry{MaxRetries: -1, InitialDelay: time.Second, MaxDelay: time.Hour}, Timeout: time.Minute,
	}
	for _, option := range options {
		option(&def)
	}
	def.Digest = digestOf(def)
	return def
}

// digestOf stands for what config.Load computes. No test changes a filter alone.
func digestOf(def config.Definition) config.Digest {
	handler := def.Handler.JSON()
	def.Handler, def.Filter = handlers.Bound{}, nil
	return sha256.Sum256(fmt.Appendf(handler, "%+v", def))
}

// testHandler is a handler of the plugin "test".
type testHandler struct {
	rig                 *rig
	definition, version string
}

func (h *testHandler) Handle(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	return h.call(ctx, "", h.rig.handle, req)
}

func (h *testHandler) Finalize(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	return h.call(ctx, "finalize ", h.rig.finalize, req)
}

// call notes a call and lets the test handle it.
func (h *testHandler) call(
	ctx context.Context, function string, handle func(context.Context, string, handlers.Request) (handlers.Result, error), req handlers.Request,
) (handlers.Result, error) {
	r, object := h.rig, h.definition+"/"+req.Object.GroupVersionKind().Kind+"/"+req.Object.Name()
	r.mu.Lock()
	if r.busy[object] {
		r.t.Errorf("two calls for %s at a time", object)
	}
	r.busy[object] = true
	r.calls = append(r.calls, fmt.Sprintf("%s %s%s%s %s %s#%d", time.Since(r.begin), function, h.definition, h.version, req.Object.Name(), req.Cause, req.Attempt))
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.busy, object)
	}()
	if handle == nil {
		return handlers.Result{}, nil
	}
	return handle(ctx, h.version, req)
}

func (h *testHandler) Close() error {
	h.rig.note("close " + h.definition + h.version)
	if h.rig.close == nil {
		return nil
	}
	return h.rig.close(h.version)
}

// note adds a line to what expect compares.
func (r *rig) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf("%s %s", time.Since(r.begin), what))
}

// expect compares the calls since the last expect: when, definition and version, object,
// cause#attempt.
func (r *rig) expect(want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.calls); diff != "" {
		r.t.Errorf("calls (-want +have):\n%s", diff)
	}
	r.calls = nil
}

// change changes a pod.
func (r *rig) change(i int) { r.api.put(r.t, podKind, key(i)) }

// wantState compares the state of a definition on the board.
func (r *rig) wantState(definition string, state status.State, reason string) {
	r.t.Helper()
	synctest.Wait()
	have := r.shared.board.Get(definition)
	if have.State != state || reason == "" && have.Reason != "" || !strings.Contains(have.Reason, reason) {
		r.t.Errorf("%s is %s %q, want %s %q", definition, have.State, have.Reason, state, reason)
	}
}

// logged returns the log since the last call.
func (r *rig) logged() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.log.Reset()
	return r.log.String()
}

// series returns how many series of a definition there are.
func (r *rig) series(definition string) (n int) {
	r.t.Helper()
	r.eachSeries(definition, func(string, float64) { n++ })
	return n
}

// metric returns the sum of a definition's series of one name.
func (r *rig) metric(name, definition string) (sum float64) {
	r.t.Helper()
	r.eachSeries(definition, func(family string, value float64) {
		if family == name {
			sum += value
		}
	})
	return sum
}

func (r *rig) eachSeries(definition string, do func(family string, value float64)) {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetValue() == definition {
					do(family.GetName(), m.GetCounter().GetValue()+m.GetGauge().GetValue())
				}
			}
		}
	}
}

// inRig runs a test on the clock of a bubble, with so many pods.
func inRig(t *testing.T, pods int, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newRig(t, pods)) })
}

func concurrent(workers int) func(*config.Definition) {
	return func(def *config.Definition) { def.Mode, def.Workers = config.Concurrent, workers }
}

func objectName(i int) string { return key(i).Name }

var _ kube.Cache = (*fakeSource)(nil)
