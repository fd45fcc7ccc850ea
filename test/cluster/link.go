package cluster

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// chunkSize is the most that is read at once, and waitingChunks how many chunks may wait in one
// direction of a connection before the sender is slowed down, as by full socket buffers.
const (
	chunkSize     = 32 << 10
	waitingChunks = 256
)

// chunk is what was read at one time. Without data it is the end of the stream.
type chunk struct {
	data    []byte
	arrived time.Time
}

// link is one connection of a client and the one to the API server that belongs to it.
type link struct {
	client, server *net.TCPConn
	current        func(*link) (network, <-chan struct{})
	over           chan struct{} // closed when both connections are
	once           sync.Once
}

func newLink(client, server *net.TCPConn, current func(*link) (network, <-chan struct{})) *link {
	return &link{client: client, server: server, current: current, over: make(chan struct{})}
}

// run forwards both directions until both have ended or one has failed, and closes the connections.
func (l *link) run() {
	var both sync.WaitGroup
	both.Go(func() { l.forward(l.server, l.client, func(n network) direction { return n.requests }) })
	both.Go(func() { l.forward(l.client, l.server, func(n network) direction { return n.replies }) })
	both.Wait()
	l.end(func(conn *net.TCPConn) { _ = conn.Close() })
}

// reset ends the link with a TCP reset to both sides.
func (l *link) reset() { l.end(abort) }

func (l *link) end(how func(*net.TCPConn)) {
	l.once.Do(func() {
		close(l.over)
		how(l.client)
		how(l.server)
	})
}

// forward carries one direction to its end. A failure on either side is passed on as a reset,
// because the proxy cannot know what of the data has arrived.
func (l *link) forward(to, from *net.TCPConn, way func(network) direction) {
	waiting := make(chan chunk, waitingChunks)
	var reader sync.WaitGroup
	reader.Go(func() { l.receive(from, waiting) })
	defer reader.Wait()
	for {
		select {
		case c := <-waiting:
			if !l.await(c.arrived, way) {
				return
			}
			if len(c.data) == 0 {
				_ = to.CloseWrite()
				return
			}
			if _, err := to.Write(c.data); err != nil {
				l.reset()
				return
			}
		case <-l.over:
			return
		}
	}
}

// receive reads from one side until its stream ends.
func (l *link) receive(from *net.TCPConn, waiting chan<- chunk) {
	for {
		buffer := make([]byte, chunkSize)
		n, err := from.Read(buffer)
		if n > 0 && !l.enqueue(waiting, chunk{data: buffer[:n], arrived: time.Now()}) {
			return
		}
		if errors.Is(err, io.EOF) {
			l.enqueue(waiting, chunk{arrived: time.Now()})
			return
		}
		if err != nil {
			l.reset()
			return
		}
	}
}

func (l *link) enqueue(waiting chan<- chunk, c chunk) bool {
	select {
	case waiting <- c:
		return true
	case <-l.over:
		return false
	}
}

// await returns true when the network lets pass what has arrived at that time, and false when the
// link is over before.
func (l *link) await(arrived time.Time, way func(network) direction) bool {
	for {
		state, changed := l.current(l)
		d := way(state)
		left := time.Until(arrived.Add(d.delay))
		if !d.hold && left <= 0 {
			return true
		}
		var due <-chan time.Time
		var timer *time.Timer
		if !d.hold {
			timer = time.NewTimer(left)
			due = timer.C
		}
		select {
		case <-changed:
		case <-due:
		case <-l.over:
			return false
		}
		if timer != nil {
			timer.Stop()
		}
	}
}
