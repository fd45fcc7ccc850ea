package portforward

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"k8s.io/streaming/pkg/httpstream"
)

const (
	// failurePatience is how long the end of the stream with the failure is awaited after that of
	// the data. Both come from one hand, at the same time.
	failurePatience = time.Second
	// failureBytes is how much of a failure is read.
	failureBytes = 4 << 10
)

// conn is a connection to a port of a pod: a stream of data, and one on which the node says why
// there is none.
type conn struct {
	httpstream.Stream
	pod     *Pod
	port    int
	failure httpstream.Stream
	failed  chan string // gets what the node says, once; empty when nothing went wrong
}

var _ net.Conn = (*conn)(nil)

func newConn(pod *Pod, port int, data, failure httpstream.Stream) *conn {
	c := &conn{Stream: data, pod: pod, port: port, failure: failure, failed: make(chan string, 1)}
	go func() {
		text, err := io.ReadAll(io.LimitReader(failure, failureBytes))
		if err != nil && len(text) == 0 {
			text = []byte(err.Error())
		}
		c.failed <- strings.Join(strings.Fields(string(text)), " ")
	}()
	return c
}

// Read reads what the pod sends. At its end the error is what the node says, if it says anything.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if n > 0 || err == nil {
		return n, err
	}
	timer := time.NewTimer(failurePatience)
	defer timer.Stop()
	select {
	case text := <-c.failed:
		c.failed <- text // for the next Read
		if text != "" {
			return 0, fmt.Errorf("port %d of pod %s/%s cannot be reached: %s", c.port, c.pod.namespace, c.pod.name, text)
		}
	case <-timer.C:
	}
	return 0, err
}

// Close ends both streams, also a Read that waits.
func (c *conn) Close() error {
	_ = c.failure.Reset() // It carries nothing.
	err := c.Stream.Reset()
	c.pod.connection.RemoveStreams(c.Stream, c.failure)
	return err
}

// address names the port of a pod.
type address struct {
	pod  *Pod
	port int
}

func (a address) Network() string { return "portforward" }
func (a address) String() string {
	return a.pod.namespace + "/" + a.pod.name + ":" + strconv.Itoa(a.port)
}

func (c *conn) LocalAddr() net.Addr  { return address{c.pod, 0} }
func (c *conn) RemoteAddr() net.Addr { return address{c.pod, c.port} }

// Streams have no deadlines; who needs one closes the connection.

func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
