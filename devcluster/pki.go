package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
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
	// certSlack covers clocks that disagree, and is the rest of a lifetime at which a new start
	// renews.
	certSlack = 24 * time.Hour
)

// leaf is what a certificate other than the authority's is for: the name of a user or a server, and
// the groups of the user.
type leaf struct {
	name    string
	user    string
	groups  []string
	usages  []x509.ExtKeyUsage
	serving bool
}

// leaves lists every certificate the authority signs. The controller manager is in the group of
// unlimited rights under its own name: the rights of its standard role are meant for use together
// with one service account per controller.
func leaves() []leaf {
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	return []leaf{
		{name: servingCert, user: "kube-apiserver", usages: []x509.ExtKeyUsage{server}, serving: true},
		// The JSON gateway of etcd is a client of etcd with the server's own certificate.
		{name: etcdCert, user: "etcd", usages: []x509.ExtKeyUsage{server, client}, serving: true},
		{name: etcdClientCert, user: "kube-apiserver-etcd-client", usages: []x509.ExtKeyUsage{client}},
		{
			name:   controllerManagerCert,
			user:   "system:kube-controller-manager",
			groups: []string{"system:masters"},
			usages: []x509.ExtKeyUsage{client},
		},
		{
			name:   adminCert,
			user:   "admin",
			groups: []string{"system:masters"},
			usages: []x509.ExtKeyUsage{client},
		},
	}
}

// authority is the certificate authority of one devcluster.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// ensurePKI makes sure that all certificates and keys exist and are valid at now. What exists and
// is valid stays as it is: clients hold it.
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
	cert, key, err = pkiutil.NewCertificateAuthority(certConfig(certutil.Config{CommonName: "devcluster"}, now))
	if err != nil {
		return authority{}, fmt.Errorf("making the authority: %w", err)
	}
	return authority{cert: cert, key: key}, writePair(l, caCert, cert, key)
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
	config := certutil.Config{CommonName: want.user, Organization: want.groups, Usages: want.usages}
	if want.serving {
		config.AltNames = certutil.AltNames{
			DNSNames: []string{
				"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local",
			},
			IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 0, 0, 1)},
		}
	}
	cert, key, err := pkiutil.NewCertAndKey(ca.cert, ca.key, certConfig(config, now))
	if err != nil {
		return fmt.Errorf("making the certificate of %s: %w", want.name, err)
	}
	return writePair(l, want.name, cert, key)
}

// certConfig completes what kubeadm makes certificates of.
func certConfig(config certutil.Config, now time.Time) *pkiutil.CertConfig {
	config.NotBefore = now.Add(-certSlack)
	return &pkiutil.CertConfig{
		Config: config, NotAfter: now.Add(certLifetime), EncryptionAlgorithm: kubeadm.EncryptionAlgorithmECDSAP256,
	}
}

// ensureServiceAccountKey creates the signing key of service account tokens unless it exists.
// Tokens handed out before a restart stay valid because it is kept.
func ensureServiceAccountKey(l layout) error {
	_, err := pkiutil.TryLoadKeyFromDisk(l.path("pki"), serviceAccountKey)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := pkiutil.GeneratePrivateKey(kubeadm.EncryptionAlgorithmECDSAP256)
	if err != nil {
		return fmt.Errorf("generating the key of service accounts: %w", err)
	}
	return writeKey(l.keyFile(serviceAccountKey), key)
}

// loadPair reads a certificate and its key. The error wraps fs.ErrNotExist if one of them is
// missing.
func loadPair(l layout, name string) (*x509.Certificate, crypto.Signer, error) {
	cert, key, err := pkiutil.TryLoadCertAndKeyFromDisk(l.path("pki"), name)
	if err != nil {
		return nil, nil, fmt.Errorf("loading %s: %w", name, err)
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", l.keyFile(name), l.certFile(name))
	}
	return cert, key, nil
}

// writePair writes the certificate last: with a certificate there is always its key. Unlike
// kubeadm's own function, writeFile leaves no half of a file behind, and no file that others can
// read.
func writePair(l layout, name string, cert *x509.Certificate, key crypto.Signer) error {
	if err := writeKey(l.keyFile(name), key); err != nil {
		return err
	}
	return writeFile(l.certFile(name), pkiutil.EncodeCertPEM(cert))
}

func writeKey(path string, key crypto.Signer) error {
	text, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return writeFile(path, text)
}
