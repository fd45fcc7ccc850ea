package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/telemetry"
)

func TestRoutes(t *testing.T) {
	s, _ := start(t, options())
	tests := map[string]struct {
		server, method, path string
		want                 int
	}{
		"metrics":                     {"metrics", http.MethodGet, "/metrics", 200},
		"metrics have one path":       {"metrics", http.MethodGet, "/", 404},
		"no probe among the metrics":  {"metrics", http.MethodGet, "/livez", 404},
		"no metrics among the probes": {"health", http.MethodGet, "/metrics", 404},
		"no index":                    {"health", http.MethodGet, "/", 404},
		"no path below":               {"health", http.MethodGet, "/livez/all", 404},
		"head":                        {"health", http.MethodHead, "/livez", 200},
		"post a probe":                {"health", http.MethodPost, "/livez", 405},
		"put a probe":                 {"health", http.MethodPut, "/readyz", 405},
		"delete a probe":              {"health", http.MethodDelete, "/leaderz", 405},
		"post metrics":                {"metrics", http.MethodPost, "/metrics", 405},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := request(t, tc.method, s.Addresses()[tc.server], tc.path)
			if got.code != tc.want {
				t.Errorf("%s %s: %d, want %d", tc.method, tc.path, got.code, tc.want)
			}
		})
	}
}

func TestMetricsShowWhatIsGathered(t *testing.T) {
	registry := prometheus.NewRegistry()
	telemetry.NewMetrics(registry).Controller("pods").Queued(false)
	opts := options()
	opts.Gatherer = registry
	s, _ := start(t, opts)
	got := request(t, http.MethodGet, s.Addresses()["metrics"], "/metrics")
	if line := `kooper_controller_queued_events_total{controller="pods",requeue="false"} 1`; !strings.Contains(got.body, line) {
		t.Errorf("/metrics has no line %q", line)
	}
}

// brokenCollector is a handler's collector that goes wrong.
type brokenCollector struct{ desc *prometheus.Desc }

func (c brokenCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }
func (c brokenCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(c.desc, errors.New("no answer from the database"))
}

func TestBrokenCollectorHidesNothingElse(t *testing.T) {
	registry := prometheus.NewRegistry()
	telemetry.NewMetrics(registry)
	registry.MustRegister(brokenCollector{prometheus.NewDesc("broken", "Never works.", nil, nil)})
	var log bytes.Buffer
	logger, err := telemetry.NewLogger(&log, telemetry.FormatJSON, 0)
	if err != nil {
		t.Fatal(err)
	}
	opts := options()
	opts.Gatherer, opts.Logger = registry, logger
	s, stop := start(t, opts)
	got := request(t, http.MethodGet, s.Addresses()["metrics"], "/metrics")
	if got.code != 200 || !strings.Contains(got.body, "kooperd_gate_refused_requests_total 0") {
		t.Errorf("with a broken collector: %d, %d bytes", got.code, len(got.body))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "no answer from the database") {
		t.Errorf("the collector's error is not in the log: %s", log.String())
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := map[string]struct {
		adjust func(*Options)
		want   string
		is     error
	}{
		"metrics address in use": {
			adjust: func(o *Options) { o.MetricsAddress = taken.Addr().String() },
			want:   "listening for metrics: ", is: syscall.EADDRINUSE,
		},
		"health address in use": {
			adjust: func(o *Options) { o.HealthAddress = taken.Addr().String() },
			want:   "listening for health: ", is: syscall.EADDRINUSE,
		},
		"address without a port": {
			adjust: func(o *Options) { o.HealthAddress = "127.0.0.1" },
			want:   "listening for health: ",
		},
		"nothing to gather": {
			adjust: func(o *Options) { o.Gatherer = nil },
			want:   "listening for metrics: Options.Gatherer is missing",
		},
		"no board": {
			adjust: func(o *Options) { o.Board = nil },
			want:   "listening for health: Options.Board is missing",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			opts := options()
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			opts.MetricsAddress = free.Addr().String()
			_ = free.Close()
			tc.adjust(&opts)
			if _, err = Listen(t.Context(), opts); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("Listen: %v, want %q", err, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("Listen: %v, want %v", err, tc.is)
			}
			// What was bound before the error is free again.
			again, err := net.Listen("tcp", free.Addr().String())
			if err != nil {
				t.Fatalf("binding the metrics address after the error: %v", err)
			}
			_ = again.Close()
		})
	}
}

