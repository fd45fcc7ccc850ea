package webhook

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsFiles is what the files of the TLS settings have in them.
type tlsFiles struct{ ca, cert, key []byte }

// readFiles reads those files that there are.
func readFiles(c TLS) (tlsFiles, error) {
	var files tlsFiles
	for _, file := range []struct {
		path string
		into *[]byte
	}{{c.CAFile, &files.ca}, {c.CertFile, &files.cert}, {c.KeyFile, &files.key}} {
		if file.path == "" {
			continue
		}
		text, err := os.ReadFile(file.path)
		if err != nil {
			return tlsFiles{}, err
		}
		*file.into = text
	}
	return files, nil
}

func (f tlsFiles) equal(other tlsFiles) bool {
	return bytes.Equal(f.ca, other.ca) && bytes.Equal(f.cert, other.cert) && bytes.Equal(f.key, other.key)
}

// tlsConfig makes the settings of connections.
func tlsConfig(c TLS, files tlsFiles) (*tls.Config, error) {
	made := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CABundle != "" {
		files.ca = []byte(c.CABundle)
	}
	if c.CABundle != "" || c.CAFile != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(files.ca) {
			return nil, errors.New("there is no certificate of an authority, in PEM")
		}
		made.RootCAs = pool
	}
	if c.CertFile != "" {
		certificate, err := tls.X509KeyPair(files.cert, files.key)
		if err != nil {
			return nil, fmt.Errorf("pairing %s and %s: %w", c.CertFile, c.KeyFile, err)
		}
		made.Certificates = []tls.Certificate{certificate}
	}
	return made, nil
}
