package config

import (
	"context"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/explain"
)

// Locate returns where in the files the config of a definition's plugin says something: path is as
// in handlers.Problem. It is the place of what is around it, where that cannot be told exactly, and
// false if nothing can. The files are evaluated once more for that.
func Locate(ctx context.Context, files *Files, options Options, definition, plugin, path string) (Position, bool) {
	found := make(chan Position, 1) // by an evaluation that may go on without being waited for
	options.look = func(doc *explain.Document) {
		at := append(diagnostic.Path{"controllers", definition, "handler", plugin}, diagnostic.ParsePath(path)...)
		found <- doc.ValuePosition(at)
	}
	if _, _, err := Evaluate(ctx, files, options); err != nil {
		return Position{}, false
	}
	select {
	case position := <-found:
		return position, true
	default:
		return Position{}, false
	}
}
