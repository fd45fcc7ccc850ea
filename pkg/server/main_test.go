package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should happen at once.
const patience = time.Minute

// options serve both faces on free ports, with a board that tests may set.
func options() Options {
	registry := prometheus.NewRegistry()
	metrics := telemetry.NewMetrics(registry)
	return Options{
		Metrics:        metrics,
		MetricsAddress: "127.0.0.1:0",
		HealthAddress:  "127.0.0.1:0",
		Gatherer:       registry,
		Board:          status.NewBoard(metrics),
	}
}

// start serves until the test ends, or the returned function is called, which returns what Serve
// returned.
func start(t *testing.T, opts Options, adjust ...func(*http.Server)) (s *Server, stop func() error) {
	t.Helper()
	s, err := Listen(t.Context(), opts)
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	for _, l := range s.servers {
		for _, f := range adjust {
			f(l.http)
		}
	}
	return s, serve(t, s)
}

// serve is start for a server that has been made.
func serve(t *testing.T, s *Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		select {
		case err := <-served:
			return err
		case <-time.After(patience):
			return errors.New("Serve has not returned")
		}
	}
	t.Cleanup(func() {
		if stopped {
			return
		}
		if err := stop(); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return stop
}

// reply is what a client gets of an answer.
type reply struct {
	code   int
	header http.Header
	body   string
}

// request sends one request on a connection of its own.
func request(t *testing.T, method, address, path string) reply {
	t.Helper()
	return requestAs(t, method, address, path, "")
}

// requestAs is request with an Authorization header, unless it is empty.
func requestAs(t *testing.T, method, address, path, authorization string) reply {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, strings.TrimSuffix(string(body), "\n")}
}
