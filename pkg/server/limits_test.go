package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cut reports whether an error is the server's closing of the connection.
func cut(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrUnexpectedEOF)
}

// trickle writes text over and over, a byte at a time, until the server closes the connection, and
// returns how long that took.
func trickle(t *testing.T, conn net.Conn, text string, pause time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, conn) // Ends with the connection.
	}()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(text) {
		select {
		case <-closed:
			return time.Since(began)
		case <-tick.C:
		}
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			if !cut(err) {
				t.Errorf("writing until the server cuts the connection: %v", err)
			}
			<-closed
			return time.Since(began)
		}
	}
}

// TestTrickleIsCut sends the header, or the body, a byte at a time: every byte comes soon, the
// whole never.
func TestTrickleIsCut(t *testing.T) {
	const limit = 300 * time.Millisecond
	s, _ := start(t, options(), func(server *http.Server) {
		if server.ReadHeaderTimeout != readHeaderTimeout || server.ReadTimeout != readTimeout || server.WriteTimeout != writeTimeout || server.IdleTimeout != idleTimeout {
			t.Errorf("a server has not got the limits of all")
		}
		server.ReadHeaderTimeout, server.ReadTimeout = limit, limit
	})
	tests := map[string]struct{ begin, trickle string }{
		"header":       {begin: "GET /livez HTTP/1.1\r\nHost: x\r\n", trickle: "X-Slow: y\r\n"},
		"request line": {begin: "", trickle: "G"},
		"body":         {begin: "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", trickle: "x"},
		"body to 405":  {begin: "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", trickle: "x"},
		"chunks":       {begin: "GET /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", trickle: "1\r\nx\r\n"},
	}
	for name, tc := range tests {
		for server, address := range s.Addresses() {
			t.Run(name+" to "+server, func(t *testing.T) {
				conn := dial(t, address)
				if _, err := io.WriteString(conn, tc.begin); err != nil {
					t.Fatal(err)
				}
				// Closing takes net/http half a second more, for what is still under way to the
				// client.
				if took := trickle(t, conn, tc.trickle, limit/10); took > limit+30*time.Second {
					t.Errorf("the connection was cut after %s, want little more than %s", took, limit)
				}
			})
		}
	}
}

// TestHugeBodyIsNotRead announces a gigabyte and sends it: the answer comes all the same, and the
// rest is not taken.
func TestHugeBodyIsNotRead(t *testing.T) {
	s, _ := start(t, options())
	for name, head := range map[string]string{
		"length": "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n",
		"chunks": "GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, s.Addresses()["health"])
			sent := make(chan int64, 1)
			go func() {
				n, _ := io.Copy(conn, io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, 1<<30)))
				sent <- n
			}()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("reading the answer: %v", err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK || !resp.Close {
				t.Errorf("status %d, close %t; want 200 and the end of the connection", resp.StatusCode, resp.Close)
			}
			if n := <-sent; n > 64<<20 { // what fits into the buffers of both ends is no more
				t.Errorf("the server took %d bytes", n)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestCrowdDoesNotKeepProbesOut opens many more connections than there may be, silent ones and half
// requests, and all the while probes are answered.
func TestCrowdDoesNotKeepProbesOut(t *testing.T) {
	s, _ := start(t, options())
	for name, address := range s.Addresses() {
		path := map[string]string{"health": "/livez", "metrics": "/metrics"}[name]
		var conns []net.Conn
		for i := range 3 * maxConnections {
			conn := dial(t, address)
			conns = append(conns, conn)
			switch i % 3 {
			case 1:
				_, _ = io.WriteString(conn, "GET /livez HTT")
			case 2: // answered, and then kept
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
					_, _ = conn.Read(make([]byte, 1))
				}
			}
			if i%32 == 0 {
				if got := request(t, http.MethodGet, address, path); got.code != http.StatusOK {
					t.Errorf("%s with %d connections: %d", path, i, got.code)
				}
			}
		}
		if open := connections(s, name); open > maxConnections {
			t.Errorf("%s has %d connections, want at most %d", name, open, maxConnections)
		}
		if !strings.Contains(request(t, http.MethodGet, s.Addresses()["metrics"], "/metrics").body,
			`kooperd_http_closed_connections_total{server="`+name+`"} 2`) { // some 260
			t.Error("the closed connections are not counted")
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
		awaitMembers(t, s, name, 0)
	}
}

func connections(s *Server, name string) int {
	open := -1
	for _, l := range s.servers {
		if c, ok := l.listener.(*limitListener); ok && l.name == name {
			c.mu.Lock()
			open = c.conns.Len()
			c.mu.Unlock()
		}
	}
	return open
}

func awaitMembers(t *testing.T, s *Server, name string, want int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); connections(s, name) != want; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s has %d connections, want %d", name, connections(s, name), want)
		}
	}
}

