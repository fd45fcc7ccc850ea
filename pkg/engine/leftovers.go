package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// leftovers are what a definition had to do with before, and does not handle any more.
type leftovers struct {
	*shared
	id     string
	former []string           // ids that the definition has had before
	now    *compose.Selection // what it handles; nil for nothing
	gate   *kube.Gate
	logger logr.Logger
}

// finish does what is to be done about all that is left, until that is done or ctx ends. What one
// scope waits for keeps no other one waiting, but for one in which everything is deleted: it comes
// after those before it that leave something, since their children carry the same marks. Kinds that
// are not served keep nothing: what is left of them is looked at when one of them is served.
func (l leftovers) finish(ctx context.Context, left []compose.Scope) {
	var scopes sync.WaitGroup
	finished := make([]chan struct{}, len(left))
	for i, scope := range left {
		finished[i] = make(chan struct{})
		before := mayStayBefore(scope, left[:i], finished)
		scopes.Go(func() {
			finish := sync.OnceFunc(func() { close(finished[i]) })
			defer finish()
			for _, other := range before {
				select {
				case <-other:
				case <-ctx.Done():
					return
				}
			}
			for {
				unserved, ok := l.finishScope(ctx, scope)
				finish() // As far as it can be.
				if !ok || len(unserved) == 0 || !l.awaitServed(ctx, unserved) {
					return
				}
			}
		})
	}
	scopes.Wait()
}

// mayStayBefore are those of the scopes before one that have to be finished first.
func mayStayBefore(scope compose.Scope, earlier []compose.Scope, finished []chan struct{}) (wait []chan struct{}) {
	if scope.OnRemove != string(config.Delete) || scope.Done {
		return nil
	}
	for i, other := range earlier {
		if other.OnRemove != string(config.Delete) && !other.Done {
			wait = append(wait, finished[i])
		}
	}
	return wait
}

// finishScope does it for one scope. It returns the kinds that have to be served before it can be
// done, or false when ctx has ended.
func (l leftovers) finishScope(ctx context.Context, scope compose.Scope) (unserved []compose.OwnedRecord, ok bool) {
	said, delay, released, claimed := "", removalInterval, 0, false
	versions := map[types.UID]string{}
	for {
		found, waits, err := l.remove(ctx, scope, released, versions)
		released += found.Finalizers
		if found.Claimed > 0 && !claimed {
			claimed = true
			l.logger.Info("children that a definition has left behind wait for another definition, which may take them over",
				"kind", scope.Kind, "children", found.Claimed, telemetry.KeyReason, found.Claim)
		}
		if err == nil && found.Going == 0 {
			if !waits {
				return nil, true
			}
			l.logger.Info("kinds are not served, so what is left of them is looked at when they are", "kind", scope.Kind,
				"onRemove", scope.OnRemove, "kinds", kindsOf(found.Unserved))
			return found.Unserved, true
		}
		if ctx.Err() != nil {
			return nil, false
		}
		if err != nil {
			if text := err.Error(); text != said {
				said = text
				l.logger.Info("not all that a definition has left behind could be removed", telemetry.KeyReason, text)
			}
		}
		delay = nextRemoval(delay, err != nil || found.Claimed > 0) // Another definition may be pending for long.
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, false
		}
	}
}

// nextRemoval is after how long the next try comes. delay is what it was before, and slower says
// that trying does not help at the moment.
func nextRemoval(delay time.Duration, slower bool) time.Duration {
	if !slower {
		return removalInterval
	}
	return min(2*delay, lastRemovalInterval)
}

// remove tries once. released is how many finalizers were removed before, and versions are those of
// compose.Removal. waits is true when something is to be done when kinds are served again.
func (l leftovers) remove(
	ctx context.Context, scope compose.Scope, released int, versions map[types.UID]string,
) (found compose.Removed, waits bool, err error) {
	clients, err := l.api.clients(l.id, l.gate, nil)
	if err != nil {
		return found, false, err
	}
	client, err := compose.NewClient(clients.REST, l.api.Kinds())
	if err != nil {
		return found, false, err
	}
	removal := &compose.Removal{
		Installation: l.installation, Definition: cmp.Or(scope.ID, l.id), Scope: scope, Now: l.now, Client: client, Dynamic: clients.Dynamic,
		Moves: l.moves, MovesAs: l.id, Versions: versions,
	}
	if scope.ID == "" {
		removal.Formerly = l.former
	}
	if scope.Done {
		removal.Scope.OnRemove = "" // What is left stays.
	}
	if found, err = removal.Run(ctx); err != nil || found.Going > 0 {
		return found, false, err
	}
	if removal.Waits(found) {
		return found, true, nil
	}
	if !scope.Done {
		l.logger.Info("a definition does not handle these objects any more", "kind", scope.Kind, "onRemove", scope.OnRemove,
			"childrenThatStay", found.Stay, "patchesThatStay", found.Patched, "finalizersRemoved", released+found.Finalizers)
	}
	stay := found.Stay + found.Patched + len(found.Unserved) // There may be one of each that stays.
	return found, false, l.records.Finish(ctx, l.id, scope, stay)
}

func kindsOf(owns []compose.OwnedRecord) (names []string) {
	for _, owned := range owns {
		names = append(names, owned.Kind)
	}
	return names
}

// awaitServed waits until one of some kinds is served. It returns false when ctx has ended before.
func (l leftovers) awaitServed(ctx context.Context, unserved []compose.OwnedRecord) bool {
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	var sources []source
	var ends []func()
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	for _, owned := range unserved {
		s := l.api.watch(ctx, kube.Watch{
			Kind: owned.GroupVersionKind(), Namespaces: owned.Namespaces, FieldManager: compose.FieldManager, MetadataOnly: true,
			LabelSelector: labels.SelectorFromSet(labels.Set{compose.InstallationLabel: l.installation}),
		})
		sources, ends = append(sources, s), append(ends, s.Subscribe(func(kube.Event) {}, note), s.Close)
	}
	isServed := func(s source) bool {
		state, _ := s.Status()
		return state != status.Waiting && state != status.Syncing
	}
	for !slices.ContainsFunc(sources, isServed) {
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
