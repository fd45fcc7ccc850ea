package kube

import (
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel has to drop what was not delivered when the connection, or the process, ends, and
// to end the connection when what was sent is not acknowledged.
func TestKernelIsToldToGiveUp(t *testing.T) {
	r := newTermRig(t, sayWho)
	if _, err := r.send(t.Context(), http.MethodPost, http.NoBody); err != nil {
		t.Fatal(err)
	}
	r.gate.writes.mu.Lock()
	defer r.gate.writes.mu.Unlock()
	if n := len(r.gate.writes.open); n != 1 {
		t.Fatalf("%d connections are open, want 1", n)
	}
	for c := range r.gate.writes.open {
		tcp, ok := c.Conn.(*net.TCPConn)
		if !ok {
			t.Fatalf("the connection is a %T", c.Conn)
		}
		raw, err := tcp.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			if linger, err := unix.GetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER); err != nil || linger.Onoff == 0 || linger.Linger != 0 {
				t.Errorf("SO_LINGER is %+v, %v; want it on with 0", linger, err)
			}
			timeout, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
			if got, want := time.Duration(timeout)*time.Millisecond, defaultReserve; err != nil || got != want {
				t.Errorf("TCP_USER_TIMEOUT is %s, %v; want %s", got, err, want)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}
