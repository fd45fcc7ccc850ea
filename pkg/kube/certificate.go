package kube

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// certificateAge is for how long what was read from the files of a client certificate is trusted
// while requests are sent. client-go looks every five minutes, which is too late for a certificate
// that was replaced shortly before its end.
const certificateAge = time.Second

// CertificateError means that the files of the client certificate cannot be used.
type CertificateError struct {
	// CertFile and KeyFile are their names.
	CertFile, KeyFile string
	// Err says what is wrong with one of them.
	Err error
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("reading the client certificate from %s and %s: %v", e.CertFile, e.KeyFile, e.Err)
}

// Unwrap returns what is wrong with the files.
func (e *CertificateError) Unwrap() error { return e.Err }

func isCertificateError(err error) bool {
	_, ok := errors.AsType[*CertificateError](err)
	return ok
}

// reloadCertificates makes the clients of config use a client certificate from files as soon as the
// files have changed. A connection stands for the certificate that it was opened with, so those of
// another one are closed, and a request that was refused because of it is sent again. A config
// without such files stays as it is.
func reloadCertificates(config *rest.Config) {
	if !hasCertificateFiles(config) {
		return
	}
	certFile, keyFile := config.CertFile, config.KeyFile
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		tlsConfig, err := utilnet.TLSClientConfig(next)
		if err != nil || tlsConfig == nil || tlsConfig.GetClientCertificate == nil {
			return next // not a transport of client-go
		}
		// To ask client-go for the certificate makes it close the connections of another one.
		files := &certificateFiles{load: tlsConfig.GetClientCertificate, certFile: certFile, keyFile: keyFile}
		return &certificateTransport{files: files, next: next}
	})
}

// hasCertificateFiles reports whether the client certificate comes from files. What is in the
// config itself cannot change, and has precedence.
func hasCertificateFiles(config *rest.Config) bool {
	return config.CertFile != "" && config.KeyFile != "" && len(config.CertData) == 0 && len(config.KeyData) == 0
}

// certificateFiles notice that the files of a client certificate have changed.
type certificateFiles struct {
	load              func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	certFile, keyFile string

	mu         sync.Mutex
	readAt     time.Time
	chain      [][]byte
	generation int // how often another certificate was found
	err        error
}

// read looks at the files unless that was done less than age ago. It returns the number of the
// certificate that is in them. While they cannot be used, that stays the same.
func (f *certificateFiles) read(age time.Duration) (generation int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.readAt.IsZero() && time.Since(f.readAt) < age {
		return f.generation, f.err
	}
	certificate, err := f.loadAlone()
	f.readAt, f.err = time.Now(), nil
	switch {
	case err != nil:
		f.err = &CertificateError{CertFile: f.certFile, KeyFile: f.keyFile, Err: err}
	case !slices.EqualFunc(certificate.Certificate, f.chain, bytes.Equal):
		f.chain = certificate.Certificate
		f.generation++
	}
	return f.generation, f.err
}

// loading is held while client-go is asked for a certificate. All clients with the same files share
// one reader of client-go, which reads its field without a lock after it has found no change.
var loading sync.Mutex

func (f *certificateFiles) loadAlone() (*tls.Certificate, error) {
	loading.Lock()
	defer loading.Unlock()
	return f.load(&tls.CertificateRequestInfo{})
}

// certificateTransport sends requests on connections of the certificate that is in the files.
type certificateTransport struct {
	files *certificateFiles
	next  http.RoundTripper
}

func (t *certificateTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.files.roundTrip(req, func(int) (http.RoundTripper, error) { return t.next, nil })
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t *certificateTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

// roundTrip sends req on the transport for the certificate in the files, and once more when it was
// refused for a certificate that is no longer there.
func (f *certificateFiles) roundTrip(req *http.Request, transport func(generation int) (http.RoundTripper, error)) (*http.Response, error) {
	generation, unusable := f.read(certificateAge)
	resp, err := send(req, generation, transport)
	if errors.Is(err, net.ErrClosed) && reads(req) {
		resp, err = send(req, generation, transport) // The connection was one of another certificate.
	}
	switch {
	case err != nil && unusable != nil:
		return nil, unusable // This is why the handshake has failed.
	case err != nil || resp.StatusCode != http.StatusUnauthorized:
		return resp, err
	}
	now, err := f.read(0)
	if err != nil || now == generation {
		return resp, nil //nolint:nilerr // The answer says more than what is wrong with the files.
	}
	again, ok := replay(req)
	if !ok {
		return resp, nil
	}
	discard(resp)
	return send(again, now, transport)
}

// discard ends the use of an answer in such a way that its connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close()
}

func send(req *http.Request, generation int, transport func(generation int) (http.RoundTripper, error)) (*http.Response, error) {
	t, err := transport(generation)
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(req)
}

// replay returns a request that can be sent in place of one that was refused.
func replay(req *http.Request) (*http.Request, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	again := req.Clone(req.Context())
	again.Body = body
	return again, true
}
