package engine

import (
	"context"
	"math"
	"time"

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
// goroutines that it adds by run.
func (c *composing) begin(ctx context.Context, run func(func()), add func(kube.Key)) bool {
	if c == nil || c.controller.records == nil {
		return true
	}
	def := c.revision.def
	record := compose.RecordOf(def.Watch.Kind.GroupVersion().String(), def.Watch.Kind.Kind, ownedKinds(def),
		def.Watch.Namespaces, compose.FinalizerOf(c.controller.installation, def.Name))
	var former []compose.OwnedRecord
	backoff := recordBackoff.DelayFunc()
	var delay time.Duration
	err := wait.DelayFunc(func() time.Duration { return delay }).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		var err error
		former, err = c.controller.records.Activate(ctx, def.Name, record)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		c.setTrouble(err)
		delay = backoff()
		return err == nil, nil
	})
	if err != nil {
		return false
	}
	for _, kind := range former {
		run(func() { c.prune(ctx, kind, add) })
	}
	return true
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

// prune watches a kind that the definition does not own any more, so that what it has made of it is
// deleted, until nothing is left or ctx ends.
func (c *composing) prune(ctx context.Context, kind compose.OwnedRecord, add func(kube.Key)) {
	logger := c.controller.logger.WithValues("kind", kind.Kind, "apiVersion", kind.APIVersion)
	logger.Info("looking for children of a kind that the definition does not own any more")
	owned := handlers.OwnedKind{APIVersion: kind.APIVersion, Kind: kind.Kind, AnyNamespace: len(kind.Namespaces) == 0, MetadataOnly: true}
	source := c.controller.api.watch(ctx, kube.Watch{
		Kind: owned.GroupVersionKind(), Namespaces: kind.Namespaces, FieldManager: compose.FieldManager, MetadataOnly: true,
		LabelSelector: labels.SelectorFromSet(labels.Set{compose.InstallationLabel: c.controller.installation}),
	})
	defer source.Close()
	wake := make(chan struct{}, 1)
	look := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	defer source.Subscribe(func(e kube.Event) { c.callParents(e, add); look() }, look)()
	reconciler := c.reconciler.Load()
	defer reconciler.AddFormer(compose.ChildSource{OwnedKind: owned, Source: source, Former: true})()
	// What was in a cache that is shared comes with no event.
	c.onFormer(source, add)
	ofDefinition := labels.SelectorFromSet(labels.Set{compose.DefinitionLabel: c.revision.def.Name})
	again := time.NewTicker(formerInterval)
	defer again.Stop()
	said := ""
	for {
		if source.Listed() && len(source.List("", ofDefinition)) == 0 {
			if err := c.controller.records.Release(ctx, c.revision.def.Name, kind); err == nil {
				logger.Info("nothing is left of a kind that the definition does not own any more")
				return
			}
		}
		if state, reason := source.Status(); reason != nil && reason.Error() != said {
			said = reason.Error()
			logger.Info("children of a kind that the definition does not own any more cannot be looked at",
				"state", state, telemetry.KeyReason, said)
		}
		select {
		case <-wake:
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// onFormer calls for the parents of everything that a source has.
func (c *composing) onFormer(source source, add func(kube.Key)) {
	for _, object := range source.List("", nil) {
		uid := compose.ParentUID(object)
		if parent, ok := c.revision.watches.primary().GetByUID(uid); ok {
			add(kube.Key{Namespace: parent.Namespace(), Name: parent.Name()})
		}
	}
}
