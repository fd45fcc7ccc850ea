package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"kooperd.dev/kooperd/pkg/telemetry"
)

// Limits of every server: a probe or a scrape is small and quick, anything else is cut.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	gatherTimeout     = 25 * time.Second // less than writeTimeout, or nobody would be told
	idleTimeout       = 90 * time.Second
	maxHeaderBytes    = 16 << 10
	stopTimeout       = 2 * time.Second
)

// Disabled as an address turns a server off.
const Disabled = "0"

// Options of Listen.
type Options struct {
	// MetricsAddress is where /metrics is served, as host:port; empty or "0" serves none.
	MetricsAddress string
	// HealthAddress is where /livez, /readyz and /leaderz are served, as host:port; empty or "0" serves none.
	HealthAddress string
	// Gatherer is what /metrics shows. Required with MetricsAddress.
	Gatherer prometheus.Gatherer
	// Board is what /readyz shows. Required with HealthAddress.
	Board *telemetry.Board
	// Leading tells whether this replica leads. Default: it does not.
	Leading func() bool
	// Live returns why the process should be restarted, or nil. Default: never.
	Live func() error
	// Logger is told of the addresses. Default: nothing is logged.
	Logger logr.Logger
}

// Server are the listening servers.
type Server struct {
	logger  logr.Logger
	servers []*listening
}

type listening struct {
	name     string
	listener net.Listener
	http     *http.Server
}

// Listen binds the addresses, so that an address in use is an error before any work starts. The caller has to call
// Serve, which closes them.
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
	s := &Server{logger: opts.Logger}
	if err := s.listen(ctx, "metrics", opts.MetricsAddress, metricsMux(opts)); err != nil {
		return nil, err
	}
	if err := s.listen(ctx, "health", opts.HealthAddress, healthMux(opts)); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func serves(address string) bool { return address != "" && address != Disabled }

func (s *Server) listen(ctx context.Context, name, address string, mux http.Handler) error {
	if !serves(address) {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for %s: %w", name, err)
	}
	s.servers = append(s.servers, &listening{name: name, listener: l, http: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}})
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

// Serve answers until ctx ends and then closes the listeners, giving requests under way two seconds.
func (s *Server) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s.servers {
		s.logger.Info("serving", "server", l.name, "address", l.listener.Addr().String())
		group.Go(func() error {
			if err := l.http.Serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving %s: %w", l.name, err)
			}
			return nil
		})
	}
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	for _, l := range s.servers {
		if err := l.http.Shutdown(stop); err != nil {
			_ = l.http.Close() // Whatever still hangs after the grace is cut.
		}
	}
	return group.Wait()
}

func (s *Server) close() {
	for _, l := range s.servers {
		_ = l.listener.Close()
	}
}

// metricsMux serves what can be gathered: a collector of one handler that goes wrong must not hide everybody's metrics.
func metricsMux(opts Options) http.Handler {
	mux := http.NewServeMux()
	if opts.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError,
			ErrorLog:      gatherLog{opts.Logger},
			Timeout:       gatherTimeout,
		}))
	}
	return mux
}

// gatherLog is how promhttp tells of collectors that went wrong.
type gatherLog struct{ logger logr.Logger }

// Println implements promhttp.Logger.
func (l gatherLog) Println(v ...any) {
	l.logger.Error(errors.New(strings.TrimSpace(fmt.Sprintln(v...))), "gathering metrics")
}
