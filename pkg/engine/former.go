package engine

import (
	"context"
	"encoding/hex"
	"math"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// formerInterval is how often is looked whether something is left of a kind that is not owned any
// more.
const formerInterval = 5 * time.Second

// recordBackoff is the delay between tries to record what a definition owns.
var recordBackoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Cap: 30 * time.Second, Steps: math.MaxInt32}

// begin records what the definition owns, before anything is made, and looks after what it has
// owned before. It returns false when ctx has ended before that. Whoever calls it waits for the
// goroutines that it adds by run. earlier are closed when the calls of earlier revisions, which may
// still make objects of those kinds, have returned.
func (c *composing) begin(ctx context.Context, run func(func()), add func(kube.Key), earlier []<-chan struct{}) bool {
	if c == nil {
		return true
	}
	if c.controller.records == nil {
		c.revision.objects.memory.Brake.DefinitionChanged(c.revision.made)
		return true
	}
	kinds, ok := c.activate(ctx)
	if !ok {
		return false
	}
	all := make([]*former, len(kinds))
	for i, kind := range kinds {
		all[i] = c.watchFormer(ctx, kind, add)
	}
	// A parent that is deleted is let go when nothing of it is left, so these have to be seen.
	for _, f := range all {
		select {
		case <-f.source.Synced():
		case <-ctx.Done():
		}
	}
	for _, f := range all {
		run(func() { f.prune(ctx, add, earlier) })
	}
	return true
}

// activate records what the definition owns, and returns what it has owned before. It returns false
// when ctx has ended before that.
func (c *composing) activate(ctx context.Context) (former []compose.OwnedRecord, ok bool) {
	def := c.revision.def
	record := compose.RecordOf(def.Watch.Kind.GroupVersion().String(), def.Watch.Kind.Kind, ownedKinds(def),
		def.Watch.Namespaces, compose.FinalizerOf(c.controller.installation, def.Name))
	record.Digest = hex.EncodeToString(def.Digest[:])
	var changed time.Time
	backoff := recordBackoff.DelayFunc()
	var delay time.Duration
	err := wait.DelayFunc(func() time.Duration { return delay }).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		var err error
		former, changed, err = c.controller.records.Activate(ctx, def.Name, record)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		c.setTrouble(err)
		delay = backoff()
		return err == nil, nil
	})
	c.revision.objects.memory.Brake.DefinitionChanged(changed)
	return former, err == nil
}

// setTrouble notes why nothing can be handled yet.
func (c *composing) setTrouble(err error) {
	c.mu.Lock()
	c.trouble = err
	c.mu.Unlock()
	c.revision.refresh()
}

// error says why nothing can be handled yet; nil if it can.
func (c *composing) error() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

// former is a kind that a definition has owned and does not own any more.
type former struct {
	*composing
	kind   compose.OwnedRecord
	source source
	logger logr.Logger
	wake   chan struct{} // holds a note that something has changed
	stop   func()        // ends the watch
}

// watchFormer watches a kind that the definition does not own any more, so that what it has made of
// it is seen.
func (c *composing) watchFormer(ctx context.Context, kind compose.OwnedRecord, add func(kube.Key)) *former {
	f := &former{
		composing: c, kind: kind, wake: make(chan struct{}, 1),
		logger: c.controller.logger.WithValues("kind", kind.Kind, "apiVersion", kind.APIVersion),
	}
	owned := handlers.OwnedKind{APIVersion: kind.APIVersion, Kind: kind.Kind, AnyNamespace: len(kind.Namespaces) == 0, MetadataOnly: true}
	f.source = c.controller.api.watch(ctx, kube.Watch{
		Kind: owned.GroupVersionKind(), Namespaces: kind.Namespaces, FieldManager: compose.FieldManager, MetadataOnly: true,
		LabelSelector: labels.SelectorFromSet(labels.Set{compose.InstallationLabel: c.controller.installation}),
	})
	look := func() {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	unsubscribe := f.source.Subscribe(func(e kube.Event) { c.callParents(e, add); look() }, look)
	remove := c.reconciler.Load().AddFormer(compose.ChildSource{OwnedKind: owned, Source: f.source})
	f.stop = func() {
		remove()
		unsubscribe()
		f.source.Close()
	}
	return f
}

// prune calls for the parents, so that what is left is deleted, until there is nothing or ctx ends.
func (f *former) prune(ctx context.Context, add func(kube.Key), earlier []<-chan struct{}) {
	defer f.stop()
	f.logger.Info("looking for children of a kind that the definition does not own any more")
	f.callAll(add) // What was in a cache that is shared comes with no event.
	for _, returned := range earlier {
		select {
		case <-returned:
		case <-ctx.Done():
			return
		}
	}
	again := time.NewTicker(formerInterval)
	defer again.Stop()
	said := ""
	for {
		if f.isGone() {
			if err := f.controller.records.Release(ctx, f.revision.def.Name, f.kind); err == nil {
				f.logger.Info("nothing is left of a kind that the definition does not own any more")
				return
			}
		}
		if state, reason := f.source.Status(); reason != nil && reason.Error() != said {
			said = reason.Error()
			f.logger.Info("children of a kind that the definition does not own any more cannot be looked at",
				"state", state, telemetry.KeyReason, said)
		}
		select {
		case <-f.wake:
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// isGone reports whether nothing is left of the kind, nor of what calls have made of it and the
// cache does not have yet.
func (f *former) isGone() bool {
	if !f.source.Listed() || f.reconciler.Load().Awaits(f.kind.GroupKind()) {
		return false
	}
	ofDefinition := labels.SelectorFromSet(labels.Set{compose.DefinitionLabel: f.revision.def.Name})
	return len(f.source.List("", ofDefinition)) == 0
}

// callAll calls for the parents of everything that the source has.
func (f *former) callAll(add func(kube.Key)) {
	for _, object := range f.source.List("", nil) {
		uid := compose.ParentUID(object)
		if parent, ok := f.revision.watches.primary().GetByUID(uid); ok {
			add(kube.Key{Namespace: parent.Namespace(), Name: parent.Name()})
		}
	}
}
