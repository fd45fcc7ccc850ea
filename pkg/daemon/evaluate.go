package daemon

import (
	"context"
	"fmt"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// evaluator makes a config of files. The error is a config.Diagnostics when the files are to blame,
// or need more than an evaluation may take; the cause of ctx when that has ended; and else an
// evaluationError. Imported are further files that the result depends on, as config.Evaluate has
// them.
type evaluator func(ctx context.Context, files *config.Files) (cfg *config.Config, imported []string, err error)

// evaluateHere evaluates in this process. A file that takes too much costs time and memory here,
// and its evaluation goes on after it was given up.
func evaluateHere(registry *handlers.Registry) evaluator {
	return func(ctx context.Context, files *config.Files) (*config.Config, []string, error) {
		return config.Evaluate(ctx, files, config.Options{Registry: registry})
	}
}

// evaluationError is a failure to evaluate files that says nothing about them: the next try may
// succeed.
type evaluationError struct{ err error }

func evaluationErrorf(format string, args ...any) error {
	return &evaluationError{fmt.Errorf(format, args...)}
}

func (e *evaluationError) Error() string { return "evaluating the config: " + e.err.Error() }
func (e *evaluationError) Unwrap() error { return e.err }
