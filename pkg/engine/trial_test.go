package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/kinds"
)

// deaf is a composer that does not return before it is released, whatever its context says.
type deaf struct {
	released chan struct{}
	closed   *bool
}

func (d deaf) Compose(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
	<-d.released
	return handlers.Composition{}, nil
}

func (d deaf) Close() error {
	*d.closed = true
	return nil
}

// TestTrialOfCodeThatDoesNotReturn ends some seconds after the time of the call is over, and leaves
// what may still run alone.
func TestTrialOfCodeThatDoesNotReturn(t *testing.T) {
	for _, where := range []string{"NewComposer", "Compose"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				composer := deaf{released: make(chan struct{}), closed: new(bool)}
				trials := trialsOf(t, func() handlers.Composer {
					if where == "NewComposer" {
						<-composer.released
					}
					return composer
				})
				begin := time.Now()
				_, err := trials.Try(t.Context(), trialParent(), Given{})
				stuck, ok := errors.AsType[*StuckTrialError](err)
				if !ok || stuck.Timeout != time.Minute {
					t.Errorf("have %v, want a StuckTrialError with the timeout", err)
				}
				if took := time.Since(begin); took != time.Minute+trialGrace {
					t.Errorf("it took %s, want the timeout and %s", took, trialGrace)
				}
				if err := trials.Close(); err != nil || *composer.closed {
					t.Errorf("the composer was closed during a call, or %v", err)
				}
				close(composer.released)
				synctest.Wait()
			})
		})
	}
}

// TestTrialThatIsCanceled waits no longer than the end of its context when the code obeys it.
func TestTrialThatIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trials := trialsOf(t, func() handlers.Composer {
			return handlers.ComposerFunc(func(ctx context.Context, _ handlers.ComposeRequest) (handlers.Composition, error) {
				<-ctx.Done()
				return handlers.Composition{}, ctx.Err()
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		tried, err := trials.Try(ctx, trialParent(), Given{})
		if err != nil || tried.Err == nil {
			t.Fatalf("have %v, want what the composer has said", err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %s, want %s", took, time.Second)
		}
	})
}

func trialParent() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "parent", "namespace": "default"},
	}}
}

// trialsOf are those of a definition for ConfigMaps.
func trialsOf(t *testing.T, composer func() handlers.Composer) *Trials {
	t.Helper()
	plugin := handlers.Plugin[struct{}]{
		Name: "trial", Summary: "for tests", Schema: "#Config: {}",
		Owns: func(struct{}) []handlers.OwnedKind { return []handlers.OwnedKind{{APIVersion: "v1", Kind: "Secret"}} },
		NewComposer: func(context.Context, handlers.Env, struct{}) (handlers.Composer, error) {
			return composer(), nil
		},
	}
	return &Trials{
		Definition: config.Definition{
			Name: "trial", Timeout: time.Minute, Handler: handlerstest.Bind(t, plugin, "{}"),
			Watch: config.Watch{Kind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}},
		},
		Installation: "test", Finder: kinds.BuiltIn(), Logger: logr.Discard(),
	}
}
