package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/status"
)

// slowSync is how long a changed definition may sync before that is shown: until then the wait is
// nothing to look at.
const slowSync = 10 * time.Second

// revision is a definition as one config says it, with its handler and what it watches.
type revision struct {
	def       config.Definition
	watches   *watchSet
	builder   *handlerBuilder
	rights    *accessCheck
	predicate *changePredicate // nil without a filter
	limits    *limits
	group     Group
	gate      *kube.Gate // nil when the definition runs on every replica
	objects   *objectState
	composing *composing // nil for a handler
	state     *definitionStatus

	end        context.CancelFunc // another revision replaces this one, or its definition ends
	dispatched sync.WaitGroup     // the dispatchers that run it
	changed    chan struct{}      // holds a note that ready may return something else
	made       time.Time
}

// lifetime ends with a revision. It is a type of its own, so that it cannot be swapped with the
// context of all revisions.
type lifetime struct{ context.Context } //nolint:containedctx // see above

// keep makes what the revision needs, lets it take over by activate, and closes everything when
// current has ended and its last call has returned. With await, it takes over as soon as it could
// begin to work; else as soon as it can tell whether it could.
func (r *revision) keep(
	ctx context.Context, current lifetime, api apiServer, onEvent func(*watched, kube.Event), await bool, activate func() bool,
) {
	ctx, end := context.WithCancel(ctx)
	unhook := context.AfterFunc(current, end)
	slow := time.AfterFunc(slowSync, r.refresh)
	defer slow.Stop()
	stop := r.watches.open(ctx, api, onEvent, r.refresh)
	forget := r.objects.own.AddCache(r.def.Watch.Kind, r.watches.primary())
	var checking sync.WaitGroup
	checking.Go(func() { r.rights.run(ctx) })
	defer func() {
		end()
		checking.Wait()
		r.builder.close()
		forget()
		stop()
	}()
	if !r.builder.build(ctx, r.watches.primary()) || !r.watches.awaitSynced(ctx) || await && !r.awaitReady(ctx) {
		return
	}
	unhook() // Calls may need what ends with the context that New was given.
	if !activate() {
		return
	}
	<-current.Done()
	r.dispatched.Wait()
}

// condition collects what the definition's state depends on in this revision.
func (r *revision) condition() condition {
	handler, err := r.builder.get()
	if err == nil {
		err = r.composing.error()
	}
	now := condition{built: handler != nil, buildErr: err, missing: r.rights.describe()}
	state, reason := r.watches.status()
	if now.source = state; reason != nil {
		now.sourceReason = reason.Error()
		_, now.sourceForbidden = errors.AsType[*kube.ForbiddenError](reason)
	}
	if r.predicate != nil {
		now.undecidable = r.predicate.describe()
	}
	return now
}

// ready reports whether the revision could begin to work.
func (r *revision) ready() bool {
	now := r.condition()
	return now.built && now.source == status.Running && r.rights.granted()
}

// pending says why the revision cannot take over yet; empty if it is about to.
func (r *revision) pending() string {
	switch state, reason := r.condition().state(); state {
	case status.Degraded, status.Waiting:
		return reason
	case status.Syncing:
		if reason == "" && time.Since(r.made) >= slowSync {
			return fmt.Sprintf("the first list takes longer than %s", slowSync)
		}
	}
	return ""
}

// awaitReady waits until ready is true. It returns false when ctx ends before.
func (r *revision) awaitReady(ctx context.Context) bool {
	for !r.ready() {
		select {
		case <-r.changed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// refresh is called after everything that may change the condition.
func (r *revision) refresh() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
	r.state.refresh()
	refreshMoves(r.composing)
}

// newReconciler makes what calls the handler for the keys of q. current returns the revision that
// handles objects at that moment.
func (r *revision) newReconciler(q *queue.Queue[kube.Key], current func() *revision) *reconciler {
	handler, _ := r.builder.get()
	return &reconciler{
		plugin: r.def.Handler.Plugin(), finalizer: r.def.Finalizer, handler: handler, composes: r.composing != nil,
		timeout: r.def.Timeout, queue: q, objects: r.objects,
		finalizers: r.finalizers(),
		cached: func(key kube.Key) (handlers.Object, bool) {
			now := current()
			if now == nil || now.objects != r.objects {
				return nil, false
			}
			return now.watches.primary().Get(key.Namespace, key.Name)
		},
		excludes: func(ctx context.Context, obj handlers.Object) bool {
			now := current()
			return now != nil && now.predicate.excludes(ctx, obj)
		},
		calls: r.state.calls, past: r.state.past, metrics: r.state.metrics, logger: r.state.logger,
	}
}
