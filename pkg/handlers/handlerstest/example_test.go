package handlerstest_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// config is the config of the plugin of the examples.
type config struct {
	Greeting string `json:"greeting,omitempty"`
}

var greet = handlers.Plugin[config]{
	Name: "greet", Summary: "Greet every object", Schema: `#Config: greeting?: string`,
	New: func(_ context.Context, env handlers.Env, c config) (handlers.Handler, error) {
		return handlers.Func(func(_ context.Context, cm *corev1.ConfigMap) error {
			env.Logger.Info(c.Greeting, "name", cm.Name)
			return nil
		}), nil
	},
}

// Check gives a plugin the tests that every plugin has to pass.
func ExampleCheck() { //nolint:testableexamples // it is a test
	_ = func(t *testing.T) {
		handlerstest.Check(t, greet, handlerstest.Options{Configs: map[string]string{
			"empty": `{}`,
			"full":  `{"greeting":"hello"}`,
		}})
	}
}

// New makes a handler, here one whose log is looked at.
func ExampleNew() { //nolint:testableexamples // it is a test
	_ = func(t *testing.T) {
		logs := handlerstest.NewLogs(t)
		h := handlerstest.New(t, greet, `{"greeting":"hello"}`, func(env *handlers.Env) {
			env.Logger = logs.Logger()
		})
		cart := handlerstest.Object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: cart}}`)
		if _, err := h.Handle(t.Context(), handlers.Request{Object: cart}); err != nil {
			t.Fatal(err)
		}
		if lines := logs.Entries(); len(lines) != 1 || lines[0].Message != "hello" || lines[0].Values["name"] != "cart" {
			t.Errorf("logged %v", lines)
		}
	}
}

// Problems are what the plugin finds wrong in a config.
func ExampleProblems() { //nolint:testableexamples // it is a test
	_ = func(t *testing.T) {
		if problems := handlerstest.Problems(t, greet, `{"greeting":""}`); len(problems) > 0 {
			t.Errorf("problems: %v", problems)
		}
	}
}
