package compose

import (
	"context"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// makeRight brings the children in line. settled is false if that took too many rounds, and whole
// if a cache has ceased to be complete: what is not in it may exist nevertheless. It is false, too,
// if nothing may be made, because that could not be recorded, or the parent is gone. Nothing is
// changed of a parent that is held.
func (p *pass) makeRight(ctx context.Context) (settled, whole bool) {
	for {
		settled = p.converge(ctx)
		if whole = p.listed(p.meta.DeletionTimestamp != nil) && !p.lost; !whole || !settled || p.err != nil || p.rollout.held {
			return settled, whole
		}
		patching{p}.contribute(ctx)
		if !p.prune(ctx) {
			patching{p}.withdraw(ctx)
			return settled, whole
		}
		// What the composer says may be about what is gone now.
	}
}

// mayWrite reports whether what the definition owns is recorded. It waits for that.
func (p *pass) mayWrite(ctx context.Context) bool {
	ok, err := p.Recorded.await(ctx)
	p.lost = !ok && err == nil
	return ok
}

// converge asks the composer, and creates and applies, until nothing changes any more. It returns
// false if that took too many rounds.
func (p *pass) converge(ctx context.Context) (settled bool) {
	for p.rounds < maxRounds {
		p.rounds++
		observed := p.observeChildren()
		keeps := keepsDependents(p.meta)
		if keeps {
			clear(observed)
		}
		desired := p.compose(ctx, observed)
		if keeps {
			desired = nil
		}
		if p.err != nil || ctx.Err() != nil || !p.lives() || !p.mayWrite(ctx) {
			return true
		}
		p.observeAt(observed, desired)
		p.ops = p.plan(observed, desired, "", "")
		if p.rollout.held = (rolling{p}).holds(observed, desired); p.rollout.held {
			return true
		}
		if p.err = p.ensureFinalizer(ctx, desired, len(p.patches.desired) > 0); p.err != nil {
			return true
		}
		if !sameForComposer(p.composed, p.meta) {
			continue
		}
		changed := p.execute(ctx, p.ops)
		if !(labeling{p}).write(ctx) && !changed {
			return true
		}
	}
	return false
}

// lives reports whether the parent is there, and not being deleted since the composer was asked,
// which may take long. Else its end has an event, and nothing is made for it any more.
func (p *pass) lives() bool {
	now, there := p.Parents.GetByUID(p.parent.UID)
	p.lost = !there || now.Metadata().DeletionTimestamp != nil && p.composed.DeletionTimestamp == nil
	return !p.lost
}

// sameForComposer reports whether nothing but what kooperd itself writes differs: the event of that
// write calls for nothing.
func sameForComposer(a, b *metav1.ObjectMeta) bool {
	return a.Generation == b.Generation && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}
