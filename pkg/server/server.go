package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// Limits of every server. Probes and scrapes are small and quick; what is not is cut off.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	gatherTimeout     = 25 * time.Second // less than writeTimeout, so that the client gets the error
	idleTimeout       = 90 * time.Second
	maxHeaderBytes    = 16 << 10
	stopTimeout       = 2 * time.Second
	maxStreams        = 32 // of one HTTP/2 connection at once
)

// Disabled as an address turns a server off.
const Disabled = "0"

// Options of Listen.
type Options struct {
	// MetricsAddress is where /metrics is served, as host:port. Empty or Disabled: nowhere.
	MetricsAddress string
	// HealthAddress is where /livez, /readyz and /leaderz are served, and the status page, as
	// host:port. Empty or Disabled: nowhere.
	HealthAddress string
	// Gatherer is what /metrics shows. Required with MetricsAddress.
	Gatherer prometheus.Gatherer
	// Board is what /readyz shows. Required with HealthAddress.
	Board *status.Board
	// Leading reports whether this replica leads. Default: it does not.
	Leading func() bool
	// Live returns why the process should be restarted, or nil. Default: never.
	Live func() error
	// Status is what the status page shows. Default: there is no page.
	Status statusz.Reporter
	// Access decides who may read what MetricsAddress serves, and the status page, for which
	// StatusPath stands. Default: every client may.
	Access Authorizer
	// Certificate returns the certificate for a handshake, as CertificateFiles and SelfSigned do.
	// With it, MetricsAddress speaks TLS, version 1.2 or later. Default: plain HTTP.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Profiling serves the profiles of the process under /debug/pprof/ of MetricsAddress. Profiles
	// reveal much, so the caller has to set Access, or an address that others cannot reach.
	// Default: no profiles.
	Profiling bool
	// Metrics count refused requests and connections that were closed early. Default: none.
	Metrics *telemetry.Metrics
	// Logger gets the addresses, refused requests and failures. Default: nothing is logged.
	Logger logr.Logger
}

// Server is a set of HTTP servers whose addresses are bound. Serve is called once.
type Server struct {
	logger  logr.Logger
	metrics *telemetry.Metrics
	servers []*listening
}

type listening struct {
	name     string
	listener net.Listener
	http     *http.Server
}

// Listen binds the addresses, so that an address in use is an error before any work starts. It
// returns an error, too, if Options lack what an address needs. The caller has to call Serve, which
// closes the listeners. ctx bounds the binding only.
func Listen(ctx context.Context, opts Options) (*Server, error) {
	if opts.Logger.GetSink() == nil {
		opts.Logger = logr.Discard()
	}
	if serves(opts.MetricsAddress) && opts.Gatherer == nil {
		return nil, errors.New("listening for metrics: Options.Gatherer is missing")
	}
	if serves(opts.HealthAddress) && opts.Board == nil {
		return nil, errors.New("listening for health: Options.Board is missing")
	}
	if opts.Metrics == nil {
		opts.Metrics = telemetry.NewMetrics(prometheus.NewRegistry())
	}
	s := &Server{logger: opts.Logger, metrics: opts.Metrics}
	if err := s.listen(ctx, "metrics", opts.MetricsAddress, metricsMux(opts), opts.Certificate); err != nil {
		return nil, err
	}
	if err := s.listen(ctx, "health", opts.HealthAddress, healthMux(opts), nil); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func serves(address string) bool { return address != "" && address != Disabled }

// getCertificate is the type of tls.Config.GetCertificate.
type getCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

func (s *Server) listen(ctx context.Context, name, address string, handler http.Handler, certificate getCertificate) error {
	if !serves(address) {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for %s: %w", name, err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ConnContext:       connContext,
		ErrorLog:          slog.NewLogLogger(serverLog{s.logger.WithValues("server", name)}, slog.LevelError),
	}
	if certificate != nil {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate}
	}
	bounded := newLimitListener(l, maxConnections, func() { s.metrics.CountHTTPClosed(name) })
	s.servers = append(s.servers, &listening{name: name, listener: bounded, http: server})
	return nil
}

// serve answers requests until the server is shut down.
func (l *listening) serve() error {
	serve := l.http.Serve
	if l.http.TLSConfig != nil {
		serve = func(listener net.Listener) error { return l.http.ServeTLS(listener, "", "") }
	}
	if err := serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", l.name, err)
	}
	return nil
}

// Addresses returns the bound addresses by name, "metrics" and "health".
func (s *Server) Addresses() map[string]string {
	addresses := map[string]string{}
	for _, l := range s.servers {
		addresses[l.name] = l.listener.Addr().String()
	}
	return addresses
}

// Serve answers requests until ctx ends or a server fails, and closes the listeners. Requests under
// way then have two seconds to finish. It returns the first failure of a server.
func (s *Server) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.servers {
		s.logger.Info("serving", "server", l.name, "address", l.listener.Addr().String(), "tls", l.http.TLSConfig != nil)
		group.Go(l.serve)
	}
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	for _, l := range s.servers {
		if err := l.http.Shutdown(stop); err != nil {
			_ = l.http.Close() // Requests that take longer are cut off.
		}
	}
	return group.Wait()
}

func (s *Server) close() {
	for _, l := range s.servers {
		_ = l.listener.Close()
	}
}

// metricsMux serves all metrics that can be gathered: one collector that fails must not hide the
// others. A connection counts as active only when its request is allowed. Otherwise clients without
// access could keep all connections busy.
func metricsMux(opts Options) http.Handler {
	mux := http.NewServeMux()
	g := newGuard(opts.Access, opts.Metrics.CountHTTPRefused, opts.Logger)
	if opts.Gatherer != nil {
		mux.Handle("GET /metrics", g.wrap(trackActive(promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError,
			ErrorLog:      gatherLog{opts.Logger},
			Timeout:       gatherTimeout,
		}))))
	}
	if opts.Profiling {
		addProfiles(mux, func(profile http.Handler) http.Handler { return g.wrap(trackActive(profile)) })
	}
	return mux
}
