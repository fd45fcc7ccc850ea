package kube

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// passport is one credential: a certificate whose common name is also the token.
type passport struct{ name, cert, key string }

func newPassport(t *testing.T, name string) passport {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return passport{name: name, cert: encode("CERTIFICATE", cert), key: encode("EC PRIVATE KEY", der)}
}

// border is an API server over TLS that lets in clients with the valid credential, by certificate
// or token.
type border struct {
	*httptest.Server
	valid atomic.Value // string
}

func newBorder(t *testing.T, valid string) *border {
	t.Helper()
	b := &border{}
	b.valid.Store(valid)
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		w.Header().Set("Content-Type", "application/json")
		var answer any = &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}}
		if name != b.valid.Load() {
			status := apierrors.NewUnauthorized(name + " is not valid").Status()
			status.APIVersion, status.Kind = "v1", "Status"
			w.WriteHeader(http.StatusUnauthorized)
			answer = status
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Errorf("answering: %v", err)
		}
	}))
	b.EnableHTTP2 = true
	b.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	b.StartTLS()
	t.Cleanup(b.Close)
	return b
}

func (b *border) config() *rest.Config {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate().Raw})
	return &rest.Config{Host: b.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// credentialForms put a credential into a config. renew is what the outside world does later, nil
// when it can do nothing.
var credentialForms = map[string]func(t *testing.T, config *rest.Config, first passport) (renew func(passport)){
	"certificate files": func(t *testing.T, config *rest.Config, first passport) func(passport) {
		dir := t.TempDir()
		config.CertFile, config.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		renew := func(p passport) {
			writeFile(t, config.CertFile, p.cert)
			writeFile(t, config.KeyFile, p.key)
		}
		renew(first)
		return renew
	},
	"token file": func(t *testing.T, config *rest.Config, first passport) func(passport) {
		config.BearerTokenFile = filepath.Join(t.TempDir(), "token")
		renew := func(p passport) { writeFile(t, config.BearerTokenFile, p.name) }
		renew(first)
		return renew
	},
	"inline certificate": func(_ *testing.T, config *rest.Config, first passport) func(passport) {
		config.CertData, config.KeyData = []byte(first.cert), []byte(first.key)
		return nil
	},
	"inline token": func(_ *testing.T, config *rest.Config, first passport) func(passport) {
		config.BearerToken = first.name
		return nil
	},
	"plugin that gives tokens": func(t *testing.T, config *rest.Config, first passport) func(passport) {
		return usePlugin(t, config, first, func(p passport) any { return map[string]string{"token": p.name} })
	},
	"plugin that gives certificates": func(t *testing.T, config *rest.Config, first passport) func(passport) {
		return usePlugin(t, config, first, func(p passport) any {
			return map[string]string{"clientCertificateData": p.cert, "clientKeyData": p.key}
		})
	},
}

// usePlugin makes cat the credential plugin of a config.
func usePlugin(t *testing.T, config *rest.Config, first passport, credential func(passport) any) (renew func(passport)) {
	t.Helper()
	const version = "client.authentication.k8s.io/v1"
	file := filepath.Join(t.TempDir(), "credential.json")
	config.ExecProvider = &clientcmdapi.ExecConfig{
		Command: "cat", Args: []string{file}, APIVersion: version, InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}
	renew = func(p passport) {
		text, err := json.Marshal(map[string]any{"apiVersion": version, "kind": "ExecCredential", "status": credential(p)})
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, string(text))
	}
	renew(first)
	return renew
}

// credentialClients are the clients of a cluster; each sends one request.
var credentialClients = map[string]func(ctx context.Context, cluster *Cluster, clients *rest.RESTClient) error{
	"handler's read": func(ctx context.Context, _ *Cluster, c *rest.RESTClient) error {
		return c.Get().AbsPath("/").Do(ctx).Error()
	},
	"handler's write": func(ctx context.Context, _ *Cluster, c *rest.RESTClient) error {
		return c.Delete().AbsPath("/").Do(ctx).Error()
	},
	"source": func(ctx context.Context, cluster *Cluster, _ *rest.RESTClient) error {
		client, err := restClient(cluster.Sources.config, cluster.http)
		if err != nil {
			return err
		}
		return client.Get().AbsPath("/").Do(ctx).Error()
	},
	"access review": func(ctx context.Context, cluster *Cluster, _ *rest.RESTClient) error {
		reviews, err := cluster.AccessReviews()
		if err != nil {
			return err
		}
		_, err = reviews.Create(ctx, &authorizationv1.SelfSubjectAccessReview{}, metav1.CreateOptions{})
		if apierrors.IsUnauthorized(err) {
			return err
		}
		return nil
	},
}

func restClient(config *rest.Config, client *http.Client) (*rest.RESTClient, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion, config.NegotiatedSerializer = &schema.GroupVersion{Version: "v1"}, scheme.Codecs.WithoutConversion()
	return rest.RESTClientForConfigAndClient(config, client)
}

