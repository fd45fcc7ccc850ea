package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// selfSignedLife is how long a self-signed certificate is valid.
	selfSignedLife = 365 * 24 * time.Hour
	// selfSignedRest is how much of it is left when the next one is made.
	selfSignedRest = 30 * 24 * time.Hour
	// clockSkew is how far the clock of a client may be behind.
	clockSkew = time.Hour
)

// SelfSigned is a certificate that nobody vouches for: it hides what is sent from those who only listen, and clients have
// to be told not to verify it. It exists in memory alone, and a new one is made a month before it ends. It is safe for
// concurrent use.
type SelfSigned struct {
	hosts []string

	mu      sync.Mutex
	current *tls.Certificate
}

// NewSelfSigned returns a certificate for the machine's name, localhost, and the host of address if it has one.
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
	next, err := selfSign(s.hosts, now)
	if err != nil {
		return nil, fmt.Errorf("making a self-signed certificate: %w", err)
	}
	s.current = next
	return next, nil
}

func selfSign(hosts []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
