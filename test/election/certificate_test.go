package election

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/election"
)

// TestRenewedCertificate replaces the files of a leader's certificate before the old one ends.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	ns, config := shared.Namespace(t), certificateConfig(t)
	const lifetime = 10 * time.Second
	ends := issue(t, config, lifetime)
	a := start(t, config, ns, "a", standard)
	term := a.leads()
	issue(t, config, time.Hour)
	time.Sleep(time.Until(ends.Add(standard.renew + time.Second))) // the old certificate would have cost the term by then
	if term.Err() != nil {
		t.Errorf("the term has ended with the old certificate: %v", a.Problem())
	}
	a.mu.Lock()
	refusals := a.refusals
	a.mu.Unlock()
	if refusals > 0 {
		t.Errorf("%d renewals were refused", refusals)
	}
	a.stop()
}

// TestExpiredCertificate starts with one that has expired, and then lets a leader's one expire.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	ns, config := shared.Namespace(t), certificateConfig(t)
	issue(t, config, -time.Second)
	a := start(t, config, ns, "a", moderate)
	for !apierrors.IsUnauthorized(a.Problem()) {
		if err := t.Context().Err(); err != nil {
			t.Fatalf("the problem is %v", a.Problem())
		}
		time.Sleep(10 * time.Millisecond)
	}
	issue(t, config, 10*time.Second)
	a.leads()
	a.wantLost(election.ReasonDeadline)
	if !apierrors.IsUnauthorized(a.Problem()) {
		t.Errorf("the problem is %v", a.Problem())
	}
}

// certificateConfig is a client configuration of an administrator whose certificate is in two files
// that are not there yet.
func certificateConfig(t *testing.T) *rest.Config {
	t.Helper()
	dir, admin := t.TempDir(), shared.AdminConfig()
	config := rest.AnonymousClientConfig(admin)
	config.CertFile, config.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	return config
}

// issue writes a new certificate into the files of config, and returns when it ends.
func issue(t *testing.T, config *rest.Config, lifetime time.Duration) time.Time {
	t.Helper()
	pki := filepath.Join(shared.Dir(), "pki")
	authority, err := tls.LoadX509KeyPair(filepath.Join(pki, "ca.crt"), filepath.Join(pki, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "operator", Organization: []string{"system:masters"}},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, &key.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		config.CertFile: {Type: "CERTIFICATE", Bytes: der}, config.KeyFile: {Type: "PRIVATE KEY", Bytes: encoded},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return template.NotAfter
}
