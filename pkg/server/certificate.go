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

// CertificateCheckInterval is how long new connections may still get the former certificate after
// the files have changed.
const CertificateCheckInterval = 5 * time.Second

// CertificateFiles is a certificate and its private key in two PEM files. A new connection makes it
// read the files again, if it last did so at least CertificateCheckInterval ago. It compares the
// contents, so it does not matter how the files are replaced. Files that cannot be read, or do not
// belong together, are logged once, and the last good pair stays in use. That happens while only
// one of the files has been replaced. It is safe for concurrent use.
type CertificateFiles struct {
	certFile, keyFile string
	logger            logr.Logger

	mu      sync.Mutex
	checked time.Time // when the files were last read
	seen    [2][]byte // the contents that current was made of
	failure string    // why the last check brought no certificate; logged already
	current *tls.Certificate
}

// LoadCertificateFiles reads the files for the first time. Its error names the file that cannot be
// read, or says that the two do not belong together. Later changes, and failures to read them, are
// logged.
func LoadCertificateFiles(certFile, keyFile string, logger logr.Logger) (*CertificateFiles, error) {
	f := &CertificateFiles{certFile: certFile, keyFile: keyFile, logger: logger, checked: time.Now()}
	if _, err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Get returns the certificate for a handshake, as tls.Config.GetCertificate does. It never fails.
func (f *CertificateFiles) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.checked) >= CertificateCheckInterval {
		f.checked = now
		f.check()
	}
	return f.current, nil
}

// check reads the files again, and logs a change or a new failure.
func (f *CertificateFiles) check() {
	changed, err := f.read()
	switch {
	case err != nil && err.Error() != f.failure:
		f.failure = err.Error()
		f.logger.Error(err, "the TLS certificate cannot be replaced, the former one stays in use", "certFile", f.certFile, "keyFile", f.keyFile)
	case err == nil && changed:
		f.failure = ""
		f.logger.Info("TLS certificate replaced", "certFile", f.certFile, "serial", f.current.Leaf.SerialNumber.String(), "notAfter", f.current.Leaf.NotAfter)
	case err == nil:
		f.failure = ""
	}
}

// read makes the files' contents the current certificate, and reports whether they have changed.
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
