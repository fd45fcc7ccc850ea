// Package portforwardtest is the end of a forwarded port at a kubelet, for tests: it speaks SPDY,
// as kubelets do, and connects to what a test says. An API server can stand before it.
//
//	mux.HandleFunc("POST /portForward/{namespace}/{pod}", func(w http.ResponseWriter, r *http.Request) {
//		portforwardtest.Serve(w, r, func(port int) (net.Conn, error) { … })
//	})
package portforwardtest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// Serve answers a request to forward ports until the client ends the connection. dial connects to a
// port of the pod; its error is told to the client.
func Serve(w http.ResponseWriter, r *http.Request, dial func(port int) (net.Conn, error)) {
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return // The answer says so.
	}
	s := &session{dial: dial, pairs: map[string]*pair{}}
	connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r, s.accept)
	if connection == nil {
		return
	}
	<-connection.CloseChan()
	_ = connection.Close()
	s.forwarding.Wait()
}

// session is one connection of a client.
type session struct {
	dial       func(port int) (net.Conn, error)
	forwarding sync.WaitGroup

	mu    sync.Mutex
	pairs map[string]*pair // by the ID of the request
}

// pair are the two streams of one request.
type pair struct{ data, failure httpstream.Stream }

// accept takes a stream of the client. With the second one of a request it begins to forward.
func (s *session) accept(stream httpstream.Stream, _ <-chan struct{}) error {
	port, err := strconv.Atoi(stream.Headers().Get(corev1.PortHeader))
	if err != nil {
		return fmt.Errorf("reading the port of a stream: %w", err)
	}
	id := stream.Headers().Get(corev1.PortForwardRequestIDHeader)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pairs[id]
	if p == nil {
		p = new(pair)
		s.pairs[id] = p
	}
	switch kind := stream.Headers().Get(corev1.StreamType); kind {
	case corev1.StreamTypeData:
		p.data = stream
	case corev1.StreamTypeError:
		p.failure = stream
	default:
		return fmt.Errorf("unknown type of a stream: %q", kind)
	}
	if p.data != nil && p.failure != nil {
		delete(s.pairs, id)
		s.forwarding.Go(func() { s.forward(p, port) })
	}
	return nil
}

// forward carries data between a stream and a port until one of them ends.
func (s *session) forward(p *pair, port int) {
	defer func() { _ = p.failure.Close() }()
	defer func() { _ = p.data.Close() }()
	conn, err := s.dial(port)
	if err != nil {
		_, _ = fmt.Fprintf(p.failure, "error forwarding port %d: %v", port, err)
		return
	}
	defer func() { _ = conn.Close() }()
	ended := make(chan struct{}, 2)
	for _, way := range []struct {
		to   io.Writer
		from io.Reader
	}{{conn, p.data}, {p.data, conn}} {
		s.forwarding.Go(func() {
			_, _ = io.Copy(way.to, way.from) // One of them has ended, whichever way.
			ended <- struct{}{}
		})
	}
	<-ended
}
