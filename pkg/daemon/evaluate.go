package daemon

import (
	"context"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

type evaluator func(ctx context.Context, files *config.Files) (cfg *config.Config, imported []string, err error)

func evaluateHere(registry *handlers.Registry) evaluator {
	return func(ctx context.Context, files *config.Files) (*config.Config, []string, error) {
		return config.Evaluate(ctx, files, config.Options{Registry: registry})
	}
}
