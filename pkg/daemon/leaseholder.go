package daemon

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kooperd.dev/kooperd/pkg/election"
)

// holderInterval is how often a lease is read again that looks expired.
const holderInterval = time.Second

// leaseHolder finds out who holds a lease, for a command that takes no part in the election. The
// clock of a person's machine may be wrong by more than a lease lasts. So a lease is taken for
// expired only when it has not changed for that long while it was looked at.
type leaseHolder struct {
	leases          election.LeaseClient
	namespace, name string
	// waits is called before a lease is looked at for as long as it lasts.
	waits func(holder string, lasts time.Duration)

	expired string // resourceVersion of the lease that has expired
}

// look returns who leads, or may lead; empty for none. It returns false where there is no lease at
// all, and so nothing that says whether anything runs.
func (h *leaseHolder) look(ctx context.Context) (string, bool, error) {
	lease, err := h.get(ctx)
	if err != nil || !isLease(lease) {
		return "", false, err
	}
	holder, err := h.holds(ctx, lease)
	return holder, true, err
}

// holds returns who holds a lease that was read just now.
func (h *leaseHolder) holds(ctx context.Context, lease *coordinationv1.Lease) (string, error) {
	if holderOf(lease) == "" || lease.ResourceVersion == h.expired {
		return "", nil
	}
	lasts := time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
	if renewed := lease.Spec.RenewTime; renewed != nil && time.Since(renewed.Time).Abs() < lasts {
		return holderOf(lease), nil
	}
	h.waits(holderOf(lease), lasts)
	interval := time.NewTicker(holderInterval)
	defer interval.Stop()
	for began := time.Now(); time.Since(began) < lasts; {
		select {
		case <-interval.C:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		now, err := h.get(ctx)
		if err != nil || holderOf(now) == "" || now.ResourceVersion != lease.ResourceVersion {
			return holderOf(now), err
		}
	}
	h.expired = lease.ResourceVersion
	return "", nil
}

// get reads the lease; nil if there is none.
func (h *leaseHolder) get(ctx context.Context) (*coordinationv1.Lease, error) {
	lease, err := h.leases.Get(ctx, h.namespace, h.name)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // without a lease there is no leader
	}
	if err != nil {
		return nil, fmt.Errorf("looking for a leader at the lease %s/%s: %w", h.namespace, h.name, err)
	}
	return lease, nil
}

// isLease reports whether there is a lease that was held some time, and not only a ConfigMap of its
// name without a record.
func isLease(lease *coordinationv1.Lease) bool {
	return lease != nil && (lease.Spec.HolderIdentity != nil || lease.Spec.LeaseDurationSeconds != nil)
}

// holderOf is who holds a lease, if that is not released.
func holderOf(lease *coordinationv1.Lease) string {
	if lease == nil || lease.Spec.HolderIdentity == nil || lease.Spec.LeaseDurationSeconds == nil || *lease.Spec.LeaseDurationSeconds <= 0 {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
