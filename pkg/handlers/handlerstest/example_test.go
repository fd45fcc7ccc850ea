package handlerstest_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// pages is a plugin of composers: each ConfigMap has a page.
var pages = handlers.Plugin[config]{
	Name: "pages", Summary: "Give every ConfigMap a page", Schema: `#Config: greeting?: string`,
	Owns: func(config) []handlers.OwnedKind {
		return []handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap", MetadataOnly: true}}
	},
	NewComposer: func(_ context.Context, _ handlers.Env, c config) (handlers.Composer, error) {
		return handlers.Compose(func(_ context.Context, cm *corev1.ConfigMap, _ handlers.Children) (handlers.Composition, error) {
			page := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: cm.Namespace, Name: cm.Name + "-page"}}
			page.Data = map[string]string{"index.html": c.Greeting + " " + cm.Data["who"]}
			return handlers.Composition{Children: []handlers.Child{{Name: "page", Object: page}}}, nil
		}), nil
	},
}

// Check does for composers what it does for handlers, and sees to it that they are functions.
func ExampleCheck_composer() { //nolint:testableexamples // it is a test
	_ = func(t *testing.T) {
		handlerstest.Check(t, pages, handlerstest.Options{
			Configs: map[string]string{"empty": `{}`},
			Objects: []handlers.Object{handlerstest.Object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: cart, namespace: shop}}`)},
		})
	}
}

// Compose asks a composer about a typed object, and Child is what it says.
func ExampleCompose() { //nolint:testableexamples // it is a test
	_ = func(t *testing.T) {
		composer := handlerstest.NewComposer(t, pages, `{"greeting":"hello"}`)
		parent := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cart"}, Data: map[string]string{"who": "you"}}
		composition := handlerstest.Compose(t, composer, parent)
		page := handlerstest.Child[*corev1.ConfigMap](t, composition, "page")
		if got := page.Data["index.html"]; got != "hello you" {
			t.Errorf("the page is %q", got)
		}
	}
}

// Observed makes the children that exist already, here in a request with a related object.
func ExampleObserved() { //nolint:testableexamples // it is a test
	_ = func(t *testing.T) {
		composer := handlerstest.NewComposer(t, pages, `{}`)
		cart := handlerstest.Object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: cart}}`)
		_, err := composer.Compose(t.Context(), handlers.ComposeRequest{
			Object:   cart,
			Children: handlerstest.Observed(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "old-page"}}),
			Related:  map[string][]handlers.Object{"teams": {handlerstest.Object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`)}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
