package engine

import (
	"context"
	"io"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// Call is one call of a composer. What it refers to must not be changed.
type Call struct {
	// Definition is that of the composer.
	Definition config.Definition
	// Request is what it was asked, and Answer what it has answered.
	Request handlers.ComposeRequest
	Answer  handlers.Composition
	// Err is the error that it has returned.
	Err error
}

// observed returns a composer whose calls are told, or the composer itself if nobody wants to know.
func observed(composer handlers.Composer, def config.Definition, tell func(Call)) handlers.Composer {
	if tell == nil {
		return composer
	}
	told := toldComposer{Composer: composer, definition: def, tell: tell}
	if relater, ok := composer.(handlers.Relater); ok {
		return toldRelater{told, relater}
	}
	return told
}

// toldComposer tells each call of a composer.
type toldComposer struct {
	handlers.Composer
	definition config.Definition
	tell       func(Call)
}

// Compose implements handlers.Composer.
func (c toldComposer) Compose(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	answer, err := c.Composer.Compose(ctx, req)
	if ctx.Err() == nil {
		c.tell(Call{Definition: c.definition, Request: req, Answer: answer, Err: err})
	}
	return answer, err
}

// Close closes the composer, if it can be closed.
func (c toldComposer) Close() error {
	if closer, ok := c.Composer.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// toldRelater is the same for one that relates.
type toldRelater struct {
	toldComposer
	handlers.Relater
}
