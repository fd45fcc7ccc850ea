package handlerstest_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// settings is the config of the plugins that are checked here.
type settings struct {
	Text string            `json:"text,omitempty"`
	On   bool              `json:"on"`
	Tags map[string]string `json:"tags,omitempty"`
}

const settingsSchema = `#Config: {text?: string, on?: bool, tags?: [string]: string}`

type handleFunc = func(context.Context, handlers.Request) (handlers.Result, error)

// good returns a plugin that Check accepts, whose handlers do as handle does.
func good(handle handleFunc) handlers.Plugin[settings] {
	return handlers.Plugin[settings]{
		Name: "sample", Summary: "Is a sample", Schema: settingsSchema,
		Defaults: func() settings { return settings{On: true, Tags: map[string]string{"a": "1"}} },
		New: func(context.Context, handlers.Env, settings) (handlers.Handler, error) {
			return handlers.HandlerFunc(handle), nil
		},
	}
}

// goodFinalizer is like good, for definitions with a finalizer.
func goodFinalizer(finalize handleFunc) handlers.Plugin[settings] {
	p := good(nothing)
	p.Finalizes = func(settings) bool { return true }
	p.New = func(_ context.Context, env handlers.Env, _ settings) (handlers.Handler, error) {
		if env.Finalizer == "" {
			return nil, errors.New("want a finalizer")
		}
		return finalizer{handlers.HandlerFunc(nothing), finalize}, nil
	}
	return p
}

type finalizer struct {
	handlers.Handler
	finalize handleFunc
}

func (f finalizer) Finalize(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	return f.finalize(ctx, req)
}

func nothing(context.Context, handlers.Request) (handlers.Result, error) {
	return handlers.Result{}, nil
}

// worker is a well-behaved handler with a goroutine, a metric and a Close.
type worker struct {
	calls   prometheus.Counter
	jobs    chan string
	stopped sync.WaitGroup
	once    sync.Once
}

func newWorker(_ context.Context, env handlers.Env, _ settings) (handlers.Handler, error) {
	w := &worker{calls: prometheus.NewCounter(prometheus.CounterOpts{Name: "calls_total", Help: "Calls."}), jobs: make(chan string)}
	if err := env.Metrics.Register(w.calls); err != nil {
		return nil, err
	}
	w.stopped.Go(func() {
		for range w.jobs {
			w.calls.Inc()
		}
	})
	return w, nil
}

func (w *worker) Handle(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	if _, err := req.Object.JSON(); err != nil {
		return handlers.Result{}, handlers.Terminal(err)
	}
	select {
	case w.jobs <- req.Object.Name():
		return handlers.Result{RequeueAfter: time.Hour}, nil
	case <-ctx.Done():
		return handlers.Result{}, context.Cause(ctx)
	}
}

func (w *worker) Close() error {
	w.once.Do(func() { close(w.jobs) })
	w.stopped.Wait()
	return nil
}

func TestCheckAcceptsGoodPlugins(t *testing.T) {
	configs := map[string]string{"empty": `{}`, "full": `{"text":"x","on":false,"tags":{"b":"2"}}`}
	withClose := good(nothing)
	withClose.New = newWorker
	withClose.Rules = func(settings) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}}
	}
	reads := good(nothing)
	reads.New = func(_ context.Context, env handlers.Env, _ settings) (handlers.Handler, error) {
		return handlers.Func(func(ctx context.Context, cm *corev1.ConfigMap) error {
			env.Events.Eventf(cm, nil, corev1.EventTypeNormal, "Read", "Read", "reading %s", cm.Name)
			mapping, err := env.Clients.Mapper.RESTMapping(corev1.SchemeGroupVersion.WithKind("ConfigMap").GroupKind())
			if err != nil {
				return err
			}
			_, err = env.Clients.Dynamic.Resource(mapping.Resource).Namespace(cm.Namespace).Get(ctx, cm.Name, metav1.GetOptions{})
			if !errors.Is(err, handlerstest.ErrUnreachable) && ctx.Err() == nil {
				t.Errorf("Get: %v, want %v", err, handlerstest.ErrUnreachable)
			}
			return err
		}), nil
	}
	plugins := map[string]handlers.AnyPlugin{
		"function": good(nothing), "closer": withClose, "client": reads, "finalizer": goodFinalizer(nothing),
	}
	for name, plugin := range plugins {
		t.Run(name, func(t *testing.T) {
			handlerstest.Check(t, plugin, handlerstest.Options{
				Configs: configs,
				Objects: []handlers.Object{handlerstest.Object(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "typed"}})},
			})
		})
	}
}

