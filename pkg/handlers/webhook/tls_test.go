package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/hook"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.certificate, a.key = sign(t, template, nil)
	return a
}

// sign makes a certificate by an authority, or by itself.
func sign(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// leaf makes a certificate for a server and a client, and its key, in PEM.
func (a *authority) leaf(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	made, secret := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{"hooks.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a)
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return certificatePEM(made), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func certificatePEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// serveTLS starts a server with a certificate of an authority.
func (a *authority) serveTLS(t *testing.T, f http.HandlerFunc, change func(*tls.Config)) *httptest.Server {
	t.Helper()
	certificate, key := a.leaf(t, "server")
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(f)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if change != nil {
		change(server.TLS)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestTLS(t *testing.T) {
	ours := newAuthority(t, "ours")
	protocol := ""
	server := ours.serveTLS(t, func(w http.ResponseWriter, req *http.Request) {
		protocol = req.Proto
		answer(200, "{}")(w, req)
	}, nil)
	old := ours.serveTLS(t, answer(200, "{}"), func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	})
	bundle := certificatePEM(ours.certificate)
	file := filepath.Join(t.TempDir(), "ca.crt")
	write(t, file, bundle)
	tests := map[string]struct {
		server *httptest.Server
		tls    *TLS
		want   string
	}{
		"bundle":         {server, &TLS{CABundle: bundle}, ""},
		"file":           {server, &TLS{CAFile: file}, ""},
		"server name":    {server, &TLS{CABundle: bundle, ServerName: "hooks.example"}, ""},
		"another name":   {server, &TLS{CABundle: bundle, ServerName: "other.example"}, "other.example"},
		"the system's":   {server, nil, "unknown authority"},
		"another bundle": {server, &TLS{CABundle: certificatePEM(newAuthority(t, "theirs").certificate)}, "unknown authority"},
		"old TLS":        {old, &TLS{CABundle: bundle}, "protocol version"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			protocol = ""
			r := newRig(t, tc.server, func(c *Config) { c.TLS = tc.tls })
			_, err := r.sync(t.Context(), "u", "{}")
			switch {
			case tc.want == "" && (err != nil || protocol != "HTTP/2.0"):
				t.Errorf("err = %v, by %s", err, protocol)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("err = %v, want %s", err, tc.want)
			}
		})
	}
}

// Files are replaced while kooperd runs: those of the authority, and those of the client.
func TestFilesAreReadAgain(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	seen := ""
	clients := x509.NewCertPool()
	clients.AddCert(first.certificate)
	clients.AddCert(second.certificate)
	wantsClients := func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients }
	note := func(w http.ResponseWriter, req *http.Request) {
		seen = req.TLS.PeerCertificates[0].Subject.CommonName
		answer(200, "{}")(w, req)
	}
	ofFirst, ofSecond := first.serveTLS(t, note, wantsClients), second.serveTLS(t, note, wantsClients)
	dir := t.TempDir()
	files := TLS{
		CAFile: filepath.Join(dir, "ca.crt"), CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"),
	}
	writeAll := func(a *authority, name string) {
		certificate, key := a.leaf(t, name)
		write(t, files.CAFile, certificatePEM(a.certificate))
		write(t, files.CertFile, certificate)
		write(t, files.KeyFile, key)
	}
	writeAll(first, "client-1")
	r := newRig(t, ofFirst, func(c *Config) {
		c.TLS = &files
		c.Finalize = &Endpoint{URL: ofSecond.URL}
	})
	call := func(which, want string) {
		t.Helper()
		seen = ""
		_, err := r.clients[map[string]hook.Name{"first": hook.Sync, "second": hook.Finalize}[which]].call(t.Context(), "u", []byte("{}"))
		if seen != want || (err == nil) != (want != "") {
			t.Errorf("the %s server has seen %q, want %q: %v", which, seen, want, err)
		}
	}
	call("first", "client-1")
	call("second", "")
	writeAll(second, "client-2")
	call("first", "client-1") // read a moment ago
	r.clock.advance(filesAge)
	call("second", "client-2")
	call("first", "")

	write(t, files.KeyFile, "half a ")
	for range 3 {
		r.clock.advance(filesAge)
		call("second", "client-2")
	}
	if got := len(r.logs.Entries()); got != 1 {
		t.Errorf("%d lines are logged about files that cannot be used, want 1", got)
	}
	writeAll(second, "client-3")
	r.clock.advance(filesAge)
	call("second", "client-3")
}

func TestFilesOfTLSMustBeThere(t *testing.T) {
	_, err := newTransports(&Config{TLS: &TLS{CAFile: filepath.Join(t.TempDir(), "ca.crt")}}, discardLogger(), time.Now)
	if err == nil || !strings.HasPrefix(err.Error(), "reading the files of tls: open ") {
		t.Errorf("err = %v", err)
	}
	empty := filepath.Join(t.TempDir(), "ca.crt")
	write(t, empty, "")
	_, err = newTransports(&Config{TLS: &TLS{CAFile: empty}}, discardLogger(), time.Now)
	if err == nil || err.Error() != "reading the files of tls: there is no certificate of an authority, in PEM" {
		t.Errorf("err = %v", err)
	}
}
