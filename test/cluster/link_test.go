package cluster

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// pair returns both ends of a connection through a new proxy, which is closed before the test ends,
// and fails the test if a goroutine of it is left.
func pair(t *testing.T) (p *Proxy, client, server *net.TCPConn) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err = newProxy(listener.Addr().String)
	if err != nil {
		t.Fatal(err)
	}
	client = dial(t, p)
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server = conn.(*net.TCPConn)
	t.Cleanup(func() {
		p.close()
		_, _, _ = client.Close(), server.Close(), listener.Close()
		goleak.VerifyNone(t, before)
	})
	// A connection is there before the proxy knows it as one that can be stalled or reset; what has
	// passed through it has proved that it does.
	send(t, client, "known")
	receive(t, server, "known")
	return p, client, server
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// receive wants text to arrive.
func receive(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("received %q, %v; want %q", got, err, text)
	}
}

// silent wants nothing to arrive for as long as it waits.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("received %d bytes, %v; want silence", n, err)
	}
}

// isReset wants the connection to end by a TCP reset.
func isReset(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("received %d bytes, %v; want a reset", n, err)
	}
}

// isRefused wants a new connection to be reset, be it before the client has seen it made.
func isRefused(t *testing.T, p *Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connecting: %v, want a reset", err)
		}
		return
	}
	defer conn.Close()
	isReset(t, conn)
}

func TestLinkForwards(t *testing.T) {
	p, client, server := pair(t)
	send(t, client, "question")
	receive(t, server, "question")
	send(t, server, "answer")
	receive(t, client, "answer")
	if got := p.Connections(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestLinkPassesHalfClose(t *testing.T) {
	_, client, server := pair(t)
	send(t, client, "last words")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(server); err != nil || string(got) != "last words" {
		t.Fatalf("server read %q, %v", got, err)
	}
	send(t, server, "reply")
	receive(t, client, "reply")
}

func TestLinkBlackhole(t *testing.T) {
	p, client, server := pair(t)
	p.Blackhole()
	send(t, client, "one")
	send(t, server, "two")
	silent(t, server)
	silent(t, client)
	send(t, client, "three")
	p.Heal()
	receive(t, server, "onethree")
	receive(t, client, "two")
}

func TestLinkBlackholeReplies(t *testing.T) {
	p, client, server := pair(t)
	p.BlackholeReplies()
	send(t, client, "question")
	receive(t, server, "question")
	send(t, server, "answer")
	silent(t, client)
	p.Heal()
	receive(t, client, "answer")
}

func TestLinkStall(t *testing.T) {
	p, client, server := pair(t)
	p.Stall()
	send(t, client, "question")
	send(t, server, "answer")
	silent(t, server)
	silent(t, client)
	p.Delay(0) // another fault, or its end, changes nothing for a stalled connection
	silent(t, server)
	p.Heal()
	receive(t, server, "question")
	receive(t, client, "answer")
}

func TestLinkDelays(t *testing.T) {
	const delay = 100 * time.Millisecond
	for name, tc := range map[string]struct {
		set            func(p *Proxy, d time.Duration)
		there, andBack time.Duration
	}{
		"requests": {(*Proxy).Delay, delay, 0},
		"replies":  {(*Proxy).DelayReplies, 0, delay},
	} {
		t.Run(name, func(t *testing.T) {
			p, client, server := pair(t)
			tc.set(p, delay)
			start := time.Now()
			send(t, client, "question")
			receive(t, server, "question")
			if took := time.Since(start); took < tc.there {
				t.Errorf("the request took %s, want at least %s", took, tc.there)
			}
			start = time.Now()
			send(t, server, "answer")
			receive(t, client, "answer")
			if took := time.Since(start); took < tc.andBack {
				t.Errorf("the reply took %s, want at least %s", took, tc.andBack)
			}
			tc.set(p, time.Hour)
			send(t, client, "late")
			send(t, server, "late")
			tc.set(p, 0)
			receive(t, server, "late")
			receive(t, client, "late")
		})
	}
}

func TestLinkReset(t *testing.T) {
	p, client, server := pair(t)
	p.Reset()
	isReset(t, client)
	isReset(t, server)
}

func TestLinkPassesReset(t *testing.T) {
	_, client, server := pair(t)
	abort(server)
	isReset(t, client)
}

func TestLinkRefuse(t *testing.T) {
	p, client, server := pair(t)
	p.Refuse()
	isReset(t, client)
	isReset(t, server)
	isRefused(t, p)
}

func TestLinkCarriesMuchInOrder(t *testing.T) {
	p, client, server := pair(t)
	p.Blackhole()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than may wait
	done := make(chan error, 1)
	go func() {
		_, err := client.Write(sent)
		done <- errors.Join(err, client.CloseWrite())
	}()
	silent(t, server)
	p.Heal()
	_ = server.SetReadDeadline(time.Now().Add(time.Minute))
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("received %d bytes, %v; want the %d that were sent", len(got), err, len(sent))
	}
	if err := <-done; err != nil {
		t.Errorf("sending: %v", err)
	}
}

func TestProxyWithoutUpstream(t *testing.T) {
	p, err := newProxy(func() string { return "127.0.0.1:1" })
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	isRefused(t, p)
}
