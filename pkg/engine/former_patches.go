package engine

import (
	"context"
	"time"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// withdrawFormer removes what the parents have contributed to objects of a kind that the definition
// does not patch any more, when the calls of earlier revisions have returned. The composer need not
// be asked: it may want nothing there. What a parent has contributed that a rollout holds stays
// until that is updated. It goes on until all is done, or ctx ends. left is what the definition had
// to do with before.
func withdrawFormer(ctx context.Context, c *composing, kind compose.OwnedRecord, left []compose.Scope, earlier []<-chan struct{}) {
	for _, returned := range earlier {
		select {
		case <-returned:
		case <-ctx.Done():
			return
		}
	}
	logger := c.controller.logger.WithValues("kind", kind.Kind, "apiVersion", kind.APIVersion)
	said, delay := "", removalInterval
	for {
		err := withdrawKind(ctx, c, kind, left)
		if err == nil {
			logger.Info("nothing is contributed any more to objects of a kind that the definition does not patch any more")
			return
		}
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != said {
			said = text
			logger.Info("what was contributed to objects of a kind that the definition does not patch any more cannot be removed",
				telemetry.KeyReason, text)
		}
		timer := time.NewTimer(delay)
		delay = min(2*delay, lastRemovalInterval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// withdrawKind tries once.
func withdrawKind(ctx context.Context, c *composing, kind compose.OwnedRecord, left []compose.Scope) error {
	def := c.revision.def
	clients, err := c.controller.api.clients(def.Name, c.revision.gate, nil)
	if err != nil {
		return err
	}
	client, err := compose.NewClient(clients.REST, c.controller.api.Kinds())
	if err != nil {
		return err
	}
	removal := compose.Removal{
		Installation: c.controller.installation, Definition: def.IDs()[0], Formerly: def.IDs()[1:], Now: &c.selection, Left: left,
		Updated: c.revision.objects.memory.Rollout.HasUpdated, Client: client, Dynamic: clients.Dynamic,
		Scope: compose.Scope{Patches: []compose.OwnedRecord{kind}, OnRemove: string(config.Delete)},
	}
	if err := removal.WithdrawPatches(ctx); err != nil {
		return err
	}
	return c.controller.records.ReleasePatches(ctx, def.IDs()[0], kind)
}
