package handlerstest_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// chainPlugin makes "second" when "first" is there, from what that has.
func chainPlugin() handlers.Plugin[settings] {
	return composing(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		first := configMap("first")
		first.Data = map[string]string{"parent": req.Object.Name()}
		composition := handlers.Composition{Children: []handlers.Child{{Name: "one", Object: first}}}
		if one, ok := req.Children.Get("one"); ok {
			second := configMap("second")
			second.Data = map[string]string{"version": one.ResourceVersion()}
			composition.Children = append(composition.Children, handlers.ChildrenOf(second)...)
		}
		return composition, nil
	})
}

func TestCompose(t *testing.T) {
	composer := handlerstest.NewComposer(t, chainPlugin(), `{}`)
	parent := configMap("parent")
	composition := handlerstest.Compose(t, composer, parent)
	first := handlerstest.Child[*corev1.ConfigMap](t, composition, "one")
	if first.Kind != "ConfigMap" || first.Data["parent"] != "parent" {
		t.Errorf("the first child is %+v", first)
	}
	first.ResourceVersion = "7"
	observed := handlers.ObservedChild{Name: "one", Object: handlerstest.Object(t, first)}
	composition = handlerstest.Compose(t, composer, parent, observed)
	second := handlerstest.Child[*unstructured.Unstructured](t, composition, "ConfigMap/second")
	if version, _, _ := unstructured.NestedString(second.Object, "data", "version"); version != "7" {
		t.Errorf("the second child is made from version %q, want 7", version)
	}
}

func TestChildIsACopy(t *testing.T) {
	made := configMap("made")
	composition := handlers.Composition{Children: handlers.ChildrenOf(made)}
	handlerstest.Child[*corev1.ConfigMap](t, composition, "ConfigMap/made").Name = "other"
	if made.Name != "made" || made.Kind != "" {
		t.Errorf("the child has been changed: %v", made)
	}
}

func TestObserved(t *testing.T) {
	named := handlers.ObservedChild{Name: "b", Object: handlerstest.Object(t, configMap("y"))}
	children := handlerstest.Observed(t,
		named, configMap("x"), `{apiVersion: v1, kind: Pod, metadata: {name: z}}`, handlers.Child{Object: configMap("w")},
		handlers.Child{Name: "a", Object: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}})
	var got []string
	for _, child := range children {
		got = append(got, child.Name+" "+child.Object.GroupVersionKind().Kind+" "+child.Object.Name())
	}
	want := []string{"ConfigMap/w ConfigMap w", "ConfigMap/x ConfigMap x", "Pod/z Pod z", "a Secret s", "b ConfigMap y"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("children (-want +got):\n%s", diff)
	}
}

func TestChildSaysWhatThereIs(t *testing.T) {
	recorded := &recordedTB{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		handlerstest.Child[*corev1.ConfigMap](recorded, handlers.Composition{Children: handlers.ChildrenOf(configMap("a"))}, "b")
	}()
	<-done
	if want := "there is no child b; there are ConfigMap/a"; !strings.Contains(recorded.text, want) {
		t.Errorf("Child says %q, want %q", recorded.text, want)
	}
}

func TestNewComposerClosesTheComposer(t *testing.T) {
	plugin := composing(nil)
	made := &composerClosedOnce{ComposerFunc: composeNothing}
	plugin.NewComposer = func(context.Context, handlers.Env, settings) (handlers.Composer, error) { return made, nil }
	t.Run("one test", func(t *testing.T) {
		handlerstest.NewComposer(t, plugin, `{}`, func(env *handlers.Env) { env.Definition = "d" })
	})
	if !made.once.closed {
		t.Error("the composer has not been closed at the end of the test")
	}
}

// recordedTB keeps what ends a test, and ends the goroutine in its place.
type recordedTB struct {
	testing.TB
	text string
}

func (r *recordedTB) Fatalf(format string, args ...any) {
	r.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