// badPlugin is one that Check must refuse, with a part of what it has to say.
type badPlugin struct {
	plugin   handlers.Plugin[settings]
	config   string // empty is {}
	requests []handlers.ComposeRequest
	want     string
}

// badPlugins are those of handlers.
func badPlugins() map[string]badPlugin {
	change := func(change func(*handlers.Plugin[settings])) handlers.Plugin[settings] {
		p := good(nothing)
		change(&p)
		return p
	}
	shared := map[string]string{"a": "1"}
	var once atomic.Bool
	leak := make(chan struct{})
	return map[string]badPlugin{
		"schema differs": {
			plugin: change(func(p *handlers.Plugin[settings]) { p.Schema = `#Config: {text?: string}` }),
			want:   `has the JSON field "on", the schema has no #Config.on`,
		},
		"summary": {
			plugin: change(func(p *handlers.Plugin[settings]) { p.Summary = "Ends in a full stop." }),
			want:   "want one line without a full stop",
		},
		"defaults invalid": {
			plugin: change(func(p *handlers.Plugin[settings]) {
				p.Validate = func(s *settings) []handlers.Problem {
					if s.Text == "" {
						return []handlers.Problem{{Path: "text", Message: "want a text"}}
					}
					return nil
				}
			}),
			config: `{"text":"x"}`,
			want:   "the defaults are no valid config, and the schema requires no field",
		},
		"config invalid": {
			plugin: change(func(p *handlers.Plugin[settings]) {
				p.Validate = func(*settings) []handlers.Problem { return []handlers.Problem{{Message: "always wrong"}} }
			}),
			want: "want no problems, have [{Path: Message:always wrong Hint:",
		},
		"schema refuses the config": {
			plugin: change(func(p *handlers.Plugin[settings]) {
				p.Schema = strings.Replace(settingsSchema, "text?: string", `text?: "y"`, 1)
			}),
			config: `{"text":"x"}`,
			want:   `the schema refuses config {"text":"x"}`,
		},
		"shared defaults": {
			plugin: change(func(p *handlers.Plugin[settings]) { p.Defaults = func() settings { return settings{Tags: shared} } }),
			config: `{"tags":{"b":"2"}}`,
			want:   "do not share maps or slices in Defaults",
		},
		"effective config loses a field": {
			plugin: change(func(p *handlers.Plugin[settings]) { p.Defaults = func() settings { return settings{Text: "default"} } }),
			config: `{"text":""}`,
			want:   "the effective config has another effect than the config itself",
		},
		"rule without verbs": {
			plugin: change(func(p *handlers.Plugin[settings]) {
				p.Rules = func(settings) []rbacv1.PolicyRule {
					return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}}}
				}
			}),
			want: "want verbs, and either API groups with resources or URLs",
		},
		"rule for everything": {
			plugin: change(func(p *handlers.Plugin[settings]) {
				p.Rules = func(settings) []rbacv1.PolicyRule {
					return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"*"}}}
				}
			}),
			want: "want the verbs that are needed, not all of them",
		},
		"constructor fails": {
			plugin: change(func(p *handlers.Plugin[settings]) {
				p.New = func(context.Context, handlers.Env, settings) (handlers.Handler, error) {
					return nil, errors.New("no luck")
				}
			}),
			want: `making the handler of definition "test": no luck`,
		},
		"runtime.Goexit": {
			plugin: good(func(context.Context, handlers.Request) (handlers.Result, error) {
				runtime.Goexit()
				return handlers.Result{}, nil
			}),
			want: `handling object "minimal": runtime.Goexit was called`,
		},
		"panic": {
			plugin: good(func(_ context.Context, req handlers.Request) (handlers.Result, error) {
				return handlers.Result{}, errors.New(req.Object.Metadata().Labels["app"][:1])
			}),
			want: `handling object "minimal": panic: runtime error`,
		},
		"negative requeue": {
			plugin: good(func(context.Context, handlers.Request) (handlers.Result, error) {
				return handlers.Result{RequeueAfter: -time.Second}, nil
			}),
			want: "RequeueAfter is -1s",
		},
		"deaf to its context": {
			plugin: good(func(ctx context.Context, _ handlers.Request) (handlers.Result, error) {
				if ctx.Err() != nil {
					<-leak
				}
				return handlers.Result{}, nil
			}),
			want: "the call goes on 100ms after its context has ended",
		},
		"leaks a goroutine": {
			plugin: good(func(context.Context, handlers.Request) (handlers.Result, error) {
				go func() { <-leak }()
				return handlers.Result{}, nil
			}),
			want: "goroutines outlive the handler",
		},
		"finalizes once": {
			plugin: goodFinalizer(func(context.Context, handlers.Request) (handlers.Result, error) {
				if once.CompareAndSwap(false, true) {
					return handlers.Result{}, nil
				}
				return handlers.Result{}, errors.New("gone already")
			}),
			want: `finalizing object "being deleted" again: gone already; want no error`,
		},
		"finalizes without end": {
			plugin: goodFinalizer(func(ctx context.Context, _ handlers.Request) (handlers.Result, error) {
				if ctx.Err() != nil {
					<-leak
				}
				return handlers.Result{}, nil
			}),
			want: "the call goes on 100ms after its context has ended",
		},
		"finalizes but cannot": {
			plugin: change(func(p *handlers.Plugin[settings]) { p.Finalizes = func(settings) bool { return true } }),
			want:   `the handler of plugin "sample" is no Finalizer`,
		},
		"close fails": {
			plugin: change(func(p *handlers.Plugin[settings]) {
				p.New = func(context.Context, handlers.Env, settings) (handlers.Handler, error) { return &closesOnce{}, nil }
			}),
			want: "closing the handler: closed already",
		},
		"metric without label": {
			plugin: change(func(p *handlers.Plugin[settings]) {
				p.New = func(context.Context, handlers.Env, settings) (handlers.Handler, error) {
					prometheus.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "global_total", Help: "Global."}))
					return handlers.HandlerFunc(nothing), nil
				}
			}),
			want: "panic: duplicate metrics collector registration attempted",
		},
	}
}

