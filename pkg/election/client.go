package election

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// LeaseClient is all that an elector needs from the API server; [NewLeaseClient] makes the real
// one. Answers of the server are errors of k8s.io/apimachinery/pkg/api/errors. Every call must end
// soon after its context. An elector has at most one of Get, Create and Update under way, and one
// Watch. Objects passed in and out belong to the receiver.
type LeaseClient interface {
	// Get reads the Lease as of now, not from a cache.
	Get(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error)
	// Create writes a new Lease and returns it as stored.
	Create(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
	// Update replaces the Lease if its resourceVersion and UID are still those of the argument, and
	// fails with a Conflict otherwise; it returns the Lease as stored.
	Update(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
	// Watch returns once the stream is open, and reports the Lease as it is then, if it exists, and
	// every later change of it.
	Watch(ctx context.Context, namespace, name string) (watch.Interface, error)
}