// TestRenewedCredentials has every form of credentials in every client: the old one ends when the
// new one is there.
func TestRenewedCredentials(t *testing.T) {
	first, second := newPassport(t, "first"), newPassport(t, "second")
	for form, use := range credentialForms {
		for name, ask := range credentialClients {
			t.Run(form+"/"+name, func(t *testing.T) {
				t.Parallel()
				server := newBorder(t, "first")
				config := server.config()
				renew := use(t, config, first)
				cluster, handler := newHandlerClient(t, config)
				for range 2 {
					if err := ask(t.Context(), cluster, handler); err != nil {
						t.Fatalf("with the first credential: %v", err)
					}
				}
				server.valid.Store("second")
				if renew == nil {
					if err := ask(t.Context(), cluster, handler); !apierrors.IsUnauthorized(err) {
						t.Errorf("with a credential that has ended: %v", err)
					}
					return
				}
				renew(second)
				awaitAccess(t, func() error { return ask(t.Context(), cluster, handler) })
			})
		}
	}
}

// awaitAccess asks until that succeeds. client-go reads files of certificates once a second.
func awaitAccess(t *testing.T, ask func() error) {
	t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("with the renewed credential: %v", err)
		}
	}
}

// newHandlerClient makes a cluster and the client of a handler behind an open gate.
func newHandlerClient(t *testing.T, config *rest.Config) (*Cluster, *rest.RESTClient) {
	t.Helper()
	metrics, _ := newTestMetrics()
	cluster, err := New(config, Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	gate := NewGate(newTerm(time.Hour).remaining, metrics)
	clients, err := cluster.Clients("pods", gate, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(clients.REST)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := restClient(clients.REST, client)
	if err != nil {
		t.Fatal(err)
	}
	return cluster, handler
}

// TestCertificateIsUsedBeforeTheOldOneEnds replaces the files while the old certificate is still
// valid.
func TestCertificateIsUsedBeforeTheOldOneEnds(t *testing.T) {
	first, second := newPassport(t, "first"), newPassport(t, "second")
	for name, ask := range credentialClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newBorder(t, "first")
			config := server.config()
			renew := credentialForms["certificate files"](t, config, first)
			cluster, handler := newHandlerClient(t, config)
			if err := ask(t.Context(), cluster, handler); err != nil {
				t.Fatal(err)
			}
			renew(second)
			awaitAccess(t, func() error { // The server takes the old one for as long as it is sent.
				if err := ask(t.Context(), cluster, handler); !apierrors.IsUnauthorized(err) {
					return fmt.Errorf("the old certificate is used, have %w", err)
				}
				return nil
			})
		})
	}
}

// TestUnusableCertificateFiles has files that are no certificate, at the start and later.
func TestUnusableCertificateFiles(t *testing.T) {
	good := newPassport(t, "first")
	for name, bad := range map[string]passport{
		"no certificate": {cert: "hello", key: good.key},
		"no key":         {cert: good.cert, key: ""},
		"another key":    {cert: good.cert, key: newPassport(t, "other").key},
	} {
		for client, ask := range credentialClients {
			if client == "access review" {
				continue // It only passes on that the certificate is not accepted.
			}
			t.Run(name+"/"+client, func(t *testing.T) {
				t.Parallel()
				server := newBorder(t, "first")
				config := server.config()
				renew := credentialForms["certificate files"](t, config, bad)
				cluster, handler := newHandlerClient(t, config)
				err := ask(t.Context(), cluster, handler)
				want := "reading the client certificate from " + config.CertFile + " and " + config.KeyFile + ": tls: "
				if !isCertificateError(err) || !strings.Contains(err.Error(), want) {
					t.Fatalf("%v, want %q", err, want)
				}
				if got := explain(err, sourceID{kind: podKind}).Error(); strings.Contains(got, "cannot be reached") {
					t.Errorf("a source says %q", got)
				}
				renew(good)
				awaitAccess(t, func() error { return ask(t.Context(), cluster, handler) })
			})
		}
	}
}

func TestMissingPlugin(t *testing.T) {
	config := newBorder(t, "first").config()
	config.ExecProvider = &clientcmdapi.ExecConfig{
		Command: "no-such-plugin", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}
	cluster, handler := newHandlerClient(t, config)
	err := credentialClients["source"](t.Context(), cluster, handler)
	got := explain(err, sourceID{kind: podKind}).Error()
	if !strings.Contains(got, "no-such-plugin") || strings.Contains(got, "cannot be reached") {
		t.Errorf("a source says %q", got)
	}
	if _, unreachable := errors.AsType[*UnreachableError](explain(err, sourceID{})); unreachable {
		t.Error("the API server is called unreachable, which was not asked")
	}
}
