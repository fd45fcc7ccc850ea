package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// CertificateCheckInterval is the longest time for which a changed certificate goes unnoticed by new connections.
const CertificateCheckInterval = 5 * time.Second

// CertificateFiles is a certificate and its private key in two PEM files, which are read again when a connection comes
// and the last look is CertificateCheckInterval ago. It looks at the contents, so it does not matter how they are
// replaced. A pair that does not fit together, as while only one of the files has been replaced, is logged once and the
// last good one goes on being used. It is safe for concurrent use.
type CertificateFiles struct {
	certFile, keyFile string
	logger            logr.Logger

	mu      sync.Mutex
	looked  time.Time
	seen    [2][]byte // the contents that current was made of
	trouble string    // why the last look has brought no certificate
	current *tls.Certificate
}

// LoadCertificateFiles reads the files for the first time; the error names the file, or says that they do not belong
// together. The logger is told of every later change.
func LoadCertificateFiles(certFile, keyFile string, logger logr.Logger) (*CertificateFiles, error) {
	f := &CertificateFiles{certFile: certFile, keyFile: keyFile, logger: logger, looked: time.Now()}
	if _, err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Get returns the certificate for a handshake, as tls.Config.GetCertificate does. It never fails.
func (f *CertificateFiles) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= CertificateCheckInterval {
		f.looked = now
		f.look()
	}
	return f.current, nil
}

// look reads the files again and tells what has become of them.
func (f *CertificateFiles) look() {
	changed, err := f.read()
	switch {
	case err != nil && err.Error() != f.trouble:
		f.trouble = err.Error()
		f.logger.Error(err, "the TLS certificate cannot be replaced, the former one stays in use", "certFile", f.certFile, "keyFile", f.keyFile)
	case err == nil && changed:
		f.trouble = ""
		f.logger.Info("TLS certificate replaced", "certFile", f.certFile, "serial", f.current.Leaf.SerialNumber.String(), "notAfter", f.current.Leaf.NotAfter)
	case err == nil:
		f.trouble = ""
	}
}

// read makes the files' contents the current certificate. It tells whether that is another one.
func (f *CertificateFiles) read() (changed bool, err error) {
	cert, err := os.ReadFile(f.certFile)
	if err != nil {
		return false, fmt.Errorf("reading the TLS certificate: %w", err)
	}
	key, err := os.ReadFile(f.keyFile)
	if err != nil {
		return false, fmt.Errorf("reading the TLS private key: %w", err)
	}
	if f.seen[0] != nil && bytes.Equal(cert, f.seen[0]) && bytes.Equal(key, f.seen[1]) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("reading the TLS certificate %s with the private key %s: %w", f.certFile, f.keyFile, err)
	}
	if pair.Leaf == nil {
		return false, errors.New("reading the TLS certificate: it has no leaf")
	}
	f.seen, f.current = [2][]byte{cert, key}, &pair
	return true, nil
}
