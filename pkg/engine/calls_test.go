package engine

import (
	"context"
	"errors"
	"testing"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// relating is a composer that relates and can be closed.
type relating struct{ closed *bool }

var errComposed = errors.New("composed")

func (relating) Compose(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
	return handlers.Composition{Problems: []string{"one"}}, errComposed
}

func (relating) Relate(context.Context, handlers.Object) ([]handlers.Related, error) {
	return []handlers.Related{{Name: "asked"}}, nil
}

func (r relating) Close() error {
	*r.closed = true
	return nil
}

// TestCallsAreTold tells each call with its answer, and leaves what else the composer can do.
func TestCallsAreTold(t *testing.T) {
	closed := false
	composer := relating{&closed}
	if got := observed(composer, config.Definition{}, nil); got != handlers.Composer(composer) {
		t.Errorf("without anybody to tell, the composer becomes a %T", got)
	}
	var told []Call
	got := observed(composer, config.Definition{Name: "d"}, func(c Call) { told = append(told, c) })
	if _, err := got.Compose(t.Context(), handlers.ComposeRequest{Attempt: 3}); !errors.Is(err, errComposed) {
		t.Errorf("the error is %v", err)
	}
	if len(told) != 1 || told[0].Definition.Name != "d" || told[0].Request.Attempt != 3 || len(told[0].Answer.Problems) != 1 || !errors.Is(told[0].Err, errComposed) {
		t.Errorf("it tells %+v", told)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := got.Compose(ended, handlers.ComposeRequest{}); !errors.Is(err, errComposed) || len(told) != 1 {
		t.Errorf("a call whose time is over is told, or its error is %v", err)
	}
	relater, ok := got.(handlers.Relater)
	if !ok {
		t.Fatalf("a %T does not relate", got)
	}
	if asked, err := relater.Relate(t.Context(), nil); err != nil || len(asked) != 1 {
		t.Errorf("it asks for %v, %v", asked, err)
	}
	if _, ok := observed(handlers.ComposerFunc(nil), config.Definition{}, func(Call) {}).(handlers.Relater); ok {
		t.Error("a composer that does not relate does so when it is told of")
	}
	if err := got.(interface{ Close() error }).Close(); err != nil || !closed {
		t.Errorf("the composer is not closed: %v", err)
	}
}
