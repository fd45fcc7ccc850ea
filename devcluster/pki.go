package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"
)

// The certificates of a devcluster, by the name of their files.
const (
	caCert                = "ca"
	servingCert           = "apiserver"
	etcdCert              = "etcd"
	etcdClientCert        = "etcd-client"
	controllerManagerCert = "controller-manager"
	adminCert             = "admin"
	// serviceAccountKey names the key pair that signs the tokens of service accounts.
	serviceAccountKey = "service-account"
)

const (
	certLifetime = 10 * 365 * 24 * time.Hour
	// certSlack covers clocks that disagree, and is the rest of a lifetime at which a new start renews.
	certSlack = 24 * time.Hour
)

// leaf is what a certificate other than the authority's is for.
type leaf struct {
	name    string
	subject pkix.Name
	usages  []x509.ExtKeyUsage
	serving bool
}

// leaves lists every certificate the authority signs. The controller manager is in the group of
// unlimited rights under its own name: the rights of its standard role are meant for use together
// with one service account per controller.
func leaves() []leaf {
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	return []leaf{
		{name: servingCert, subject: pkix.Name{CommonName: "kube-apiserver"}, usages: []x509.ExtKeyUsage{server}, serving: true},
		// The JSON gateway of etcd is a client of etcd with the server's own certificate.
		{name: etcdCert, subject: pkix.Name{CommonName: "etcd"}, usages: []x509.ExtKeyUsage{server, client}, serving: true},
		{name: etcdClientCert, subject: pkix.Name{CommonName: "kube-apiserver-etcd-client"}, usages: []x509.ExtKeyUsage{client}},
		{
			name:    controllerManagerCert,
			subject: pkix.Name{CommonName: "system:kube-controller-manager", Organization: []string{"system:masters"}},
			usages:  []x509.ExtKeyUsage{client},
		},
		{
			name:    adminCert,
			subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
			usages:  []x509.ExtKeyUsage{client},
		},
	}
}

// authority is the certificate authority of one devcluster.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// ensurePKI makes sure that all certificates and keys exist and are valid at now. What exists and is
// valid stays as it is: clients hold it.
func ensurePKI(l layout, now time.Time) error {
	ca, err := ensureAuthority(l, now)
	if err != nil {
		return err
	}
	for _, want := range leaves() {
		if err := ensureLeaf(l, ca, want, now); err != nil {
			return err
		}
	}
	return ensureServiceAccountKey(l)
}

// ensureAuthority loads the authority or creates it.
func ensureAuthority(l layout, now time.Time) (authority, error) {
	cert, key, err := loadPair(l, caCert)
	if err == nil && now.Before(cert.NotAfter.Add(-certSlack)) {
		return authority{cert: cert, key: key}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return authority{}, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "devcluster"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return signPair(l, caCert, template, nil, now)
}

// ensureLeaf loads a certificate or creates it: also when it was signed by an earlier authority.
func ensureLeaf(l layout, ca authority, want leaf, now time.Time) error {
	cert, _, err := loadPair(l, want.name)
	if err == nil && cert.CheckSignatureFrom(ca.cert) == nil && now.Before(cert.NotAfter.Add(-certSlack)) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	template := &x509.Certificate{
		Subject:     want.subject,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: want.usages,
	}
	if want.serving {
		template.DNSNames = []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 0, 0, 1)}
	}
	_, err = signPair(l, want.name, template, &ca, now)
	return err
}

// signPair completes template, signs it with ca (itself if ca is nil) and writes certificate and key.
func signPair(l layout, name string, template *x509.Certificate, ca *authority, now time.Time) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("generating the key of %s: %w", name, err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return authority{}, fmt.Errorf("generating a serial number: %w", err)
	}
	template.NotBefore, template.NotAfter = now.Add(-certSlack), now.Add(certLifetime)
	if ca == nil {
		ca = &authority{cert: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return authority{}, fmt.Errorf("signing the certificate of %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("parsing the certificate of %s: %w", name, err)
	}
	// The certificate is written last: with a certificate there is always its key.
	if err := writeKey(l.keyFile(name), key); err != nil {
		return authority{}, err
	}
	if err := writeFile(l.certFile(name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return authority{}, err
	}
	return authority{cert: cert, key: key}, nil
}

// ensureServiceAccountKey creates the signing key of service account tokens unless it exists. Tokens
// handed out before a restart stay valid because it is kept.
func ensureServiceAccountKey(l layout) error {
	_, err := loadKey(l.keyFile(serviceAccountKey))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generating the key of service accounts: %w", err)
	}
	return writeKey(l.keyFile(serviceAccountKey), key)
}

// loadPair reads a certificate and its key. The error wraps fs.ErrNotExist if one of them is missing.
func loadPair(l layout, name string) (*x509.Certificate, crypto.Signer, error) {
	block, err := readPEM(l.certFile(name))
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(block)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing %s: %w", l.certFile(name), err)
	}
	key, err := loadKey(l.keyFile(name))
	if err != nil {
		return nil, nil, err
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", l.keyFile(name), l.certFile(name))
	}
	return cert, key, nil
}

func loadKey(path string) (crypto.Signer, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(block)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	return key, nil
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// readPEM returns the bytes of the first block of a PEM file.
func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("reading %s: it is not PEM", path)
	}
	return block.Bytes, nil
}
