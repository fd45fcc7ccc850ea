package hook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// The parents of the tests, in a namespace and without one.
const (
	website = `{apiVersion: demo.kooperd.dev/v1, kind: Website, metadata: {name: shop, namespace: team-a, uid: u-1}}`
	tenant  = `{apiVersion: demo.kooperd.dev/v1, kind: Tenant, metadata: {name: blue, uid: u-2}}`
)

// object makes an object of YAML.
func object(t testing.TB, text string) handlers.Object {
	t.Helper()
	var u unstructured.Unstructured
	if err := yaml.UnmarshalStrict([]byte(text), &u.Object); err != nil {
		t.Fatalf("reading %s: %v", text, err)
	}
	o, err := handlers.ObjectOf(&u)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// objects makes objects of YAML, in their order.
func objects(t testing.TB, texts ...string) []handlers.Object {
	t.Helper()
	all := make([]handlers.Object, len(texts))
	for i, text := range texts {
		all[i] = object(t, text)
	}
	return all
}

// observed makes children.
func observed(t testing.TB, texts ...string) handlers.Children {
	t.Helper()
	var children handlers.Children
	for _, o := range objects(t, texts...) {
		children = append(children, handlers.ObservedChild{Name: o.GroupVersionKind().Kind + "/" + o.Name(), Object: o})
	}
	return children
}

// scripted is a Caller that answers from a table and keeps the requests.
type scripted struct {
	answers map[hook.Name]string
	err     error
	calls   []hook.Call
}

func (s *scripted) Call(_ context.Context, call hook.Call) ([]byte, error) {
	s.calls = append(s.calls, call)
	if s.err != nil {
		return nil, s.err
	}
	answer, ok := s.answers[call.Hook]
	if !ok {
		return nil, fmt.Errorf("there is no %s hook", call.Hook)
	}
	return []byte(answer), nil
}

// last is the request of the last call.
func (s *scripted) last(t *testing.T) hook.Call {
	t.Helper()
	if len(s.calls) == 0 {
		t.Fatal("no hook has been called")
	}
	return s.calls[len(s.calls)-1]
}

// newComposer makes a composer of a definition called "sites".
func newComposer(t testing.TB, c hook.Config, hooks hook.Hooks, caller hook.Caller) handlers.Composer {
	t.Helper()
	if problems := hook.Validate(c, hooks); len(problems) > 0 {
		t.Fatalf("the config is no valid one: %+v", problems)
	}
	composer, err := hook.New(hook.Options{
		Definition: "sites", Watched: schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"},
		Config: c, Hooks: hooks, Caller: caller,
	})
	if err != nil {
		t.Fatal(err)
	}
	return composer
}

// configMaps is a config whose hooks may answer with ConfigMaps.
func configMaps() hook.Config {
	return hook.Config{Children: []hook.Child{{APIVersion: "v1", Kind: "ConfigMap"}}}
}

// compose asks about a parent without children.
func compose(t testing.TB, c hook.Config, parent, answer string) (handlers.Composition, error) {
	t.Helper()
	composer := newComposer(t, c, hook.Hooks{}, &scripted{answers: map[hook.Name]string{hook.Sync: answer}})
	return composer.Compose(t.Context(), handlers.ComposeRequest{Object: object(t, parent)})
}

// wantError compares the text of an error with one that it has to contain; "" for none.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("have the error %q, want none", err)
	case want != "" && err == nil:
		t.Errorf("have no error, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("have the error %q, want %q", err, want)
	}
}

// namesOf are the names of children, in their order.
func namesOf(children []handlers.Child) []string {
	var names []string
	for _, child := range children {
		names = append(names, child.Name)
	}
	return slices.Clip(names)
}

var errTest = errors.New("as the test wants")
