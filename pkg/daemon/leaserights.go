package daemon

import (
	"context"
	"time"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/engine"
)

const (
	minLeaseRightsDelay = 2 * time.Second
	maxLeaseRightsDelay = time.Minute
)

// watchLeaseRights tells of missing rights to the lease, in the form that can be pasted into a Role, until they are all there or
// ctx ends. The elector meets the refusals by itself; this says what would end them.
func (p *process) watchLeaseRights(ctx context.Context) {
	if p.elector == nil || !p.engine.Has(engine.UnderLease) {
		return
	}
	reviews, err := p.cluster.AccessReviews()
	if err != nil {
		p.logger.Error(err, "the rights to the lease are not known")
		return
	}
	reviewer, told := access.NewReviewer(reviews), map[string]bool{}
	for delay := minLeaseRightsDelay; ctx.Err() == nil; delay = min(2*delay, maxLeaseRightsDelay) {
		missing, err := reviewer.Missing(ctx, p.elector.needs)
		if err == nil && len(missing) == 0 {
			return
		}
		if err != nil && ctx.Err() == nil {
			p.logger.V(1).Info("the rights to the lease are not known", "err", err.Error(), "retryAfter", delay)
		}
		for _, need := range missing {
			if text := need.Text(); !told[text] {
				told[text] = true
				p.logger.Info("a right to the lease is missing", "reason", text, "optional", need.Optional)
			}
		}
		pause(ctx, delay)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
