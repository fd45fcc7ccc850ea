package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// probeTimeout limits one question to one component.
const probeTimeout = 5 * time.Second

// probe asks the components whether they are ready. Each method returns nil when its part is.
type probe struct {
	ports ports
	http  *http.Client
	kube  kubernetes.Interface
}

// newProbe returns a probe that talks to the components with the admin's certificate.
func newProbe(l layout, p ports) (*probe, error) {
	ca, err := os.ReadFile(l.certFile(caCert))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("reading %s: no certificate in it", l.certFile(caCert))
	}
	cert, err := tls.LoadX509KeyPair(l.certFile(adminCert), l.keyFile(adminCert))
	if err != nil {
		return nil, fmt.Errorf("reading the admin's certificate: %w", err)
	}
	kube, err := kubernetes.NewForConfig(adminConfig(l, p.APIServer))
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	client := &http.Client{
		Timeout: probeTimeout,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
	}
	return &probe{ports: p, http: client, kube: kube}, nil
}

func (p *probe) etcd(ctx context.Context) error {
	_, err := p.get(ctx, etcdURL(p.ports.Etcd)+"/readyz")
	return err
}

func (p *probe) apiserver(ctx context.Context) error {
	_, err := p.get(ctx, apiserverURL(p.ports.APIServer)+"/readyz")
	return err
}

// controllers asks for the health of the controller manager and looks for any of its controllers in
// the answer: it says that it is healthy before it has any.
func (p *probe) controllers(ctx context.Context) error {
	url := fmt.Sprintf("https://127.0.0.1:%d/healthz?verbose", p.ports.ControllerManager)
	body, err := p.get(ctx, url)
	if err == nil && !bytes.Contains(body, []byte("-controller ok")) {
		err = fmt.Errorf("asking %s: the controllers have not started", url)
	}
	return err
}

// defaultServiceAccount is what Pods in the namespace "default" need, and the first thing that only
// working controllers can have made.
func (p *probe) defaultServiceAccount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := p.kube.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

// get returns the body of the answer to a GET; any other status than 200 is an error.
func (p *probe) get(ctx context.Context, url string) (body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", url, err)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, err // it names the URL itself
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking %s: %s", url, resp.Status)
	}
	if body, err = io.ReadAll(resp.Body); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	return body, nil
}