// awaitIdle waits until no request is being answered.
func awaitIdle(t *testing.T, s *Server) {
	t.Helper()
	busy := func() (n int) {
		for _, l := range s.servers {
			c, ok := l.listener.(*limitListener)
			if !ok {
				continue
			}
			c.mu.Lock()
			for e := c.conns.Front(); e != nil; e = e.Next() {
				n += e.Value.(*limitedConn).busy
			}
			c.mu.Unlock()
		}
		return n
	}
	for deadline := time.Now().Add(patience); busy() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are being answered", busy())
		}
	}
}

// TestCrowdKeepsThoseBeingAnswered fills a listener with requests under way: a new connection is
// closed at once, none of them is, and when one has ended there is room again.
func TestCrowdKeepsThoseBeingAnswered(t *testing.T) {
	const limit = 3
	opts := options()
	entered, leave := make(chan struct{}, limit), make(chan struct{})
	opts.Live = func() error {
		entered <- struct{}{}
		<-leave
		return nil
	}
	var closed sync.WaitGroup
	closed.Add(1)
	s, err := Listen(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.servers {
		if c, ok := l.listener.(*limitListener); ok && l.name == "health" {
			c.limit, c.closed = limit, closed.Done
		}
	}
	serve(t, s)
	address := s.Addresses()["health"]
	answers := make(chan int, limit)
	for range limit {
		go func() { answers <- request(t, http.MethodGet, address, "/livez").code }()
		<-entered
	}
	conn := dial(t, address)
	if _, err := conn.Read(make([]byte, 1)); !cut(err) || err == nil {
		t.Errorf("the connection too many: %v, want it closed", err)
	}
	closed.Wait() // once
	close(leave)
	for range limit {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("a request under way: %d", code)
		}
	}
	if got := request(t, http.MethodGet, address, "/readyz"); got.code != http.StatusOK {
		t.Errorf("after that: %d", got.code)
	}
}

// TestCrowdPrefersTheLongestWait closes the connection that has been idle for the longest time, not
// the oldest one.
func TestCrowdPrefersTheLongestWait(t *testing.T) {
	s, err := Listen(t.Context(), options())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.servers {
		if c, ok := l.listener.(*limitListener); ok {
			c.limit = 2
		}
	}
	serve(t, s)
	address := s.Addresses()["health"]
	ask := func(conn net.Conn, reader *bufio.Reader) error {
		if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	oldest, younger := dial(t, address), dial(t, address)
	oldestReader, youngerReader := bufio.NewReader(oldest), bufio.NewReader(younger)
	if err := ask(younger, youngerReader); err != nil {
		t.Fatal(err)
	}
	awaitIdle(t, s) // The answer is there a moment before.
	if err := ask(oldest, oldestReader); err != nil {
		t.Fatal(err)
	}
	awaitIdle(t, s)
	newest := dial(t, address)
	if err := ask(newest, bufio.NewReader(newest)); err != nil {
		t.Errorf("the new connection: %v", err)
	}
	if err := ask(oldest, oldestReader); err != nil {
		t.Errorf("the connection that was used last: %v", err)
	}
	if err := ask(younger, youngerReader); !cut(err) || err == nil {
		t.Errorf("the connection that has waited for the longest time: %v, want it closed", err)
	}
}

// TestCrowdOfStrangers fills the metrics server with requests that the API server has not decided
// about: they make room for somebody who is known, and are no longer asked about.
func TestCrowdOfStrangers(t *testing.T) {
	const limit = 4
	asked, dropped := make(chan struct{}, limit), make(chan struct{}, limit)
	opts := options()
	opts.Access = accessFunc(func(ctx context.Context, token, _, _ string) error {
		if token == "good" {
			return nil
		}
		asked <- struct{}{}
		<-ctx.Done()
		dropped <- struct{}{}
		return ctx.Err()
	})
	s, err := Listen(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range s.servers {
		if c, ok := l.listener.(*limitListener); ok {
			c.limit = limit
		}
	}
	serve(t, s)
	address := s.Addresses()["metrics"]
	for range limit {
		conn := dial(t, address)
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bad\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-asked
	}
	if got := requestAs(t, http.MethodGet, address, "/metrics", "Bearer good"); got.code != http.StatusOK {
		t.Errorf("who is known: %d, want 200", got.code)
	}
	select {
	case <-dropped:
	case <-time.After(patience):
		t.Error("it is still asked who the stranger is")
	}
}
