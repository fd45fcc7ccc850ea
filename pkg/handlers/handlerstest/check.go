package handlerstest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Options say how Check runs a plugin.
type Options struct {
	// Configs are configs that the plugin must accept, by name, each a JSON object. Every one of
	// them goes through the whole life of a handler. At least one is required.
	Configs map[string]string
	// Objects are handled besides the samples that every plugin is given. Optional.
	Objects []handlers.Object
	// Env changes the Env of a handler before its constructor is called. Nil leaves it as Env
	// returns it.
	Env func(t testing.TB, env *handlers.Env)
	// Prompt is how long a call may go on after its context has ended. Default: 30s, as a
	// busy machine is slow.
	Prompt time.Duration
}

// Check runs the tests that every plugin has to pass, as subtests of t:
//
//   - it registers: name, summary, constructor, and a schema that compiles and has the fields of
//     the config struct;
//   - its defaults are a valid config, when its schema requires no field, and no config leaks into
//     another one;
//   - every config is valid, and so is what `kooperd print` makes of it, with the same effect;
//   - the RBAC rules are complete ones;
//   - a handler takes ordinary and odd objects without a panic, several at a time, and returns when
//     its context ends;
//   - a handler whose plugin says that it finalizes does: it takes the same objects twice, without
//     having handled them, and returns when its context ends;
//   - two definitions can use the plugin side by side;
//   - Close, if there is one, succeeds and may be called twice;
//   - no goroutine outlives the handler.
//
// A handler may fail on any object: that is not for Check to judge. It looks at all goroutines of
// the process, so a test that calls it must not be parallel.
func Check(t *testing.T, plugin handlers.AnyPlugin, opts Options) {
	t.Helper()
	if len(opts.Configs) == 0 {
		t.Fatal("handlerstest.Check: Options.Configs is empty")
	}
	if opts.Prompt == 0 {
		opts.Prompt = 30 * time.Second
	}
	registry, err := handlers.NewRegistry(plugin)
	if err != nil {
		t.Fatal(err)
	}
	c := &check{name: plugin.Describe().Name, schema: plugin.Describe().Schema, registry: registry, opts: opts, samples: samples(t)}
	t.Run("summary", func(t *testing.T) { c.summary(t, plugin.Describe().Summary) })
	t.Run("defaults", c.defaults)
	t.Run("separate configs", c.separateConfigs)
	for _, name := range slices.Sorted(maps.Keys(opts.Configs)) {
		t.Run("config "+name, func(t *testing.T) {
			t.Run("valid", func(t *testing.T) { c.validConfig(t, opts.Configs[name]) })
			bound := c.bind(t, opts.Configs[name])
			t.Run("rules", func(t *testing.T) { c.rules(t, bound.Rules()) })
			t.Run("handle", func(t *testing.T) { c.handle(t, bound) })
			t.Run("concurrent", func(t *testing.T) { c.concurrent(t, bound) })
			t.Run("cancel", func(t *testing.T) { c.cancel(t, bound) })
			if bound.Finalizes() {
				t.Run("finalize", func(t *testing.T) { c.finalize(t, bound) })
			}
			t.Run("close", func(t *testing.T) { c.closeTwice(t, bound) })
			t.Run("side by side", func(t *testing.T) { c.sideBySide(t, bound) })
		})
	}
}

// check is one run of Check.
type check struct {
	name     string
	schema   string
	registry *handlers.Registry
	opts     Options
	samples  map[string]handlers.Object
}

// bind binds a config that must be valid.
func (c *check) bind(t *testing.T, raw string) handlers.Bound {
	t.Helper()
	bound, problems, err := c.registry.Bind(c.name, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		t.Fatalf("binding config %s: want no problems, have %+v", raw, problems)
	}
	return bound
}
