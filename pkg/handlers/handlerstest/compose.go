package handlerstest

import (
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/handlers"
)

// NewComposer makes the composer that a definition with this plugin and config has, as New makes a
// handler.
func NewComposer(t testing.TB, plugin handlers.AnyPlugin, config string, change ...func(*handlers.Env)) handlers.Composer {
	t.Helper()
	env := Env(t)
	for _, f := range change {
		f(&env)
	}
	composer, err := Bind(t, plugin, config).NewComposer(t.Context(), env)
	if err != nil {
		t.Fatalf("making the composer: %v", err)
	}
	if closer, ok := composer.(io.Closer); ok {
		t.Cleanup(func() {
			if err := closer.Close(); err != nil {
				t.Errorf("closing the composer: %v", err)
			}
		})
	}
	return composer
}

// Compose asks a composer about a parent that has these children already. Parent and children are
// what Object takes; Observed says how children are named. An error ends the test. A test of
// errors, or one with related objects, makes the handlers.ComposeRequest itself.
func Compose(t testing.TB, composer handlers.Composer, parent any, children ...any) handlers.Composition {
	t.Helper()
	composition, err := composer.Compose(t.Context(), handlers.ComposeRequest{
		Object: Object(t, parent), Children: Observed(t, children...), Cause: handlers.CauseChange,
	})
	if err != nil {
		t.Fatalf("composing: %v", err)
	}
	return composition
}

// Observed makes observed children, sorted as a composer gets them. Each is what Object takes, and
// has the name that an empty Child.Name stands for, as in "ConfigMap/web"; or it is a
// handlers.ObservedChild, with any name; or a handlers.Child, which is there as it is desired.
func Observed(t testing.TB, children ...any) handlers.Children {
	t.Helper()
	observed := make(handlers.Children, 0, len(children))
	for _, child := range children {
		switch child := child.(type) {
		case handlers.ObservedChild:
			observed = append(observed, child)
		case handlers.Child:
			u, err := unstructuredOf(child.Object)
			if err != nil {
				t.Fatalf("child %q: %v", child.Name, err)
			}
			observed = append(observed, handlers.ObservedChild{Name: childName(child, u), Object: Object(t, u)})
		default:
			o := Object(t, child)
			observed = append(observed, handlers.ObservedChild{Name: o.GroupVersionKind().Kind + "/" + o.Name(), Object: o})
		}
	}
	slices.SortStableFunc(observed, func(a, b handlers.ObservedChild) int { return strings.Compare(a.Name, b.Name) })
	return observed
}

// Child returns a copy of the object of one child as a T, a pointer to the struct of its kind or
// *unstructured.Unstructured. name is Child.Name, or what an empty one stands for. Without such a
// child the test ends.
func Child[T runtime.Object](t testing.TB, composition handlers.Composition, name string) T {
	t.Helper()
	into, ok := reflect.TypeAssert[T](reflect.New(reflect.TypeFor[T]().Elem()))
	if !ok {
		t.Fatalf("child %s: want a pointer to a struct, have %s", name, reflect.TypeFor[T]())
	}
	children := Observed(t, asAny(composition.Children)...)
	child, ok := children.Get(name)
	if !ok {
		names := make([]string, len(children))
		for i, child := range children {
			names[i] = child.Name
		}
		t.Fatalf("there is no child %s; there are %s", name, strings.Join(names, ", "))
	}
	if err := child.Into(into); err != nil {
		t.Fatalf("child %s: %v", name, err)
	}
	return into
}

func asAny(children []handlers.Child) []any {
	all := make([]any, len(children))
	for i, child := range children {
		all[i] = child
	}
	return all
}
