package daemon

import (
	"fmt"
	"os"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// leadership is the elector of the one lease with what belongs to it.
type leadership struct {
	*election.Elector
	client *election.APIClient
	events *leaseEvents
	lease  config.LeaderElection // with its namespace

	identity string
}

// newLeadership makes the elector of the one lease; it contacts nothing.
func newLeadership(cfg config.LeaderElection, where clusterConfig, metrics *telemetry.Metrics, logger logr.Logger) (*leadership, error) {
	if cfg.Namespace == "" {
		cfg.Namespace = where.namespace
	}
	identity, err := election.Identity(os.Getenv("POD_NAME"), os.Getenv("POD_UID"))
	if err != nil {
		return nil, err
	}
	newClient := election.NewLeaseClient
	if cfg.Lock == config.ConfigMapLock {
		newClient = election.NewConfigMapClient
	}
	client, err := newClient(where.rest, cfg.RetryPeriod)
	if err != nil {
		return nil, err
	}
	events, err := newLeaseEvents(where.rest, identity, logger)
	if err != nil {
		return nil, err
	}
	elector, err := election.New(election.Options{
		Namespace: cfg.Namespace, Name: cfg.Name, Identity: identity,
		LeaseDuration: cfg.LeaseDuration, RenewDeadline: cfg.RenewDeadline, RetryPeriod: cfg.RetryPeriod,
		Leases: client, Logger: logger, Observer: observeElection(cfg, identity, metrics, events),
	})
	if err != nil {
		return nil, err
	}
	metrics.ObserveLeadership(cfg.Name, elector.Leading, elector.Remaining)
	metrics.ObserveLeaseWatch(elector.Unwatched)
	return &leadership{Elector: elector, client: client, events: events, lease: cfg, identity: identity}, nil
}

// close waits for the last events and frees what the elector has used, after it has stopped. The
// wait has no bound.
func (l *leadership) close() {
	l.events.wait()
	l.client.Close()
}

// observeElection passes on what becomes of the lease to the metrics and to the lock's events. The
// elector itself logs it.
func observeElection(cfg config.LeaderElection, identity string, metrics *telemetry.Metrics, events *leaseEvents) election.Observer {
	return election.Observer{
		StateChanged: func(_, to election.State) { metrics.CountTransition(to.String()) },
		Renewed:      metrics.ObserveRenewal,
		Elected: func(lease *coordinationv1.Lease) {
			events.about(lockReference(cfg.Lock, lease))
			events.record(corev1.EventTypeNormal, "LeaderElection", "Elected", identity+" became leader")
		},
		Lost: func(reason election.Reason, _ error) {
			events.record(corev1.EventTypeWarning, "LeaderElection", "Lost", fmt.Sprintf("%s lost the leadership: %s", identity, reason))
		},
		Released: func(err error) {
			if err == nil {
				events.record(corev1.EventTypeNormal, "LeaderElection", "Released", identity+" released the leadership")
			}
		},
	}
}

// lockReference names the object that holds the record.
func lockReference(lock config.Lock, lease *coordinationv1.Lease) corev1.ObjectReference {
	ref := corev1.ObjectReference{
		APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: lease.Namespace, Name: lease.Name, UID: lease.UID,
	}
	if lock == config.ConfigMapLock {
		ref.APIVersion, ref.Kind = "v1", "ConfigMap"
	}
	return ref
}
