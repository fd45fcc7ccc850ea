package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/util/cert"
)

// selfSignedRest is how much of a certificate's year is left when the next one is made.
const selfSignedRest = 30 * 24 * time.Hour

// SelfSigned is a certificate without an issuer that clients trust. It protects what is sent from
// eavesdroppers, and clients have to skip its verification. It exists in memory alone, and a new
// one is made a month before it ends. It is safe for concurrent use.
type SelfSigned struct {
	hosts []string

	mu      sync.Mutex
	current *tls.Certificate
}

// NewSelfSigned returns a certificate for the machine's name, localhost, and the host of address if
// it has one.
func NewSelfSigned(address string) (*SelfSigned, error) {
	s := &SelfSigned{hosts: []string{"localhost", "127.0.0.1", "::1"}}
	if name, err := os.Hostname(); err == nil && name != "" {
		s.hosts = append([]string{name}, s.hosts...)
	}
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		s.hosts = append(s.hosts, host)
	}
	_, err := s.Get(nil)
	return s, err
}

// Get returns the certificate for a handshake, as tls.Config.GetCertificate does.
func (s *SelfSigned) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.current != nil && now.Before(s.current.Leaf.NotAfter.Add(-selfSignedRest)) {
		return s.current, nil
	}
	next, err := selfSign(s.hosts)
	if err != nil {
		return nil, fmt.Errorf("making a self-signed certificate: %w", err)
	}
	s.current = next
	return next, nil
}

// selfSign makes a certificate for hosts, names or IP addresses, that is valid for a year.
func selfSign(hosts []string) (*tls.Certificate, error) {
	var ips []net.IP
	var names []string
	for _, host := range hosts[1:] {
		if ip := net.ParseIP(host); ip != nil {
			ips = append(ips, ip)
			continue
		}
		names = append(names, host)
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey(hosts[0], ips, names)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}
