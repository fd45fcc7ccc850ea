package election

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// APIClient is the [LeaseClient] for a real API server. It shares its connections with no other
// client, whose traffic could delay a renewal, and requests share none with the watch.
//
// Requests use one HTTP/1.1 connection at a time. It is abandoned after a failure that another one
// might avoid, after a 401, and when a certificate file has changed. The watch uses HTTP/2 where
// the server speaks it, so that pings notice a silent connection.
//
// It is safe for concurrent use.
type APIClient struct {
	config *rest.Config
	params runtime.ParameterCodec
	probe  time.Duration
	lock   lock

	mu       sync.Mutex
	requests *leaseTransport // of Get, Create and Update; nil until one is needed
	closed   bool
}

// NewLeaseClient returns a client for the API server of config, which is copied; its rate limits
// and timeout do not apply. Its Transport must be nil, because a given one cannot be replaced
// after a failure. A watch on which nothing was received for retryPeriod is probed, and given up
// after as long again; zero means 2 s. Nothing is contacted. The caller closes the client after
// Run has returned.
func NewLeaseClient(config *rest.Config, retryPeriod time.Duration) (*APIClient, error) {
	return newAPIClient(config, retryPeriod, leaseLock{})
}

func newAPIClient(config *rest.Config, retryPeriod time.Duration, lock lock) (*APIClient, error) {
	if config.Transport != nil {
		return nil, errors.New("making the lease client: the connection cannot be kept apart when the config has its own Transport")
	}
	if retryPeriod <= 0 {
		retryPeriod = DefaultRetryPeriod
	}
	scheme := runtime.NewScheme()
	if err := lock.addToScheme(scheme); err != nil {
		return nil, fmt.Errorf("making the lease client: %w", err)
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // for the Status of an error
	c := rest.CopyConfig(config)
	gv := lock.groupVersion()
	c.APIPath, c.GroupVersion = "/apis", &gv
	if gv.Group == "" {
		c.APIPath = "/api"
	}
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.ContentType = runtime.ContentTypeProtobuf
	c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	c.QPS, c.Burst, c.RateLimiter, c.Timeout = -1, 0, nil, 0
	if c.UserAgent == "" {
		c.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	client := &APIClient{config: c, params: runtime.NewParameterCodec(scheme), probe: retryPeriod, lock: lock}
	first, err := client.newTransport(false)
	if unreadable := (*credentialError)(nil); err != nil && !errors.As(err, &unreadable) {
		return nil, err
	}
	client.requests = first
	return client, nil
}

// Get implements [LeaseClient].
func (c *APIClient) Get(ctx context.Context, namespace, name string) (*coordinationv1.Lease, error) {
	return c.do(ctx, func(api rest.Interface) *rest.Request {
		return api.Get().Namespace(namespace).Resource(c.lock.resource()).Name(name)
	})
}

// Create implements [LeaseClient].
func (c *APIClient) Create(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	body, err := c.lock.encode(lease)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, func(api rest.Interface) *rest.Request {
		return api.Post().Namespace(lease.Namespace).Resource(c.lock.resource()).Body(body)
	})
}

// Update implements [LeaseClient]. The UID in lease matters as much as its resourceVersion: a PUT
// of a Lease that was deleted would create it anew.
func (c *APIClient) Update(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	body, err := c.lock.encode(lease)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, func(api rest.Interface) *rest.Request {
		return api.Put().Namespace(lease.Namespace).Resource(c.lock.resource()).Name(lease.Name).Body(body)
	})
}

// do sends one request, once: the elector decides about repetitions. The server is sent the time
// limit as well, so that a queued write is not stored long after this process has given it up.
func (c *APIClient) do(ctx context.Context, build func(rest.Interface) *rest.Request) (*coordinationv1.Lease, error) {
	l, err := c.current()
	if err != nil {
		return nil, err
	}
	request := build(l.leases).MaxRetries(0)
	if deadline, ok := ctx.Deadline(); ok {
		request = request.Timeout(max(time.Until(deadline), time.Millisecond))
	}
	object := c.lock.object()
	if err := request.Do(ctx).Into(object); err != nil {
		if !answered(err) || apierrors.IsUnauthorized(err) { // the connection carries the certificate
			c.drop(l)
		}
		return nil, err
	}
	return c.lock.decode(object)
}

// answered reports whether an error is an answer that another connection, perhaps to another API
// server, would not change.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError && status.Status().Code != 0
}

// Watch implements [LeaseClient]. Every watch has its own connection, which ends with it.
func (c *APIClient) Watch(ctx context.Context, namespace, name string) (watch.Interface, error) {
	l, err := c.newTransport(true)
	if err != nil {
		return nil, err
	}
	// Some minutes, differing from replica to replica, so that watches spread over the API servers
	// again after a restart.
	seconds := int64(300 + rand.IntN(300)) //nolint:gosec // spreads load, keeps no secret
	stream, err := l.leases.Get().Namespace(namespace).Resource(c.lock.resource()).MaxRetries(0).
		VersionedParams(&metav1.ListOptions{
			Watch:          true,
			FieldSelector:  fields.OneTermEqualSelector(metav1.ObjectNameField, name).String(),
			TimeoutSeconds: &seconds,
		}, c.params).Watch(ctx)
	if err != nil {
		l.close()
		return nil, err
	}
	return c.lock.stream(&transportWatch{Interface: stream, transport: l}), nil
}

// transportWatch closes its connection when it is stopped.
type transportWatch struct {
	watch.Interface
	transport *leaseTransport
}

func (w *transportWatch) Stop() {
	w.Interface.Stop()
	w.transport.close()
}

// Close ends all connections for requests; a watch ends with its Stop. The client must not be used
// any more.
func (c *APIClient) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.requests != nil {
		c.requests.close()
		c.requests = nil
	}
}

// current returns the transport for requests, with the certificates that there are now.
func (c *APIClient) current() (*leaseTransport, error) {
	c.mu.Lock()
	l, closed := c.requests, c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case l != nil && !c.outdated(l):
		return l, nil
	}
	next, err := c.newTransport(false)
	if err != nil && l != nil {
		return l, nil // better than none
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		next.close()
		return nil, errClosed
	}
	if c.requests != nil {
		c.requests.close()
	}
	c.requests = next
	return next, nil
}

var errClosed = errors.New("the lease client is closed")

// drop abandons a transport, so that the next request dials anew.
func (c *APIClient) drop(l *leaseTransport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.close()
	if c.requests == l {
		c.requests = nil
	}
}
