package election

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauth "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// gatekeeper is an HTTPS server that lets in only one user, known by the name in a client
// certificate or by a bearer token.
type gatekeeper struct {
	config *rest.Config

	mu      sync.Mutex
	user    string
	refused int
	last    string // who came last
}

func newGatekeeper(t *testing.T) *gatekeeper {
	g := &gatekeeper{}
	server := httptest.NewUnstartedServer(g)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	g.config = &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: authority}}
	return g
}

func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if certificates := r.TLS.PeerCertificates; len(certificates) > 0 {
		user = certificates[0].Subject.CommonName
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = user
	w.Header().Set("Content-Type", "application/json")
	if user == g.user {
		_ = json.NewEncoder(w).Encode(lease("1")) //nolint:errchkjson // a client that has left does not need it
		return
	}
	g.refused++
	w.WriteHeader(http.StatusUnauthorized)
	_ = json.NewEncoder(w).Encode(apierrors.NewUnauthorized("Unauthorized").Status()) //nolint:errchkjson // as above
}

func (g *gatekeeper) admit(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.user = user
}

func (g *gatekeeper) seen() (last string, refused int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last, g.refused
}

// certificateFor returns a certificate for a user and its key. Who has signed it does not matter to
// the gatekeeper.
func certificateFor(t *testing.T, user string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: user},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
}

func writeFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// credentialForm is a way to give credentials. use puts a user's into the folder, as something else
// that runs would.
type credentialForm struct {
	configure func(t *testing.T, config *rest.Config, dir string)
	use       func(t *testing.T, dir, user string)
	early     bool // a renewed one is used without a refusal of the old one
}

func credentialForms() map[string]credentialForm {
	plugin := func(_ *testing.T, config *rest.Config, dir string) {
		config.ExecProvider = &clientcmdapi.ExecConfig{
			APIVersion: clientauth.SchemeGroupVersion.String(), Command: "cat", Args: []string{filepath.Join(dir, "credential")},
			InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		}
	}
	credential := func(t *testing.T, dir string, status *clientauth.ExecCredentialStatus) {
		t.Helper()
		data, err := json.Marshal(&clientauth.ExecCredential{
			TypeMeta: metav1.TypeMeta{APIVersion: clientauth.SchemeGroupVersion.String(), Kind: "ExecCredential"}, Status: status,
		})
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "credential"), data)
	}
	return map[string]credentialForm{
		"certificate files": {
			configure: func(_ *testing.T, config *rest.Config, dir string) {
				config.CertFile, config.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
			},
			use: func(t *testing.T, dir, user string) {
				certificate, key := certificateFor(t, user)
				writeFile(t, filepath.Join(dir, "tls.crt"), certificate)
				writeFile(t, filepath.Join(dir, "tls.key"), key)
			},
			early: true,
		},
		"token file": {
			configure: func(_ *testing.T, config *rest.Config, dir string) {
				config.BearerTokenFile = filepath.Join(dir, "token")
			},
			use: func(t *testing.T, dir, user string) { writeFile(t, filepath.Join(dir, "token"), []byte(user)) },
		},
		"plugin that gives tokens": {
			configure: plugin,
			use: func(t *testing.T, dir, user string) {
				credential(t, dir, &clientauth.ExecCredentialStatus{Token: user})
			},
		},
		"plugin that gives certificates": {
			configure: plugin,
			use: func(t *testing.T, dir, user string) {
				certificate, key := certificateFor(t, user)
				credential(t, dir, &clientauth.ExecCredentialStatus{ClientCertificateData: string(certificate), ClientKeyData: string(key)})
			},
		},
	}
}

func TestRenewedCredentials(t *testing.T) {
	for name, form := range credentialForms() {
		t.Run(name, func(t *testing.T) {
			g, dir := newGatekeeper(t), t.TempDir()
			form.use(t, dir, "old")
			form.configure(t, g.config, dir)
			client, err := NewLeaseClient(g.config, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			g.admit("old")
			get := func() error {
				_, err := client.Get(t.Context(), "ns", "kooperd")
				return err
			}
			if err := get(); err != nil {
				t.Fatal(err)
			}
			form.use(t, dir, "new")
			if form.early {
				g.admit("new")
				if err := get(); err != nil {
					t.Errorf("the first request after the renewal: %v", err)
				}
				if _, refused := g.seen(); refused != 0 {
					t.Error("the old certificate was used when there was a new one")
				}
				return
			}
			if err := get(); err != nil {
				t.Errorf("while the old one is good: %v", err)
			}
			g.admit("new")
			if err := get(); err != nil && !apierrors.IsUnauthorized(err) {
				t.Errorf("with the old one: %v", err)
			}
			if err := get(); err != nil {
				last, _ := g.seen()
				t.Errorf("after the refusal %q has come: %v", last, err)
			}
		})
	}
}

// TestCertificateFilesBeingReplaced has the two files written one after the other.
func TestCertificateFilesBeingReplaced(t *testing.T) {
	g, dir := newGatekeeper(t), t.TempDir()
	form := credentialForms()["certificate files"]
	form.use(t, dir, "old")
	form.configure(t, g.config, dir)
	g.admit("old")
	client, err := NewLeaseClient(g.config, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	certificate, key := certificateFor(t, "new")
	writeFile(t, g.config.CertFile, certificate)
	if _, err := client.Get(t.Context(), "ns", "kooperd"); err != nil {
		t.Errorf("with a new certificate and an old key there is still the old pair: %v", err)
	}
	writeFile(t, g.config.KeyFile, key)
	g.admit("new")
	if _, err := client.Get(t.Context(), "ns", "kooperd"); err != nil {
		t.Errorf("with the new pair: %v", err)
	}
}

// TestUnreadableCertificate: the file is named, and used as soon as it is repaired.
func TestUnreadableCertificate(t *testing.T) {
	tests := map[string]struct {
		spoil func(t *testing.T, config *rest.Config)
		want  string // with FILE for the file's path
		file  func(config *rest.Config) string
	}{
		"no PEM": {
			func(t *testing.T, config *rest.Config) { writeFile(t, config.CertFile, []byte("nonsense")) },
			"reading client certificate FILE: tls: failed to find any PEM data in certificate input",
			func(config *rest.Config) string { return config.CertFile },
		},
		"empty": {
			func(t *testing.T, config *rest.Config) { writeFile(t, config.KeyFile, nil) },
			"reading client key FILE: the file is empty",
			func(config *rest.Config) string { return config.KeyFile },
		},
		"missing": {
			func(t *testing.T, config *rest.Config) {
				if err := os.Remove(config.CertFile); err != nil {
					t.Fatal(err)
				}
			},
			"reading client certificate FILE: no such file or directory",
			func(config *rest.Config) string { return config.CertFile },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, dir := newGatekeeper(t), t.TempDir()
			form := credentialForms()["certificate files"]
			form.use(t, dir, "a")
			form.configure(t, g.config, dir)
			tt.spoil(t, g.config)
			g.admit("a")
			client, err := NewLeaseClient(g.config, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			want := strings.ReplaceAll(tt.want, "FILE", tt.file(g.config))
			for _, call := range []func() error{
				func() error { _, err := client.Get(t.Context(), "ns", "kooperd"); return err },
				func() error { _, err := client.Watch(t.Context(), "ns", "kooperd"); return err },
			} {
				if err := call(); err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
			}
			form.use(t, dir, "a")
			if _, err := client.Get(t.Context(), "ns", "kooperd"); err != nil {
				t.Errorf("with the repaired file: %v", err)
			}
		})
	}
}
