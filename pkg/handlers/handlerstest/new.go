package handlerstest

import (
	"io"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// New makes the handler that a definition with this plugin and config has. config is the plugin's
// config as a JSON object, which plugin must accept. The handler's Env is that of Env, changed by
// change in order. A test of Finalize sets Env.Finalizer. Anything that fails ends the test.
//
// When the test ends, the context of the constructor ends first, and then the handler is closed, if
// it has a Close.
func New(t testing.TB, plugin handlers.AnyPlugin, config string, change ...func(*handlers.Env)) handlers.Handler {
	t.Helper()
	env := Env(t)
	for _, f := range change {
		f(&env)
	}
	h, err := Bind(t, plugin, config).New(t.Context(), env)
	if err != nil {
		t.Fatalf("making the handler: %v", err)
	}
	if closer, ok := h.(io.Closer); ok {
		t.Cleanup(func() {
			if err := closer.Close(); err != nil {
				t.Errorf("closing the handler: %v", err)
			}
		})
	}
	return h
}

// Bind binds a config that plugin must accept, for a test of what it says about the config or of an
// error of its constructor. New is shorter for all else.
func Bind(t testing.TB, plugin handlers.AnyPlugin, config string) handlers.Bound {
	t.Helper()
	bound, problems := bind(t, plugin, config)
	if len(problems) > 0 {
		t.Fatalf("binding config %s: want no problems, have %+v", config, problems)
	}
	return bound
}

// Problems returns the mistakes that the plugin's Validate finds in a config. The schema is not
// asked.
func Problems(t testing.TB, plugin handlers.AnyPlugin, config string) []handlers.Problem {
	t.Helper()
	_, problems := bind(t, plugin, config)
	return problems
}

func bind(t testing.TB, plugin handlers.AnyPlugin, config string) (handlers.Bound, []handlers.Problem) {
	t.Helper()
	registry, err := handlers.NewRegistry(plugin)
	if err != nil {
		t.Fatal(err)
	}
	bound, problems, err := registry.Bind(plugin.Describe().Name, []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return bound, problems
}
