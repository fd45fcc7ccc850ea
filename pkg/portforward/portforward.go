// Package portforward reaches a port of a pod by way of the API server, as kubectl port-forward
// does. It opens no port on this machine, so nobody else there can use the way. It neither retries
// nor waits for a pod that does not run.
//
//	pod, err := portforward.Dial(ctx, config, "kooper-system", "kooperd-0")
//	client := http.Client{Transport: &http.Transport{DialContext: pod.Dialer(8081)}}
package portforward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

// Pod is a connection to one pod. It is safe for concurrent use and needs a Close.
type Pod struct {
	namespace, name string
	connection      httpstream.Connection
	requests        atomic.Int64
}

// Dial connects to a pod. It asks for a WebSocket, and for SPDY where the API server, or a proxy
// before it, knows no other way. The API server wants the right to create pods/portforward, and to
// get it as well for a WebSocket. An error of the API server is in the error that is returned.
//
// The end of ctx ends the wait at once. Its deadline ends the attempt as well, also one that waits
// for an answer that never comes.
func Dial(ctx context.Context, config *rest.Config, namespace, name string) (*Pod, error) {
	dialer, err := newDialer(ctx, config, namespace, name)
	if err != nil {
		return nil, fmt.Errorf("forwarding a port of pod %s/%s: %w", namespace, name, err)
	}
	type result struct {
		connection httpstream.Connection
		err        error
	}
	dialed := make(chan result)
	go func() {
		connection, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		if err == nil && protocol != portforward.PortForwardProtocolV1Name {
			_ = connection.Close()
			err = fmt.Errorf("the API server speaks the protocol %q, want %q", protocol, portforward.PortForwardProtocolV1Name)
		}
		select {
		case dialed <- result{connection, err}:
		case <-ctx.Done():
			if err == nil {
				_ = connection.Close()
			}
		}
	}()
	select {
	case r := <-dialed:
		if r.err != nil {
			return nil, fmt.Errorf("forwarding a port of pod %s/%s: %w", namespace, name, r.err)
		}
		return &Pod{namespace: namespace, name: name, connection: r.connection}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("forwarding a port of pod %s/%s: %w", namespace, name, context.Cause(ctx))
	}
}

// newDialer returns what connects to a pod.
func newDialer(ctx context.Context, config *rest.Config, namespace, name string) (httpstream.Dialer, error) {
	config = rest.CopyConfig(config)
	gv := corev1.SchemeGroupVersion
	config.GroupVersion, config.APIPath, config.NegotiatedSerializer = &gv, "/api", scheme.Codecs.WithoutConversion()
	// client-go makes the requests without a context.
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{ctx, next} })
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	url := client.Post().Resource("pods").Namespace(namespace).Name(name).SubResource("portforward").URL()
	webSocket, err := portforward.NewSPDYOverWebsocketDialerForStreamingWithLogger(klog.FromContext(ctx), url, config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := newSPDY(config)
	if err != nil {
		return nil, err
	}
	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	return portforward.NewFallbackDialerForStreaming(webSocket, plain, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// bounded sends requests with a context. What it connects outlives the context.
type bounded struct {
	ctx  context.Context //nolint:containedctx // The request that needs it is made by client-go.
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(request.WithContext(b.ctx))
}

// Dialer returns what a http.Transport needs to connect to a port of the pod, whatever address is
// asked for.
func (p *Pod) Dialer(port int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return p.dial(port) }
}

// dial opens a stream to a port. The pod may refuse it later: the first Read says so.
func (p *Pod) dial(port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.FormatInt(p.requests.Add(1), 10))
	failure, err := p.connection.CreateStream(headers)
	if err != nil {
		return nil, p.failed(err)
	}
	if err := failure.Close(); err != nil { // Nothing is written to it.
		return nil, p.failed(err)
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := p.connection.CreateStream(headers)
	if err != nil {
		return nil, errors.Join(p.failed(err), failure.Reset())
	}
	return newConn(p, port, data, failure), nil
}

func (p *Pod) failed(err error) error {
	return fmt.Errorf("forwarding a port of pod %s/%s: %w", p.namespace, p.name, err)
}

// Close ends all connections to the pod.
func (p *Pod) Close() error { return p.connection.Close() }
