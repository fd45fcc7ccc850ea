package daemon

import (
	"os"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// newElector makes the elector of the one lease, and its client, which the caller closes after the elector has stopped.
// It contacts nothing.
func newElector(cfg config.LeaderElection, where clusterConfig, metrics *telemetry.Metrics, logger logr.Logger) (*election.Elector, *election.APIClient, error) {
	if cfg.Namespace == "" {
		cfg.Namespace = where.namespace
	}
	identity, err := election.Identity(os.Getenv("POD_NAME"), os.Getenv("POD_UID"))
	if err != nil {
		return nil, nil, err
	}
	leases, err := election.NewLeaseClient(where.rest, cfg.RetryPeriod)
	if err != nil {
		return nil, nil, err
	}
	metrics.SetLeader(cfg.Name, false)
	elector, err := election.New(election.Options{
		Namespace: cfg.Namespace, Name: cfg.Name, Identity: identity,
		LeaseDuration: cfg.LeaseDuration, RenewDeadline: cfg.RenewDeadline, RetryPeriod: cfg.RetryPeriod,
		Leases: leases, Logger: logger, Observer: observeElection(cfg.Name, metrics),
	})
	return elector, leases, err
}

// observeElection tells the metrics what becomes of the lease; the elector logs it.
func observeElection(lease string, metrics *telemetry.Metrics) election.Observer {
	return election.Observer{
		StateChanged: func(_, to election.State) {
			metrics.CountTransition(to.String())
			metrics.SetLeader(lease, to == election.StateLeading || to == election.StateDraining)
		},
		Renewed: metrics.ObserveRenewal,
	}
}
