package reload

import (
	"context"
	"fmt"
	"sync"

	"kooperd.dev/kooperd/pkg/config"
)

// evaluations are made one at a time: each may take most of the memory that is left. It is safe for
// concurrent use.
type evaluations struct {
	evaluator Evaluator
	slot      chan struct{} // holds a value while one is made

	mu     sync.Mutex
	cancel context.CancelFunc // ends the one that may be interrupted
}

func newEvaluations(evaluator Evaluator) *evaluations {
	return &evaluations{evaluator: evaluator, slot: make(chan struct{}, 1), cancel: func() {}}
}

// make evaluates texts when it is their turn.
func (e *evaluations) make(ctx context.Context, files *config.Files) (*config.Config, []string, error) {
	select {
	case e.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
	}
	defer func() { <-e.slot }()
	return e.evaluator(ctx, files)
}

// makeUnlessInterrupted is make, unless interrupt is called meanwhile.
func (e *evaluations) makeUnlessInterrupted(ctx context.Context, files *config.Files) (cfg *config.Config, imported []string, interrupted bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	e.cancel = cancel
	e.mu.Unlock()
	cfg, imported, err = e.make(ctx, files)
	return cfg, imported, err != nil && ctx.Err() != nil, err
}

// interrupt makes room for something more urgent.
func (e *evaluations) interrupt() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cancel()
}
