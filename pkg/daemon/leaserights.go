package daemon

import (
	"context"
	"math"
	"time"

	"github.com/go-logr/logr"
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
	if p.store == nil {
		select {
		case <-p.engine.Wants(engine.UnderLease):
		case <-ctx.Done():
			return
		}
	}
	checker, err := p.newChecker()
	if err != nil {
		p.logger.Error(err, "the rights to the lease are not known")
		return
	}
	log := findingLog{logger: p.logger}
	_ = leaseRightsBackoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		missing, err := p.elector.missing(ctx, checker)
		if err != nil {
			p.logger.V(1).Info("the rights to the lease are not known", "err", err.Error())
			return false, nil
		}
		log.write(missing)
		return len(missing) == 0, nil
	}) // It ends with ctx alone.
}

// findingLog logs what the lease lacks, each of it again only after it has been there.
type findingLog struct {
	logger logr.Logger
	logged sets.Set[string] // the messages of the latest findings
}

// write logs those findings that are not among the latest ones. Without a namespace there is no
// lease, and nothing works.
func (l *findingLog) write(found []access.Finding) {
	latest := sets.New[string]()
	for _, finding := range found {
		latest.Insert(finding.Message)
		switch {
		case l.logged.Has(finding.Message):
		case finding.Rule == nil:
			l.logger.Error(nil, "the namespace of the lease does not exist", "namespace", finding.Namespace)
		default:
			l.logger.Info("a right to the lease is missing", "reason", finding.Message, "optional", finding.Optional)
		}
	}
	l.logged = latest
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
