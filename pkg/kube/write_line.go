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
	// defaultReserve is what a gate takes for the time between the end of a term and a takeover until it is told.
	defaultReserve = 5 * time.Second
	// lookEvery is the longest time between two looks at the term by a connection for writes.
	lookEvery = 250 * time.Millisecond
	// lineAge is for how long a transport is used before the files with certificates are read again.
	lineAge = 5 * time.Minute
)

// writeLine carries the writes of a gate to the API server on connections that carry nothing else, so that they can end
// with the term. Otherwise a write that the network holds up would outlive it: the kernel goes on delivering what a
// process has sent, for minutes and also after its exit, and a connection that has come back to life delivers all that
// was waiting, the cancelled requests first. So a connection refuses to send anything outside the term, is reset when
// the term or the process ends, which drops what has not been delivered, and gives up by itself when nobody
// acknowledges what it has sent for as long as the reserve.
type writeLine struct {
	config    *rest.Config
	host      string
	remaining func() time.Duration
	reserve   time.Duration

	mu        sync.Mutex
	transport *http.Transport // nil until a write needs one
	made      time.Time
	open      map[*writeConn]struct{}
	closed    bool
}

// newWriteLine makes the line of a gate to the API server of config. It contacts nothing.
func newWriteLine(config *rest.Config, remaining func() time.Duration, reserve time.Duration) (*writeLine, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's address: %w", err)
	}
	l := &writeLine{
		config: config, host: base.Host, remaining: remaining, reserve: reserve, open: map[*writeConn]struct{}{},
	}
	if _, err := l.newTransport(); err != nil { // bad settings are told now
		return nil, err
	}
	return l, nil
}

// leadsTo tells whether the line goes to the host of a URL.
func (l *writeLine) leadsTo(u *url.URL) bool { return u.Host == l.host }

// RoundTrip sends one write.
func (l *writeLine) RoundTrip(req *http.Request) (*http.Response, error) {
	t, err := l.current()
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(req)
}

// current returns the transport, which is made anew when it is old. What still runs on the old one goes on.
func (l *writeLine) current() (*http.Transport, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, net.ErrClosed
	}
	if l.transport != nil && time.Since(l.made) < lineAge {
		return l.transport, nil
	}
	t, err := l.newTransport()
	if err != nil {
		return nil, err
	}
	l.transport, l.made = t, time.Now()
	return t, nil
}

// newTransport puts a transport together from the settings of the config, as client-go does, but with connections of its
// own. Credentials are added by the wrappers around the gate.
func (l *writeLine) newTransport() (*http.Transport, error) {
	conf, err := l.config.TransportConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the transport settings: %w", err)
	}
	tlsConfig, err := transport.TLSConfigFor(conf)
	if err != nil {
		return nil, fmt.Errorf("reading the TLS settings: %w", err)
	}
	probe := min(max(l.reserve/2, time.Second), defaultReserve)
	dial := (&net.Dialer{Timeout: 2 * probe, KeepAlive: probe}).DialContext
	if conf.DialHolder != nil {
		dial = conf.DialHolder.Dial
	}
	t := &http.Transport{
		Proxy: utilnet.NewProxierWithNoProxyCIDR(http.ProxyFromEnvironment),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return l.dial(ctx, dial, network, address)
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
		t.Proxy = conf.Proxy
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(true)
	if tlsConfig != nil {
		tlsConfig.NextProtos = nil // the transport fills in what Protocols allows
	}
	return t, nil
}

// dialFunc connects with an address.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dial makes a connection that ends with the term.
func (l *writeLine) dial(ctx context.Context, dial dialFunc, network, address string) (net.Conn, error) {
	inner, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	// Both are best effort: a dialer of the config's own may hide the socket.
	if tcp, ok := inner.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // closing resets, also when the kernel closes for a process that is gone
		_ = giveUpAfter(tcp, l.reserve)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = inner.Close()
		return nil, net.ErrClosed
	}
	c := &writeConn{Conn: inner, line: l}
	c.timer = time.AfterFunc(lookEvery, c.look)
	l.open[c] = struct{}{}
	return c, nil
}

// cut resets all connections. The next write of another term makes new ones.
func (l *writeLine) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.drop()
	}
}

// close is cut for good.
func (l *writeLine) close() {
	l.mu.Lock()
	l.closed = true
	t := l.transport
	l.mu.Unlock()
	l.cut()
	if t != nil {
		t.CloseIdleConnections()
	}
}

// writeConn is one connection of a writeLine.
type writeConn struct {
	net.Conn
	line  *writeLine
	timer *time.Timer // guarded by the line's mutex
}

// Write sends within the term, and resets the connection outside of it. It is the last moment at which the process can
// look at the clock: between the gate and here it may have been stopped for any time.
func (c *writeConn) Write(b []byte) (int, error) {
	if c.line.remaining() <= 0 {
		c.line.mu.Lock()
		c.drop()
		c.line.mu.Unlock()
		return 0, fmt.Errorf("sending on a connection for writes: %w", ErrNotLeading)
	}
	return c.Conn.Write(b)
}

// Close implements net.Conn.
func (c *writeConn) Close() error {
	c.line.mu.Lock()
	c.forget()
	c.line.mu.Unlock()
	return c.Conn.Close()
}

// look resets the connection when the term has ended, and comes back otherwise.
func (c *writeConn) look() {
	c.line.mu.Lock()
	defer c.line.mu.Unlock()
	if _, open := c.line.open[c]; !open {
		return
	}
	if rest := c.line.remaining(); rest > 0 {
		c.timer.Reset(min(rest, lookEvery))
		return
	}
	c.drop()
}

// drop resets the connection. The line's mutex must be held.
func (c *writeConn) drop() {
	c.forget()
	_ = c.Conn.Close() // it is being thrown away
}

// forget takes the connection out of the line. The line's mutex must be held.
func (c *writeConn) forget() {
	delete(c.line.open, c)
	c.timer.Stop()
}
