package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// ProxyError means that a request failed which was sent by way of a proxy.
type ProxyError struct {
	// Proxy is the proxy's URL, without user and password.
	Proxy string
	// Err is what went wrong.
	Err error
}

func (e *ProxyError) Error() string {
	if isProxyAnswer(e.Err) {
		return fmt.Sprintf("the proxy %s does not let the connection through and answers %q", e.Proxy, e.Err)
	}
	return fmt.Sprintf("by way of the proxy %s: %s", e.Proxy, describeTransport(e.Err))
}

// Unwrap returns what went wrong.
func (e *ProxyError) Unwrap() error { return e.Err }

// isProxyAnswer reports whether err is what net/http makes of a proxy that refuses a connection:
// the text of its status and nothing else, which otherwise reads like an answer of the API server.
func isProxyAnswer(err error) bool {
	for code := http.StatusMultipleChoices; code < 600; code++ {
		if text := http.StatusText(code); text != "" && text == err.Error() {
			return true
		}
	}
	return false
}

// proxyFunc returns the proxy for a request, nil for none.
type proxyFunc func(*http.Request) (*url.URL, error)

// proxyOf returns what client-go finds the proxy of a config's requests with.
func proxyOf(config *rest.Config) proxyFunc {
	if config.Proxy != nil {
		return config.Proxy
	}
	return utilnet.NewProxierWithNoProxyCIDR(http.ProxyFromEnvironment)
}

// proxyTransport names the proxy in the errors of requests that were sent by way of one.
type proxyTransport struct {
	proxy proxyFunc
	next  http.RoundTripper
}

func (t *proxyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err == nil || req.Context().Err() != nil {
		return resp, err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err // client-go knows these by identity and sends a read again.
	}
	if isCertificateError(err) {
		return nil, err
	}
	proxy, unknown := t.proxy(req)
	if unknown != nil || proxy == nil {
		return nil, err
	}
	return nil, &ProxyError{Proxy: (&url.URL{Scheme: proxy.Scheme, Host: proxy.Host}).String(), Err: err}
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t *proxyTransport) WrappedRoundTripper() http.RoundTripper { return t.next }
