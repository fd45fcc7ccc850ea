package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// serverName is a name in the API server's certificate, which clients verify behind a proxy too.
const serverName = "kubernetes.default.svc"

// dialTimeout limits the proxy's own connections to the API server.
const dialTimeout = 10 * time.Second

// Proxy is a network between a client and the API server that can be broken: every connection of
// the client goes through it, byte for byte, so that TLS is end to end. A new proxy forwards
// everything at once. Its methods may be called concurrently; each acts on existing and later
// connections, unless it says otherwise.
//
// Unlike a packet filter it cannot keep a client from connecting: while packets would be lost, the
// connection is there and its bytes wait. What waits is delivered after Heal, as TCP would do it.
type Proxy struct {
	listener net.Listener
	upstream func() string
	running  sync.WaitGroup

	mu       sync.Mutex
	state    network
	changed  chan struct{} // closed and replaced at each change of state
	links    map[*link]struct{}
	stalled  map[*link]struct{} // those that lose everything, whatever the state is
	accepted int
	resets   int // how often Reset was called
	closed   bool
}

// network is how the proxy treats what passes through it.
type network struct {
	requests, replies direction
	refuse            bool
}

// direction is how bytes travel one way.
type direction struct {
	// hold keeps everything back.
	hold bool
	// delay is the time from arrival to delivery; it does not limit the throughput.
	delay time.Duration
}

// Proxy returns a proxy in front of this cluster, which is closed when the test ends.
func (c *Cluster) Proxy(t testing.TB) *Proxy {
	t.Helper()
	p, err := newProxy(func() string { return hostPort(c.AdminConfig().Host) })
	if err != nil {
		t.Fatalf("starting a proxy: %v", err)
	}
	t.Cleanup(p.close)
	return p
}

// hostPort returns the address in the URL of an API server.
func hostPort(host string) string {
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		return u.Host
	}
	return host
}

// newProxy starts a proxy to the address that upstream returns at the time of each connection.
func newProxy(upstream func() string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	p := &Proxy{
		listener: listener, upstream: upstream, changed: make(chan struct{}),
		links: map[*link]struct{}{}, stalled: map[*link]struct{}{},
	}
	p.running.Go(p.accept)
	return p, nil
}

// Addr returns the address that clients connect to, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Config returns a copy of config whose connections go through the proxy.
func (p *Proxy) Config(config *rest.Config) *rest.Config {
	through := rest.CopyConfig(config)
	through.Host = "https://" + p.Addr()
	through.ServerName = serverName
	return through
}

// Kubeconfig writes a kubeconfig for config through the proxy and returns its path. The context's
// namespace is namespace, which may be empty.
func (p *Proxy) Kubeconfig(t testing.TB, config *rest.Config, namespace string) string {
	t.Helper()
	return WriteKubeconfig(t, p.Config(config), namespace)
}

// Connections returns how many connections clients have made so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Blackhole loses everything in both directions, in silence.
func (p *Proxy) Blackhole() {
	p.change(func(n *network) { n.requests.hold, n.replies.hold = true, true })
}

// BlackholeReplies loses what the API server answers; what clients send still arrives and is done.
func (p *Proxy) BlackholeReplies() { p.change(func(n *network) { n.replies.hold = true }) }

// Delay delivers what clients send only after d; 0 ends it.
func (p *Proxy) Delay(d time.Duration) { p.change(func(n *network) { n.requests.delay = d }) }

// DelayReplies delivers what the API server sends only after d; 0 ends it.
func (p *Proxy) DelayReplies(d time.Duration) { p.change(func(n *network) { n.replies.delay = d }) }

// Refuse resets all connections and every new one at once, until Heal.
func (p *Proxy) Refuse() {
	p.change(func(n *network) { n.refuse = true })
	p.Reset()
}

// Stall loses everything on the present connections, in silence, as when a firewall or a load
// balancer has forgotten them. New ones work.
func (p *Proxy) Stall() {
	p.change(func(*network) {
		for l := range p.links {
			p.stalled[l] = struct{}{}
		}
	})
}

// Heal ends every fault. What was held back is delivered, in order, on connections that still
// exist.
func (p *Proxy) Heal() {
	p.change(func(n *network) {
		*n = network{}
		clear(p.stalled)
	})
}

// Reset ends all present connections with a TCP reset to both sides, and what waits in them is
// lost.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resets++
	for l := range p.links {
		l.reset()
	}
}

func (p *Proxy) change(apply func(*network)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	apply(&p.state)
	close(p.changed)
	p.changed = make(chan struct{})
}

// current returns the state as it is for one link, and a channel that is closed when it is no
// longer that.
func (p *Proxy) current(l *link) (network, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := p.state
	if _, stalled := p.stalled[l]; stalled {
		state.requests.hold, state.replies.hold = true, true
	}
	return state, p.changed
}

// close ends the proxy and all its connections, and returns when its goroutines have ended.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Reset()
	p.running.Wait()
}

// accept takes connections until the listener is closed.
func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the client gave up before it was accepted
		}
		client, ok := conn.(*net.TCPConn)
		if !ok {
			_ = conn.Close()
			continue
		}
		p.running.Go(func() { p.connect(client) })
	}
}

// connect joins a client with the API server and serves the pair to its end.
func (p *Proxy) connect(client *net.TCPConn) {
	p.mu.Lock()
	p.accepted++
	refuse, resets := p.state.refuse || p.closed, p.resets
	p.mu.Unlock()
	if refuse {
		abort(client)
		return
	}
	conn, err := net.DialTimeout("tcp", p.upstream(), dialTimeout)
	if err != nil {
		abort(client)
		return
	}
	server, ok := conn.(*net.TCPConn)
	if !ok {
		_ = conn.Close()
		abort(client)
		return
	}
	l := newLink(client, server, p.current)
	if !p.add(l, resets) {
		l.reset()
		return
	}
	l.run()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	delete(p.stalled, l)
}

// add registers a link, unless it should have been reset while it was made: resets is the number of
// them that its client has seen.
func (p *Proxy) add(l *link, resets int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resets != resets {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// abort closes a connection with a TCP reset. The errors say that it is closed already.
func abort(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}
