package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxConnections is how many connections one server has at once. A scraper and a kubelet need one
// or two each.
const maxConnections = 128

// limitListener is a listener with a bounded number of connections. When one more comes, the one
// that has been idle for the longest time is closed: it waits for its TLS handshake, for a request
// or for the rest of one. So clients that connect and send nothing, or send it slowly, cannot keep
// a probe from being answered. Neither can clients that are not authenticated yet. When all
// connections are active, the new one is closed.
type limitListener struct {
	net.Listener
	limit  int
	closed func() // called for every connection that is closed to keep the bound

	mu    sync.Mutex
	conns *list.List // of *limitedConn; idle ones in the order in which they became idle
}

// limitedConn is one connection of a limitListener.
type limitedConn struct {
	net.Conn
	listener *limitListener
	place    *list.Element
	busy     int // requests being answered
}

func newLimitListener(l net.Listener, limit int, closed func()) *limitListener {
	return &limitListener{Listener: l, limit: limit, closed: closed, conns: list.New()}
}

func (c *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		m := &limitedConn{Conn: conn, listener: c}
		leaves := c.admit(m)
		if leaves != nil {
			_ = leaves.Close() // Its client is not owed an answer.
			c.closed()
		}
		if leaves != m {
			return m, nil
		}
	}
}

// admit takes a connection in and returns the one that has to leave for it, which may be the new
// one; nil if none.
func (c *limitListener) admit(m *limitedConn) (leaves *limitedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns.Len() >= c.limit {
		if leaves = c.idlest(); leaves == nil {
			return m
		}
		c.conns.Remove(leaves.place)
		leaves.place = nil
	}
	m.place = c.conns.PushBack(m)
	return leaves
}

// idlest returns the connection that has been idle for the longest time, or nil.
func (c *limitListener) idlest() *limitedConn {
	for e := c.conns.Front(); e != nil; e = e.Next() {
		if m, ok := e.Value.(*limitedConn); ok && m.busy == 0 {
			return m
		}
	}
	return nil
}

// Close also makes room for another connection.
func (m *limitedConn) Close() error {
	m.listener.mu.Lock()
	if m.place != nil {
		m.listener.conns.Remove(m.place)
		m.place = nil
	}
	m.listener.mu.Unlock()
	return m.Conn.Close()
}

// active counts a request of the connection: n is 1 when it is being answered, and -1 when it has
// been.
func (m *limitedConn) active(n int) {
	m.listener.mu.Lock()
	defer m.listener.mu.Unlock()
	if m.busy += n; m.busy == 0 && m.place != nil {
		m.listener.conns.MoveToBack(m.place)
	}
}

// connKey is the key of the connection in the context of its requests.
type connKey struct{}

// connContext is for http.Server.ConnContext.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, conn)
}

// trackActive marks the connection of a request as active while the request is being answered.
func trackActive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m, ok := r.Context().Value(connKey{}).(*limitedConn); ok {
			m.active(1)
			defer m.active(-1)
		}
		next.ServeHTTP(w, r)
	})
}
