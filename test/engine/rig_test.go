package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

const timeout = time.Minute

// call is one call of a handler, as the handler saw it.
type call struct {
	object  string
	cause   handlers.Cause
	attempt int
	at      time.Time
	version string // from the config of the handler
}

// rig is a running engine with one plugin, "test", whose handler calls a function of the test and
// keeps a record.
type rig struct {
	namespace string
	engine    *engine.Engine
	plugin    handlers.AnyPlugin
	options   options
	board     *status.Board
	registry  *prometheus.Registry
	term      context.CancelFunc
	drain     context.CancelFunc
	stop      func()

	mu      sync.Mutex
	calls   map[string][]call // by definition
	changed chan struct{}
}

// testConfig is the config of the plugin; version distinguishes revisions of a definition.
type testConfig struct {
	Version string `json:"version,omitempty"`
}

// options of a rig; definitions is the text below `controllers` with %[1]q for the namespace.
type options struct {
	definitions string
	engine      string // the text of `engine`
	handle      func(ctx context.Context, env handlers.Env, req handlers.Request) (handlers.Result, error)
	finalize    func(ctx context.Context, env handlers.Env, req handlers.Request) (handlers.Result, error) // nil: the plugin cannot
	metadata    bool                                                                                       // is all that the plugin reads
	build       func(env handlers.Env) error
	gate        *kube.Gate
	shutdown    time.Duration
}

func start(t *testing.T, opts options) *rig {
	t.Helper()
	r := &rig{namespace: shared.Namespace(t), calls: map[string][]call{}, changed: make(chan struct{})}
	leaks := goleak.IgnoreCurrent()
	r.options = opts
	r.plugin = handlers.Plugin[testConfig]{
		Name: "test", Summary: "Calls a function of the test", Schema: "#Config: {version?: string}",
		Finalizes:    func(testConfig) bool { return opts.finalize != nil },
		MetadataOnly: func(testConfig) bool { return opts.metadata },
		New: func(_ context.Context, env handlers.Env, c testConfig) (handlers.Handler, error) {
			if opts.build != nil {
				if err := opts.build(env); err != nil {
					return nil, err
				}
			}
			handler := handlers.HandlerFunc(func(ctx context.Context, req handlers.Request) (handlers.Result, error) {
				r.record(env.Definition, c.Version, req)
				return opts.handle(ctx, env, req)
			})
			if opts.finalize == nil {
				return handler, nil
			}
			return finalizing{handler, func(ctx context.Context, req handlers.Request) (handlers.Result, error) {
				r.record(finalizedBy(env.Definition), c.Version, req)
				return opts.finalize(ctx, env, req)
			}}, nil
		},
	}
	r.registry = prometheus.NewRegistry()
	metrics := telemetry.NewMetrics(r.registry)
	r.board = status.NewBoard(metrics)
	cluster, err := kube.New(shared.AdminConfig(), kube.Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.New(engine.Options{
		Cluster: cluster, Gate: opts.gate,
		Metrics: metrics, Board: r.board, ShutdownTimeout: opts.shutdown,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.engine = eng
	r.apply(t, opts.definitions)
	base, stopAll := context.WithCancel(context.WithoutCancel(t.Context()))
	term, endTerm := context.WithCancel(base)
	drain, startDrain := context.WithCancel(base)
	var running, working sync.WaitGroup
	running.Go(func() { eng.Run(base) })
	working.Go(func() { eng.Work(term, engine.Drain(drain.Done()), engine.UnderLease) })
	r.term, r.drain = endTerm, startDrain
	r.stop = sync.OnceFunc(func() {
		startDrain()
		working.Wait()
		stopAll()
		running.Wait()
		cluster.Close()
	})
	t.Cleanup(func() {
		r.stop()
		goleak.VerifyNone(t, leaks)
	})
	return r
}

// finalizing is a handler that is also a finalizer.
type finalizing struct {
	handlers.Handler
	finalize handlers.HandlerFunc
}

func (f finalizing) Finalize(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	return f.finalize(ctx, req)
}

// finalizedBy is under which name the calls of Finalize are kept.
func finalizedBy(definition string) string { return definition + "/finalize" }

// apply makes definitions what runs.
func (r *rig) apply(t *testing.T, definitions string) engine.Changes {
	t.Helper()
	return r.engine.Apply(load(t, r.options.engine, fmt.Sprintf(definitions, r.namespace), r.plugin))
}

func load(t *testing.T, engine, definitions string, plugins ...handlers.AnyPlugin) *config.Config {
	t.Helper()
	registry, err := handlers.NewRegistry(plugins...)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "controllers.cue")
	text := "apiVersion: \"kooperd.dev/v1alpha1\"\nengine: {" + engine + "}\ncontrollers: {\n" + definitions + "\n}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(t.Context(), []string{path}, config.Options{Registry: registry})
	if err != nil {
		t.Fatalf("loading the config: %v", err)
	}
	return cfg
}

func (r *rig) record(definition, version string, req handlers.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[definition] = append(r.calls[definition], call{
		object: req.Object.Name(), cause: req.Cause, attempt: req.Attempt, at: time.Now(), version: version,
	})
	close(r.changed)
	r.changed = make(chan struct{})
}

// of returns the calls of a definition so far.
func (r *rig) of(definition string) []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls[definition]...)
}

// await waits until done is true; it is asked after every call of a handler, and at least fifty
// times a second.
func (r *rig) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(timeout)
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%s has not happened within %s; statuses: %+v, calls: %+v", what, timeout, r.board.All(), r.calls)
		}
	}
}

func (r *rig) awaitCalls(t *testing.T, definition string, n int) []call {
	t.Helper()
	r.await(t, fmt.Sprintf("%d calls of %s", n, definition), func() bool { return len(r.of(definition)) >= n })
	return r.of(definition)
}

// awaitMetric waits until a series has the value: what follows a call is counted when its handler
// has returned, and the record of calls has it from its beginning.
func (r *rig) awaitMetric(t *testing.T, name, definition string, want float64) {
	t.Helper()
	r.await(t, fmt.Sprintf("%s of %s being %v", name, definition, want), func() bool { return r.counter(t, name, definition) == want })
}

// metric fails the test when a series has not the value.
func (r *rig) metric(t *testing.T, name, definition string, want float64) {
	t.Helper()
	if got := r.counter(t, name, definition); got != want {
		t.Errorf("%s of %s is %v, want %v", name, definition, got, want)
	}
}

// counter returns the sum of a definition's series of a counter or a gauge.
func (r *rig) counter(t *testing.T, name, definition string) (sum float64) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "controller" && label.GetValue() == definition {
					sum, found = sum+m.GetCounter().GetValue()+m.GetGauge().GetValue(), true
				}
			}
		}
	}
	if !found {
		t.Errorf("there is no %s of %s", name, definition)
	}
	return sum
}

// create makes ConfigMaps, all with one request to look up their kind.
func (r *rig) create(t *testing.T, names ...string) {
	t.Helper()
	var manifest strings.Builder
	for _, name := range names {
		fmt.Fprintf(&manifest, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, labels: {e2e: \"true\"}}\n---\n", name, r.namespace)
	}
	shared.Apply(t, manifest.String())
}

// names are those of so many objects.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("object-%d", i)
	}
	return all
}

func (r *rig) change(t *testing.T, name, value string) {
	t.Helper()
	shared.Kubectl(t, "-n", r.namespace, "annotate", "--overwrite", "configmap", name, "change="+value)
}
