package webhook

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestIsLinkLocal(t *testing.T) {
	tests := map[string]bool{
		"169.254.169.254": true, "169.254.0.1": true, "::ffff:169.254.169.254": true, "64:ff9b::a9fe:a9fe": true,
		"fe80::1": true, "fe80::1%eth0": true, "febf::1": true, "ff02::1": true, "224.0.0.1": true,
		"fd00:ec2::254": true, "fd20:ce::254": true, "100.100.100.200": true, "168.63.129.16": true,
		"127.0.0.1": false, "::1": false, "10.0.0.1": false, "192.168.1.1": false, "169.253.0.1": false, "fd00:ec2::253": false,
		"fec0::1": false, "8.8.8.8": false, "2001:db8::1": false,
		"64:ff9b:1::a9fe:a9fe": true, "64:ff9b:1:a9fe:a9:fe00::": true, "64:ff9b:1::a00:1": false,
		"2002:a9fe:a9fe::1": true, "2002:a00:1::1": false,
	}
	for address, want := range tests {
		if got := isLinkLocal(netip.MustParseAddr(address)); got != want {
			t.Errorf("isLinkLocal(%s) = %t", address, got)
		}
	}
}

func TestRefuseLinkLocal(t *testing.T) {
	if err := refuseLinkLocal("tcp6", "[fe80::1%eth0]:80", nil); !errors.Is(err, errLinkLocal) {
		t.Errorf("err = %v", err)
	}
	if err := refuseLinkLocal("tcp4", "127.0.0.1:80", nil); err != nil {
		t.Errorf("err = %v", err)
	}
	if err := refuseLinkLocal("unix", "/run/hook", nil); err == nil {
		t.Error("what is no address is let through")
	}
}

// A name says nothing about where it leads: the address is looked at that is connected to.
func TestLinkLocalByName(t *testing.T) {
	resolve(t, netip.MustParseAddr("169.254.169.254"))
	r := newRig(t, nil, func(c *Config) { c.Sync.URL = "http://metadata.example/latest" })
	_, err := r.sync(t.Context(), "u", "{}")
	if !errors.Is(err, errLinkLocal) || !strings.Contains(err.Error(), "refusing 169.254.169.254: ") {
		t.Errorf("err = %v", err)
	}
	r.wantCount(t, outcomeConnection, 1)
}

func TestAllowLinkLocal(t *testing.T) {
	r := newRig(t, nil, func(c *Config) {
		c.Sync.URL, c.AllowLinkLocal = "http://169.254.169.254/latest", true
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.sync(ctx, "u", "{}"); errors.Is(err, errLinkLocal) {
		t.Errorf("err = %v", err)
	}
	dialer := r.transports.current.DialContext
	if _, err := dialer(ctx, "tcp", "169.254.169.254:80"); err == nil || errors.Is(err, errLinkLocal) {
		t.Errorf("err = %v", err)
	}
}

// resolve makes every name that of one address, by a DNS server of the test.
func resolve(t *testing.T, address netip.Addr) {
	t.Helper()
	var listen net.ListenConfig
	conn, err := listen.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		query := make([]byte, 1024)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(dnsAnswer(query[:n], address), from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = conn.Close()
		<-done
	})
}

// dnsAnswer answers a question for A, and has nothing for others.
func dnsAnswer(query []byte, address netip.Addr) []byte {
	const headerLength = 12
	end := headerLength
	for query[end] != 0 { // the labels of the name
		end += int(query[end]) + 1
	}
	end += 5
	answer := append([]byte{}, query[:end]...)
	binary.BigEndian.PutUint16(answer[2:], 0x8180) // an answer, of a server that looks further
	binary.BigEndian.PutUint16(answer[6:], 0)
	binary.BigEndian.PutUint16(answer[8:], 0)
	binary.BigEndian.PutUint16(answer[10:], 0)
	if binary.BigEndian.Uint16(query[end-4:]) != 1 {
		return answer
	}
	binary.BigEndian.PutUint16(answer[6:], 1)
	ip := address.As4()
	return append(append(answer, 0xc0, headerLength, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4), ip[:]...)
}
