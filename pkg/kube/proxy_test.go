package kube

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// closedPort is the address of a port on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	return server.Listener.Addr().String()
}

// TestConnectionErrorsSayTheirCause has what keeps requests from the API server, as a person reads
// it who runs a command, looks at a definition's state, or has written a handler.
func TestConnectionErrorsSayTheirCause(t *testing.T) {
	port := closedPort(t)
	server := newBorder(t, "")
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(refusing.Close)
	proxy := func(address string) func(*http.Request) (*url.URL, error) {
		return http.ProxyURL(&url.URL{Scheme: "http", Host: address, User: url.UserPassword("user-7", "secret-7")})
	}
	refusingAddress := refusing.Listener.Addr().String()
	trusting := server.config()
	behind := func(address string) *rest.Config {
		config := rest.CopyConfig(trusting)
		config.Proxy = proxy(address)
		return config
	}
	tests := map[string]struct {
		config *rest.Config
		want   []string
	}{
		"a port on which nothing listens": {&rest.Config{Host: "https://" + port}, []string{port, "connection refused"}},
		"an unknown authority":            {&rest.Config{Host: server.URL}, []string{"certificate signed by unknown authority"}},
		"an unknown host": {
			&rest.Config{Host: "https://api.invalid", Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.invalid", IsNotFound: true}}
			}},
			[]string{"lookup api.invalid: no such host"},
		},
		"a proxy that is down": {behind(port), []string{"by way of the proxy http://" + port, "connection refused"}},
		"a proxy that refuses": {
			behind(refusingAddress), []string{"the proxy http://" + refusingAddress + ` does not let the connection through and answers "Forbidden"`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, handler := newHandlerClient(t, tc.config)
			texts := map[string]string{}
			for client, ask := range credentialClients {
				if client == "access review" {
					continue // It is a source's client that writes.
				}
				err := ask(t.Context(), cluster, handler)
				if err == nil {
					t.Fatalf("%s: no error", client)
				}
				texts[client] = err.Error()
				if client == "source" {
					texts["the state"] = explain(err, sourceID{kind: podKind}).Error()
				}
			}
			for who, text := range texts {
				for _, want := range tc.want {
					if !strings.Contains(text, want) {
						t.Errorf("%s: %q, want %q in it", who, text, want)
					}
				}
				if strings.Contains(text, "-7") || strings.Contains(text, "\n") {
					t.Errorf("%s: %q shows a credential, or has several lines", who, text)
				}
			}
		})
	}
}

// TestHiddenErrorsStayHidden has the texts by which client-go knows what it sends again.
func TestHiddenErrorsStayHidden(t *testing.T) {
	for _, text := range []string{
		"http: can't write HTTP request on broken connection", "http2: server sent GOAWAY and closed the connection; LastStreamID=1",
		"read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer", "write: use of closed network connection",
		"http2: client connection lost",
	} {
		err := &url.Error{Op: "Get", URL: "https://api", Err: connectionError{textError(text)}}
		if utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err) || utilnet.IsConnectionReset(err) {
			t.Errorf("client-go sends again what failed with %q", err)
		}
	}
}

type textError string

func (e textError) Error() string { return string(e) }
