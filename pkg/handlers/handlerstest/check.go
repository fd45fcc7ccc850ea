package handlerstest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Options say how Check runs a plugin.
type Options struct {
	// Configs are configs that the plugin must accept, by name, each a JSON object. Every one of
	// them goes through the whole life of a handler. At least one is required.
	Configs map[string]string
	// Objects are handled besides the samples that every plugin is given. Optional, but a composer
	// must be able to compose for one of them at least, as nothing else can be checked.
	Objects []handlers.Object
	// Requests are asked of a composer besides one for each object: with children and related
	// objects that exist. What they say of Finalizing is replaced. Optional.
	Requests []handlers.ComposeRequest
	// Env changes the Env of a handler before its constructor is called. Nil leaves it as Env
	// returns it.
	Env func(t testing.TB, env *handlers.Env)
	// Prompt is how long a call may go on after its context has ended. Default: 30s, as a
	// busy machine is slow.
	Prompt time.Duration

	timeouts timeouts // the default ones where it is not set
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
//   - a composer is a function: the same request has the same answer, also in another process, and
//     it changes neither the request nor what it has answered before;
//   - what it makes lies within Owns, in kinds, namespaces, and roles, and what it relates within
//     Reads; of what is MetadataOnly there, it reads no more;
//   - its children have different names, are different objects, come after others that exist, and
//     have policies that exist; its status is a JSON object;
//   - when its plugin says that it finalizes, it lets a parent go that has no children left;
//   - two definitions can use the plugin side by side;
//   - Close, if there is one, succeeds and may be called twice;
//   - no goroutine outlives the handler.
//
// A handler or composer may fail on any object: that is not for Check to judge. It looks at all
// goroutines of the process, so a test that calls it must not be parallel.
func Check(t *testing.T, plugin handlers.AnyPlugin, opts Options) {
	t.Helper()
	if len(opts.Configs) == 0 {
		t.Fatal("handlerstest.Check: Options.Configs is empty")
	}
	if opts.Prompt == 0 {
		opts.Prompt = 30 * time.Second
	}
	if opts.timeouts == (timeouts{}) {
		opts.timeouts = defaultTimeouts()
	}
	registry, err := handlers.NewRegistry(plugin)
	if err != nil {
		t.Fatal(err)
	}
	c := &check{
		name: plugin.Describe().Name, schema: plugin.Describe().Schema, registry: registry, opts: opts, samples: samples(t),
		mapper: testrestmapper.TestOnlyStaticRESTMapper(scheme.Scheme),
	}
	t.Run("summary", func(t *testing.T) { checkSummary(t, plugin.Describe().Summary) })
	t.Run("defaults", c.defaults)
	t.Run("separate configs", c.separateConfigs)
	for _, name := range slices.Sorted(maps.Keys(opts.Configs)) {
		t.Run("config "+name, func(t *testing.T) {
			t.Run("valid", func(t *testing.T) { c.validConfig(t, opts.Configs[name]) })
			bound := c.bind(t, opts.Configs[name])
			if bound.Composes() {
				c.composer = newComposerCheck(t, c, bound)
			}
			t.Run("rules", func(t *testing.T) { checkRules(t, bound.Rules()) })
			t.Run("handle", func(t *testing.T) { c.handle(t, bound) })
			t.Run("concurrent", func(t *testing.T) { c.concurrent(t, bound) })
			t.Run("cancel", func(t *testing.T) { c.cancel(t, bound) })
			switch {
			case bound.Composes():
				t.Run("function", func(t *testing.T) { c.composer.function(t) })
				t.Run("metadata only", func(t *testing.T) { c.composer.metadataOnly(t) })
			case bound.Finalizes():
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
	mapper   meta.RESTMapper
	composer *composerCheck // with the present config; nil for handlers
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
