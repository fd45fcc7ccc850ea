package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxConnections is how many connections one server has at once. A scraper and a kubelet need one or two each.
const maxConnections = 128

// crowd is a listener with a bounded number of connections. When one more comes, the one that has waited for the longest
// time goes: for its TLS handshake, for a request or for the rest of one. So clients that connect and say nothing, or
// say it slowly, cannot keep a probe from being answered, nor can those of whom it is not known yet who they are. When all
// are being answered, the new one is closed.
type crowd struct {
	net.Listener
	limit  int
	closed func() // is told of every connection that is closed to keep the bound

	mu      sync.Mutex
	members *list.List // of *member; those that wait in the order in which they began to
}

// member is one connection.
type member struct {
	net.Conn
	crowd *crowd
	place *list.Element
	busy  int // requests being answered
}

func newCrowd(l net.Listener, limit int, closed func()) *crowd {
	return &crowd{Listener: l, limit: limit, closed: closed, members: list.New()}
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		m := &member{Conn: conn, crowd: c}
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

// admit takes a connection in and returns the one that has to leave for it, which may be the new one; nil if none.
func (c *crowd) admit(m *member) (leaves *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members.Len() >= c.limit {
		if leaves = c.waiting(); leaves == nil {
			return m
		}
		c.members.Remove(leaves.place)
		leaves.place = nil
	}
	m.place = c.members.PushBack(m)
	return leaves
}

// waiting returns the connection that has waited for the longest time.
func (c *crowd) waiting() *member {
	for e := c.members.Front(); e != nil; e = e.Next() {
		if m, ok := e.Value.(*member); ok && m.busy == 0 {
			return m
		}
	}
	return nil
}

// Close implements net.Conn.
func (m *member) Close() error {
	m.crowd.mu.Lock()
	if m.place != nil {
		m.crowd.members.Remove(m.place)
		m.place = nil
	}
	m.crowd.mu.Unlock()
	return m.Conn.Close()
}

// answering notes that a request of the connection is being answered, n = 1, or has been, n = -1.
func (m *member) answering(n int) {
	m.crowd.mu.Lock()
	defer m.crowd.mu.Unlock()
	if m.busy += n; m.busy == 0 && m.place != nil {
		m.crowd.members.MoveToBack(m.place)
	}
}

// memberKey is the key of the connection in the context of its requests.
type memberKey struct{}

// connContext is for http.Server.ConnContext.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return context.WithValue(ctx, memberKey{}, conn)
}

// noting tells the crowd which connections are being answered.
func noting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m, ok := r.Context().Value(memberKey{}).(*member); ok {
			m.answering(1)
			defer m.answering(-1)
		}
		next.ServeHTTP(w, r)
	})
}
