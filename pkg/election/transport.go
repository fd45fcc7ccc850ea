package election

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
)

// leaseTransport is an HTTP transport whose connections have no other user, and all end with it.
type leaseTransport struct {
	leases    rest.Interface
	transport *http.Transport
	dialer    *trackingDialer
	files     credentialFiles
}

// newTransport makes a transport of client-go's parts. client-go itself would share it with all
// clients that have the same credentials. Certificate files are read for every transport.
func (c *APIClient) newTransport(streams bool) (*leaseTransport, error) {
	conf, err := c.config.TransportConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the transport settings: %w", err)
	}
	files, err := loadCredentialFiles(conf)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := transport.TLSConfigFor(conf)
	if err != nil {
		return nil, fmt.Errorf("reading the TLS settings: %w", err)
	}
	dialer := &trackingDialer{dial: (&net.Dialer{Timeout: c.probe, KeepAlive: c.probe}).DialContext}
	if conf.DialHolder != nil {
		dialer.dial = conf.DialHolder.Dial
	}
	t := &http.Transport{
		Proxy:                 utilnet.NewProxierWithNoProxyCIDR(http.ProxyFromEnvironment),
		DialContext:           dialer.DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   c.probe,
		ResponseHeaderTimeout: 2 * c.probe,
		MaxConnsPerHost:       1,
		DisableCompression:    true,
		Protocols:             new(http.Protocols),
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: c.probe, PingTimeout: c.probe, WriteByteTimeout: c.probe},
	}
	if conf.Proxy != nil {
		t.Proxy = conf.Proxy
	}
	t.OnProxyConnectResponse = nameProxy
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(streams)
	if tlsConfig != nil {
		tlsConfig.NextProtos = nil // the transport fills in what Protocols allows
	}
	rt, err := transport.HTTPWrappersForConfig(conf, t)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials: %w", err)
	}
	leases, err := rest.RESTClientForConfigAndClient(c.config, &http.Client{Transport: rt})
	if err != nil {
		return nil, fmt.Errorf("making the lease client: %w", err)
	}
	return &leaseTransport{leases: leases, transport: t, dialer: dialer, files: files}, nil
}

// nameProxy makes an error of a proxy that refuses a connection. net/http would return the text of
// its status alone, such as "Forbidden", which reads like an answer of the API server.
func nameProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	address := url.URL{Scheme: proxy.Scheme, Host: proxy.Host}
	return fmt.Errorf("the proxy %s does not let the connection through and answers %q", &address, http.StatusText(resp.StatusCode))
}

// outdated reports whether the transport was made with other certificates than there are now. Files
// that cannot be used, such as a certificate whose key has not been replaced yet, make no better
// one.
func (c *APIClient) outdated(l *leaseTransport) bool {
	conf, err := c.config.TransportConfig()
	if err != nil {
		return false
	}
	files, err := loadCredentialFiles(conf)
	return err == nil && !files.equal(l.files)
}

// close ends every connection of the transport, also one that is being used or dialled.
func (l *leaseTransport) close() {
	l.dialer.close()
	l.transport.CloseIdleConnections()
}

// trackingDialer remembers its connections, so that they can be ended.
type trackingDialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	closed bool
	open   map[*trackedConn]struct{}
}

// DialContext dials a connection that ends with close at the latest.
func (d *trackingDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		discard(conn)
		return nil, net.ErrClosed
	}
	tracked := &trackedConn{Conn: conn, dialer: d}
	if d.open == nil {
		d.open = map[*trackedConn]struct{}{}
	}
	d.open[tracked] = struct{}{}
	return tracked, nil
}

// close ends all connections and lets no further one come into being.
func (d *trackingDialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for conn := range d.open {
		discard(conn.Conn)
	}
	d.open = nil
}

// trackedConn leaves its dialer's memory when it is closed.
type trackedConn struct {
	net.Conn
	dialer *trackingDialer
}

// Close closes the connection and forgets it.
func (c *trackedConn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.open, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}

// discard closes a connection at once. Without the linger option the kernel would go on for minutes
// trying to deliver a request that this process has given up.
func discard(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // best effort: closing is what counts
	}
	_ = conn.Close() // it is being thrown away
}
