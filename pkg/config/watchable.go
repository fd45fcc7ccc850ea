package config

import (
	"context"
	"errors"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/kinds"
)

// watchable refuses a watch that cannot work in any cluster, of kinds that are known without asking
// one: those of Kubernetes itself, and those of the file.
func (r *resolver) watchable(at diagnostic.Path, w Watch) {
	//nolint:forbidigo // the table answers from memory
	_, err := kinds.Watchable(context.Background(), r.table, w.Kind, len(w.Namespaces) > 0)
	if scope, ok := errors.AsType[*kinds.ScopeError](err); ok {
		r.report(at.With("namespaces"), "kind "+scope.Kind.Kind+" is cluster-scoped", "remove watch.namespaces")
		return
	}
	if missing, ok := errors.AsType[*kinds.NotServedError](err); ok {
		r.report(at.With("kind"), missing.Reason(), missing.Hint)
		return
	}
	if err != nil && !kinds.IsUnknown(err) {
		r.report(at.With("kind"), err.Error(), "")
	}
}
