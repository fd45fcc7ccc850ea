package main

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pkiFiles returns the content of everything in the directory of certificates, by file name.
func pkiFiles(t *testing.T, l layout) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(l.path("pki", "*"))
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[filepath.Base(path)] = string(data)
	}
	return content
}

// newPKI returns a directory with certificates made at now.
func newPKI(t *testing.T, now time.Time) layout {
	t.Helper()
	l := layout{dir: t.TempDir()}
	if err := os.Mkdir(l.path("pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ensurePKI(l, now); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPKIVerifies(t *testing.T) {
	now := time.Now()
	l := newPKI(t, now)
	ca, _, err := loadPair(l, caCert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, want := range leaves() {
		cert, _, err := loadPair(l, want.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, usage := range want.usages {
			opts := x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}
			if want.serving {
				opts.DNSName = "kubernetes.default.svc"
			}
			if _, err := cert.Verify(opts); err != nil {
				t.Errorf("certificate of %s: %v", want.name, err)
			}
		}
		if want.serving && cert.VerifyHostname("127.0.0.1") != nil {
			t.Errorf("certificate of %s is not valid for 127.0.0.1", want.name)
		}
	}
	admin, _, err := loadPair(l, adminCert)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"system:masters"}, admin.Subject.Organization); diff != "" {
		t.Errorf("groups of the admin differ (-want +got):\n%s", diff)
	}
}

func TestPKIFilesArePrivate(t *testing.T) {
	l := newPKI(t, time.Now())
	for name := range pkiFiles(t, l) {
		info, err := os.Stat(l.path("pki", name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", name, info.Mode().Perm())
		}
	}
}

func TestPKIIsKeptAndRenewed(t *testing.T) {
	born := time.Now()
	for name, tc := range map[string]struct {
		change func(t *testing.T, l layout)
		now    time.Time
		// kept and renewed name files that must be the same, or others, after the second start.
		kept, renewed []string
	}{
		"second start": {
			change: func(*testing.T, layout) {},
			now:    born.Add(time.Hour),
			kept:   []string{"ca.crt", "ca.key", "apiserver.crt", "admin.crt", "admin.key", "service-account.key"},
		},
		"lost certificate": {
			change:  func(t *testing.T, l layout) { remove(t, l.certFile(adminCert)) },
			now:     born.Add(time.Hour),
			kept:    []string{"ca.crt", "apiserver.crt", "service-account.key"},
			renewed: []string{"admin.crt", "admin.key"},
		},
		"lost authority": {
			change:  func(t *testing.T, l layout) { remove(t, l.keyFile(caCert)) },
			now:     born.Add(time.Hour),
			kept:    []string{"service-account.key"},
			renewed: []string{"ca.crt", "apiserver.crt", "etcd.crt", "admin.crt"},
		},
		"all expired": {
			change:  func(*testing.T, layout) {},
			now:     born.Add(certLifetime),
			kept:    []string{"service-account.key"},
			renewed: []string{"ca.crt", "apiserver.crt", "etcd-client.crt", "admin.crt"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newPKI(t, born)
			before := pkiFiles(t, l)
			tc.change(t, l)
			if err := ensurePKI(l, tc.now); err != nil {
				t.Fatal(err)
			}
			after := pkiFiles(t, l)
			for _, file := range tc.kept {
				if before[file] != after[file] {
					t.Errorf("%s was renewed, want it kept", file)
				}
			}
			for _, file := range tc.renewed {
				if before[file] == after[file] {
					t.Errorf("%s was kept, want it renewed", file)
				}
			}
		})
	}
}

func TestPKIRefusesGarbage(t *testing.T) {
	l := newPKI(t, time.Now())
	for name, data := range map[string][]byte{
		"no PEM":          []byte("garbage"),
		"key of another":  mustRead(t, l.keyFile(adminCert)),
		"no certificate":  []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"half a PEM file": bytes.TrimSuffix(mustRead(t, l.certFile(caCert)), []byte("-----END CERTIFICATE-----\n")),
	} {
		t.Run(name, func(t *testing.T) {
			l := newPKI(t, time.Now())
			path := l.certFile(caCert)
			if name == "key of another" {
				path = l.keyFile(caCert)
			}
			if err := writeFile(path, data); err != nil {
				t.Fatal(err)
			}
			if err := ensurePKI(l, time.Now()); err == nil {
				t.Error("the damaged file was accepted or replaced, want an error: clients may hold what was in it")
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