// closesOnce does not survive a second Close.
type closesOnce struct{ closed bool }

func (*closesOnce) Handle(context.Context, handlers.Request) (handlers.Result, error) {
	return handlers.Result{}, nil
}

func (c *closesOnce) Close() error {
	if c.closed {
		return errors.New("closed already")
	}
	c.closed = true
	return nil
}

const badPluginVariable = "HANDLERSTEST_BAD_PLUGIN"

// TestBadPlugin is run by TestCheckRefusesBadPlugins in a process of its own, where it has to fail.
func TestBadPlugin(t *testing.T) {
	name := os.Getenv(badPluginVariable)
	if name == "" {
		t.Skip("is run by TestCheckRefusesBadPlugins")
	}
	bad := allBadPlugins(t)[name]
	config := bad.config
	if config == "" {
		config = `{}`
	}
	handlerstest.Check(t, bad.plugin, handlerstest.Options{
		Configs:  map[string]string{"only": config},
		Requests: bad.requests,
		Prompt:   100 * time.Millisecond,
	})
}

func allBadPlugins(t *testing.T) map[string]badPlugin {
	t.Helper()
	all := badPlugins()
	maps.Copy(all, badComposers(t))
	return all
}

func TestCheckRefusesBadPlugins(t *testing.T) {
	for name, bad := range allBadPlugins(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBadPlugin$", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), badPluginVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
				t.Fatalf("Check accepted the plugin (%v):\n%s", err, out)
			}
			if !strings.Contains(string(out), bad.want) {
				t.Errorf("Check does not say %q:\n%s", bad.want, out)
			}
		})
	}
}