func TestDisabled(t *testing.T) {
	for _, off := range []string{"", Disabled} {
		s, stop := start(t, Options{MetricsAddress: off, HealthAddress: off})
		if got := s.Addresses(); len(got) != 0 {
			t.Errorf("address %q: bound %v", off, got)
		}
		if err := stop(); err != nil {
			t.Errorf("address %q: Serve: %v", off, err)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	took := time.Duration(0)
	for range 3 { // tries, as the machine may stand still during some
		if took = endServing(t); took <= stopTimeout+time.Second {
			return
		}
	}
	t.Errorf("Serve took %s to return", took)
}

// endServing returns how long it takes until the end of the context has ended everything.
func endServing(t *testing.T) (took time.Duration) {
	t.Helper()
	s, stop := start(t, options())
	addresses := s.Addresses()
	request(t, http.MethodGet, addresses["health"], "/livez")
	idle := dial(t, addresses["health"]) // A connection on which nothing was sent must not hold it up for long.
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	took = time.Since(began)
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("a connection is open after Serve")
	}
	for name, address := range addresses {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			t.Errorf("%s still listens", name)
		}
	}
	return took
}

func TestServeOfAContextThatHasEnded(t *testing.T) {
	s, err := Listen(t.Context(), options())
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Serve(ended); err != nil {
		t.Errorf("Serve: %v", err)
	}
	for name, address := range s.Addresses() {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			t.Errorf("%s still listens", name)
		}
	}
}

// A request that is being answered may finish.
func TestServeFinishesRequests(t *testing.T) {
	opts := options()
	entered, leave := make(chan struct{}), make(chan struct{})
	opts.Live = func() error {
		close(entered)
		<-leave
		return nil
	}
	s, stop := start(t, opts)
	answered := make(chan reply, 1)
	go func() { answered <- request(t, http.MethodGet, s.Addresses()["health"], "/livez") }()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	awaitRefused(t, s.Addresses()["health"])
	close(leave)
	if got := <-answered; got.code != 200 {
		t.Errorf("answer during the stop: %d", got.code)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func awaitRefused(t *testing.T, address string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	t.Fatal("the listener stays open")
}

// When one server cannot go on, the other one stops with it and the error is told.
func TestServeFailsWithOneServer(t *testing.T) {
	opts := options()
	s, err := Listen(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(t.Context()) }()
	request(t, http.MethodGet, s.Addresses()["health"], "/livez")
	for _, l := range s.servers {
		if l.name == "metrics" {
			_ = l.listener.Close() // As the kernel would, in effect.
		}
	}
	select {
	case err := <-served:
		if !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "serving metrics: ") {
			t.Errorf("Serve: %v, want the metrics server's error", err)
		}
	case <-time.After(patience):
		t.Fatal("Serve goes on without one of its servers")
	}
	if conn, err := net.Dial("tcp", s.Addresses()["health"]); err == nil {
		_ = conn.Close()
		t.Error("health still listens")
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestSlowHeaderIsCut(t *testing.T) {
	opts := options()
	s, _ := start(t, opts, func(server *http.Server) {
		if server.ReadHeaderTimeout != readHeaderTimeout {
			t.Errorf("a client may take %s to send its header", server.ReadHeaderTimeout)
		}
		server.ReadHeaderTimeout = 100 * time.Millisecond
	})
	for name, address := range s.Addresses() {
		conn := dial(t, address)
		if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(conn) // Returns when the server closes the connection.
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: reading until the server cuts the connection: %v", name, err)
		}
		if strings.Contains(string(rest), "200 OK") {
			t.Errorf("%s: half a request was answered: %q", name, rest)
		}
	}
}

func TestHugeHeaderIsRefused(t *testing.T) {
	s, _ := start(t, options())
	for name, address := range s.Addresses() {
		conn := dial(t, address)
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Big: %s\r\n\r\n", strings.Repeat("x", 1<<20))
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: reading the answer: %v", name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: a header of 1 MiB: %d, want 431", name, resp.StatusCode)
		}
		_ = conn.Close()
		<-written
	}
}
