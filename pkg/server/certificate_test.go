package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/telemetry"
)

// pemPair returns a new certificate for 127.0.0.1 and its key.
func pemPair(t *testing.T) (cert, key []byte, leaf *x509.Certificate) {
	t.Helper()
	pair, err := selfSign([]string{"example", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pair.Leaf
}

func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// projected is a directory as the kubelet makes it of a Secret: files are symbolic links through a
// link that is replaced.
type projected struct {
	dir      string
	versions int
}

func (p *projected) publish(t *testing.T, cert, key []byte) {
	t.Helper()
	p.versions++
	version := filepath.Join(p.dir, "..version-"+string(rune('0'+p.versions)))
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(version, "tls.crt"), cert)
	writeFile(t, filepath.Join(version, "tls.key"), key)
	next := filepath.Join(p.dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(p.dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(p.dir, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
}

// serial is that of the certificate which the next handshake gets.
func serial(t *testing.T, f *CertificateFiles) string {
	t.Helper()
	cert, err := f.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.SerialNumber.String()
}

func TestCertificateFilesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger, err := telemetry.NewLogger(&log, telemetry.FormatJSON, 0)
		if err != nil {
			t.Fatal(err)
		}
		dir := &projected{dir: t.TempDir()}
		cert, key, first := pemPair(t)
		dir.publish(t, cert, key)
		f, err := LoadCertificateFiles(filepath.Join(dir.dir, "tls.crt"), filepath.Join(dir.dir, "tls.key"), logger)
		if err != nil {
			t.Fatal(err)
		}
		want := func(when string, leaf *x509.Certificate) {
			t.Helper()
			if got := serial(t, f); got != leaf.SerialNumber.String() {
				t.Errorf("%s: another certificate", when)
			}
		}
		want("at first", first)

		cert, key, second := pemPair(t)
		dir.publish(t, cert, key)
		time.Sleep(CertificateCheckInterval - 1)
		want("just before the next look", first)
		time.Sleep(time.Nanosecond)
		want("after the link was replaced", second)

		// Rewritten in place, one file at a time, and for a while it is no pair.
		cert, key, third := pemPair(t)
		writeFile(t, filepath.Join(dir.dir, "tls.crt"), cert)
		for range 3 {
			time.Sleep(CertificateCheckInterval)
			want("with the key of another certificate", second)
		}
		if got := strings.Count(log.String(), "the former one stays in use"); got != 1 {
			t.Errorf("the bad pair is told %d times, want once: %s", got, log.String())
		}
		writeFile(t, filepath.Join(dir.dir, "tls.key"), key)
		time.Sleep(CertificateCheckInterval)
		want("after both files were rewritten", third)

		for name, spoil := range map[string]func(path string) error{
			"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
			"garbage": func(path string) error { return os.WriteFile(path, []byte("-----BEGIN nothing"), 0o600) },
			"gone":    os.Remove,
		} {
			if err := spoil(filepath.Join(dir.dir, "tls.key")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(CertificateCheckInterval)
			want(name, third)
			writeFile(t, filepath.Join(dir.dir, "tls.key"), key)
			time.Sleep(CertificateCheckInterval)
			want("mended after "+name, third)
		}
		if got := strings.Count(log.String(), "TLS certificate replaced"); got != 2 {
			t.Errorf("told %d times that the certificate was replaced, want 2: %s", got, log.String())
		}
		if strings.Contains(log.String(), "PRIVATE") {
			t.Errorf("a key in the log: %s", log.String())
		}
	})
}

func TestLoadCertificateFilesErrors(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := pemPair(t)
	_, otherKey, _ := pemPair(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, path("cert"), cert)
	writeFile(t, path("key"), key)
	writeFile(t, path("other-key"), otherKey)
	writeFile(t, path("empty"), nil)
	tests := map[string]struct{ cert, key, want string }{
		"no certificate":    {cert: path("none"), key: path("key"), want: "reading the TLS certificate: open " + path("none")},
		"no key":            {cert: path("cert"), key: path("none"), want: "reading the TLS private key: open " + path("none")},
		"a directory":       {cert: dir, key: path("key"), want: "reading the TLS certificate: read " + dir},
		"key of another":    {cert: path("cert"), key: path("other-key"), want: "private key does not match public key"},
		"empty certificate": {cert: path("empty"), key: path("key"), want: "failed to find any PEM data"},
		"exchanged":         {cert: path("key"), key: path("cert"), want: path("key") + " with the private key " + path("cert")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := LoadCertificateFiles(tc.cert, tc.key, logr.Discard()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("LoadCertificateFiles: %v, want %q", err, tc.want)
			}
		})
	}
}

// TestTLSGoesOnWithANewCertificate keeps a connection open over a change of the certificate.
func TestTLSGoesOnWithANewCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key, first := pemPair(t)
	writeFile(t, filepath.Join(dir, "c"), cert)
	writeFile(t, filepath.Join(dir, "k"), key)
	files, err := LoadCertificateFiles(filepath.Join(dir, "c"), filepath.Join(dir, "k"), logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	opts := options()
	opts.Certificate = files.Get
	s, _ := start(t, opts)
	address := s.Addresses()["metrics"]

	for _, http2 := range []bool{false, true} {
		old := tlsClient(t, first, http2)
		if got := old.get(t, address); got != 1+b2i(http2) {
			t.Errorf("HTTP/%d, want HTTP/2: %t", got, http2)
		}
		var second *x509.Certificate
		cert, key, second = pemPair(t)
		writeFile(t, filepath.Join(dir, "c"), cert)
		writeFile(t, filepath.Join(dir, "k"), key)
		files.mu.Lock()
		files.checked = time.Time{}
		files.mu.Unlock()
		tlsClient(t, second, http2).get(t, address) // trusts no other one
		old.get(t, address)
		if old.dials != 1 {
			t.Errorf("the open connection was replaced: %d dials", old.dials)
		}
		first = second
	}
	if _, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}}).DialContext(t.Context(), "tcp", address); err == nil {
		t.Error("the server speaks TLS 1.1")
	}
	if got := request(t, http.MethodGet, address, "/metrics"); got.code != http.StatusBadRequest {
		t.Errorf("plain HTTP gets %d, want 400", got.code)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// client trusts one certificate and counts its connections.
type client struct {
	http  http.Client
	dials int
}

func tlsClient(t *testing.T, trusted *x509.Certificate, http2 bool) *client {
	t.Helper()
	c := &client{}
	roots := x509.NewCertPool()
	roots.AddCert(trusted)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c.dials++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	t.Cleanup(transport.CloseIdleConnections)
	c.http = http.Client{Transport: transport, Timeout: patience}
	return c
}

// get reads /metrics and returns the major version of HTTP.
func (c *client) get(t *testing.T, address string) int {
	t.Helper()
	resp, err := c.http.Get("https://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(body) == 0 {
		t.Fatalf("status %d, %d bytes, %v", resp.StatusCode, len(body), err)
	}
	return resp.ProtoMajor
}

func TestSelfSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewSelfSigned("192.0.2.1:8080")
		if err != nil {
			t.Fatal(err)
		}
		get := func() *x509.Certificate {
			cert, err := s.Get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return cert.Leaf
		}
		first := get()
		for _, host := range []string{"localhost", "127.0.0.1", "::1", "192.0.2.1"} {
			if err := first.VerifyHostname(host); err != nil {
				t.Errorf("the certificate is not for %s: %v", host, err)
			}
		}
		time.Sleep(time.Until(first.NotAfter) - selfSignedRest - time.Minute)
		if get().SerialNumber.Cmp(first.SerialNumber) != 0 {
			t.Error("a new certificate long before the end of the old one")
		}
		time.Sleep(2 * time.Minute)
		if next := get(); next.SerialNumber.Cmp(first.SerialNumber) == 0 || !next.NotAfter.After(first.NotAfter) {
			t.Error("no new certificate before the end of the old one")
		}
	})
}
