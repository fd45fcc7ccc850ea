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

// watchLeaseRights logs which rights to the lease are missing, in a form that can be pasted into a
// Role, and whether its namespace is, until everything is there or ctx ends. The elector meets the
// refusals by itself; this says what would end them.
func (p *process) watchLeaseRights(ctx context.Context) {
	select {
	case <-p.engine.Wants(engine.UnderLease):
	case <-ctx.Done():
		return
	}
	checker, err := p.newChecker()
	if err != nil {
		p.logger.Error(err, "the rights to the lease are not known")
		return
	}
	logged := sets.New[string]()
	_ = leaseRightsBackoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		missing, err := p.elector.missing(ctx, checker)
		if err != nil {
			p.logger.V(1).Info("the rights to the lease are not known", "err", err.Error())
			return false, nil
		}
		for _, finding := range missing {
			if !logged.Has(finding.Message) {
				logged.Insert(finding.Message)
				p.logMissing(finding)
			}
		}
		return len(missing) == 0, nil
	}) // It ends with ctx alone.
}

func (p *process) logMissing(finding access.Finding) {
	if finding.Rule == nil {
		p.logger.Info("the namespace of the lease does not exist", "namespace", finding.Namespace)
		return
	}
	p.logger.Info("a right to the lease is missing", "reason", finding.Message, "optional", finding.Optional)
}

func (p *process) newChecker() (*access.Checker, error) {
	reviews, err := p.cluster.AccessReviews()
	if err != nil {
		return nil, err
	}
	namespaces, err := p.cluster.Namespaces()
	if err != nil {
		return nil, err
	}
	return access.NewChecker(p.cluster.Kinds(), reviews, access.NewNamespaces(namespaces, reviews)), nil
}

// missing finds what the lease needs and does not have.
func (l *leadership) missing(ctx context.Context, checker *access.Checker) ([]access.Finding, error) {
	namespaces, _, err := checker.Namespaces(ctx, "", []string{l.lease.Namespace})
	if err != nil {
		return nil, err
	}
	rights, err := checker.Lease(ctx, l.lease, l.lease.Namespace)
	return append(namespaces, rights...), err
}
