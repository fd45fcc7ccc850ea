package portforward

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"
)

// pingPeriod keeps a connection alive that carries nothing.
const pingPeriod = 5 * time.Second

// spdyRoundTripper asks for SPDY by way of a http.Transport, so that the context of the request
// bounds all of it, also an answer, of the API server or of a proxy, that never comes. The round
// tripper of client-go waits for that without a bound. It is for one request.
type spdyRoundTripper struct {
	transport *http.Transport
	upgraded  io.ReadWriteCloser // nil before a connection is upgraded
}

var _ httpstream.UpgradeRoundTripper = (*spdyRoundTripper)(nil)

// newSPDY returns what makes a request of a config, and what makes a connection of the answer.
func newSPDY(config *rest.Config) (http.RoundTripper, spdy.Upgrader, error) {
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, nil, err
	}
	proxy := http.ProxyFromEnvironment
	if config.Proxy != nil {
		proxy = config.Proxy
	}
	only1 := new(http.Protocols)
	only1.SetHTTP1(true) // HTTP/2 has no upgrades.
	upgrader := &spdyRoundTripper{transport: &http.Transport{
		TLSClientConfig: tls, Proxy: proxy, DialContext: config.Dial, Protocols: only1, DisableKeepAlives: true,
	}}
	wrapped, err := rest.HTTPWrappersForConfig(config, upgrader)
	if err != nil {
		return nil, nil, err
	}
	return wrapped, spdy.NewUpgraderForStreaming(upgrader), nil
}

// RoundTrip implements http.RoundTripper. The connection outlives the context of the request.
func (s *spdyRoundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	request.Header.Set(httpstream.HeaderUpgrade, streamspdy.HeaderSpdy31)
	response, err := s.transport.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		return response, err
	}
	body, ok := response.Body.(io.ReadWriteCloser)
	if got := response.Header.Get(httpstream.HeaderUpgrade); !ok || !strings.EqualFold(got, streamspdy.HeaderSpdy31) {
		_ = response.Body.Close()
		return nil, fmt.Errorf("the API server speaks the protocol %q, want %q", got, streamspdy.HeaderSpdy31)
	}
	s.upgraded, response.Body = body, http.NoBody // client-go closes the body of every answer.
	return response, nil
}

// NewConnection implements httpstream.UpgradeRoundTripper.
func (s *spdyRoundTripper) NewConnection(response *http.Response) (httpstream.Connection, error) {
	if response.StatusCode != http.StatusSwitchingProtocols || s.upgraded == nil {
		return new(streamspdy.SpdyRoundTripper).NewConnection(response) // It reads the error.
	}
	return streamspdy.NewClientConnectionWithPings(upgraded{s.upgraded}, pingPeriod)
}

// upgraded is a connection of a http.Transport, which does not tell its addresses.
type upgraded struct{ io.ReadWriteCloser }

var _ net.Conn = upgraded{}

func (upgraded) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (upgraded) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// Nobody sets deadlines; who needs one closes the connection.

func (upgraded) SetDeadline(time.Time) error      { return nil }
func (upgraded) SetReadDeadline(time.Time) error  { return nil }
func (upgraded) SetWriteDeadline(time.Time) error { return nil }
