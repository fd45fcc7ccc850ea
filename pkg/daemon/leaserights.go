package daemon

import (
	"context"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/engine"
)

// leaseRightsBackoff is how often missing rights to the lease are asked for again.
var leaseRightsBackoff = wait.Backoff{Duration: 2 * time.Second, Factor: 2, Cap: time.Minute, Steps: math.MaxInt32}

// watchLeaseRights logs missing rights to the lease, in the form that can be pasted into a Role, until they are all there
// or ctx ends. The elector meets the refusals by itself; this says what would end them.
func (p *process) watchLeaseRights(ctx context.Context) {
	if !p.engine.Has(engine.UnderLease) {
		return
	}
	reviews, err := p.cluster.AccessReviews()
	if err != nil {
		p.logger.Error(err, "the rights to the lease are not known")
		return
	}
	reviewer, logged := access.NewReviewer(reviews), sets.New[string]()
	_ = leaseRightsBackoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		missing, err := reviewer.Missing(ctx, p.elector.needs)
		if err != nil {
			p.logger.V(1).Info("the rights to the lease are not known", "err", err.Error())
			return false, nil
		}
		for _, need := range missing {
			if text := need.Text(); !logged.Has(text) {
				logged.Insert(text)
				p.logger.Info("a right to the lease is missing", "reason", text, "optional", need.Optional)
			}
		}
		return len(missing) == 0, nil
	}) // It ends with ctx alone.
}
