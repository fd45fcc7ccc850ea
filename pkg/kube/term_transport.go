package kube

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
)

const (
	// defaultReserve is what a gate assumes between the end of a term and a takeover; see
	// Gate.Reserve.
	defaultReserve = 5 * time.Second
	// termCheckInterval is the longest time between two looks at the term by a connection.
	termCheckInterval = 250 * time.Millisecond
	// transportAge is for how long a transport is used before the file of the CA is read again.
	transportAge = 5 * time.Minute
)

// termTransport sends the writes of a gate on connections that carry nothing else, so that they can
// end with the term. Otherwise a write that the network holds up would outlive it: the kernel goes
// on delivering what a process has sent, for minutes and also after its exit. A connection that has
// come back to life delivers all that was waiting, the cancelled requests first.
//
// So a connection refuses to send anything outside the term. It is reset when the term or the
// process ends, which drops what has not been delivered. It gives up by itself when nothing that
// was sent has been acknowledged for as long as the reserve.
type termTransport struct {
	config    *rest.Config
	host      string
	remaining func() time.Duration
	reserve   time.Duration
	token     *tokenFile        // nil when no token comes from a file
	files     *certificateFiles // nil when no client certificate comes from files

	mu         sync.Mutex
	transport  *http.Transport // nil until a write needs one
	made       time.Time
	generation int // of the client certificate that transport has
	open       map[*termConn]struct{}
	closed     bool
}

// newTermTransport makes the transport of a gate to the API server of config. It contacts nothing.
func newTermTransport(config *rest.Config, remaining func() time.Duration, reserve time.Duration) (*termTransport, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's address: %w", err)
	}
	t := &termTransport{
		config: config, host: base.Host, remaining: remaining, reserve: reserve, token: newTokenFile(config),
		open: map[*termConn]struct{}{},
	}
	first, err := t.newTransport() // Bad settings are an error now, not with the first write.
	if err != nil {
		return nil, err
	}
	if hasCertificateFiles(config) {
		load := first.TLSClientConfig.GetClientCertificate
		t.files = &certificateFiles{load: load, certFile: config.CertFile, keyFile: config.KeyFile}
	}
	return t, nil
}

// serves reports whether the transport leads to the host of a URL.
func (t *termTransport) serves(u *url.URL) bool { return u.Host == t.host }

// RoundTrip sends one write.
func (t *termTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.token.roundTrip(req, func(req *http.Request) (*http.Response, error) {
		if t.files == nil {
			return send(req, 0, t.current)
		}
		return t.files.roundTrip(req, t.current)
	})
}

// current returns the transport, which is made anew when it is old or has another certificate. What
// still runs on the old one goes on.
func (t *termTransport) current(generation int) (http.RoundTripper, error) {
	now, old, err := t.replaceOld(generation)
	if err != nil {
		return nil, err
	}
	if old != nil {
		old.CloseIdleConnections() // It takes the mutex.
	}
	return &proxyTransport{proxy: now.Proxy, next: now}, nil
}

// replaceOld returns the transport, and the one that it has replaced, if any.
func (t *termTransport) replaceOld(generation int) (now, old *http.Transport, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, net.ErrClosed
	}
	if t.transport != nil && time.Since(t.made) < transportAge && generation == t.generation {
		return t.transport, nil, nil
	}
	if now, err = t.newTransport(); err != nil {
		return nil, nil, err
	}
	old, t.transport, t.made, t.generation = t.transport, now, time.Now(), generation
	return now, old, nil
}

// newTransport makes a transport from the settings of the config, as client-go does, but with
// connections that end with the term. Credentials besides certificates are added by the wrappers
// around the gate.
func (t *termTransport) newTransport() (*http.Transport, error) {
	conf, err := t.config.TransportConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the transport settings: %w", err)
	}
	tlsConfig, err := transport.TLSConfigFor(conf)
	if err != nil {
		return nil, fmt.Errorf("reading the TLS settings: %w", err)
	}
	probe := min(max(t.reserve/2, time.Second), defaultReserve)
	dial := (&net.Dialer{Timeout: 2 * probe, KeepAlive: probe}).DialContext
	if conf.DialHolder != nil {
		dial = conf.DialHolder.Dial
	}
	made := &http.Transport{
		Proxy: utilnet.NewProxierWithNoProxyCIDR(http.ProxyFromEnvironment),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return t.dial(ctx, dial, network, address)
		},
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 2 * probe,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 25,
		DisableCompression:  conf.DisableCompression,
		Protocols:           new(http.Protocols),
		HTTP2:               &http.HTTP2Config{SendPingTimeout: probe, PingTimeout: probe, WriteByteTimeout: probe},
	}
	if conf.Proxy != nil {
		made.Proxy = conf.Proxy
	}
	made.Protocols.SetHTTP1(true)
	made.Protocols.SetHTTP2(true)
	if tlsConfig != nil {
		tlsConfig.NextProtos = nil // The transport fills in what Protocols allows.
	}
	return made, nil
}

// dialFunc connects with an address.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dial makes a connection that ends with the term.
func (t *termTransport) dial(ctx context.Context, dial dialFunc, network, address string) (net.Conn, error) {
	inner, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	// Both are best effort: a dialer of the config may hide the socket.
	if tcp, ok := inner.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // Closing resets, also when the kernel closes for a process that is gone.
		_ = giveUpAfter(tcp, t.reserve)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = inner.Close()
		return nil, net.ErrClosed
	}
	c := &termConn{Conn: inner, transport: t}
	c.timer = time.AfterFunc(termCheckInterval, c.checkTerm)
	t.open[c] = struct{}{}
	return c, nil
}

// closeConnections resets all connections. The next write of another term makes new ones.
func (t *termTransport) closeConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reset()
}

// reset closes all connections and drops what was not delivered. The mutex must be held. The
// transport goes with them: it may take a moment to notice, and would give a closed connection to
// the first write of the next term.
func (t *termTransport) reset() {
	for c := range t.open {
		c.forget()
		_ = c.Conn.Close() // It is being thrown away.
	}
	t.transport = nil
}

// close ends the use of the transport.
func (t *termTransport) close() {
	t.mu.Lock()
	t.closed = true
	last := t.transport
	t.mu.Unlock()
	t.closeConnections()
	if last != nil {
		last.CloseIdleConnections()
	}
}

// termConn is one connection of a termTransport.
type termConn struct {
	net.Conn
	transport *termTransport
	timer     *time.Timer // guarded by the mutex of the transport
}

// Write sends within the term, and resets all connections outside of it. It is the last moment at
// which the process can look at the clock: between the gate and here it may have been stopped for
// any time.
func (c *termConn) Write(b []byte) (int, error) {
	if c.transport.remaining() <= 0 {
		c.transport.closeConnections()
		return 0, fmt.Errorf("sending on a connection for writes: %w", ErrNotLeading)
	}
	return c.Conn.Write(b)
}

func (c *termConn) Close() error {
	c.transport.mu.Lock()
	c.forget()
	c.transport.mu.Unlock()
	return c.Conn.Close()
}

// checkTerm resets all connections when the term has ended, and comes back otherwise.
func (c *termConn) checkTerm() {
	c.transport.mu.Lock()
	defer c.transport.mu.Unlock()
	if _, open := c.transport.open[c]; !open {
		return
	}
	if rest := c.transport.remaining(); rest > 0 {
		c.timer.Reset(min(rest, termCheckInterval))
		return
	}
	c.transport.reset()
}

// forget takes the connection out of the transport, whose mutex must be held.
func (c *termConn) forget() {
	delete(c.transport.open, c)
	c.timer.Stop()
}
