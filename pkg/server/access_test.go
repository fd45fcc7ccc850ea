package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/telemetry"
)

// accessFunc is an Access made of a function.
type accessFunc func(ctx context.Context, token, verb, path string) error

func (f accessFunc) Allow(ctx context.Context, token, verb, path string) error {
	return f(ctx, token, verb, path)
}

// tokens is an Access with one token for each answer.
func tokens(_ context.Context, token, verb, path string) error {
	switch token {
	case "good":
		if verb == "get" {
			return nil
		}
		return fmt.Errorf("%w: user %q may not %s %s", ErrForbidden, "ann", verb, path)
	case "poor":
		return fmt.Errorf("%w: user %q may not %s %s", ErrForbidden, "bob", verb, path)
	case "unlucky":
		return errors.New("reviewing a token: dial tcp 10.0.0.1:443: connection refused")
	case "rightless":
		return fmt.Errorf("reviewing a token: %w: forbidden", ErrMayNotAsk)
	default:
		return ErrUnauthenticated
	}
}

func TestAccess(t *testing.T) {
	registry := prometheus.NewRegistry()
	opts := options()
	opts.Access, opts.Profiling, opts.Metrics = accessFunc(tokens), true, telemetry.NewMetrics(registry)
	s, _ := start(t, opts)
	const bad, undecided = "not authenticated: want a valid bearer token", "the API server cannot be asked whether this request is allowed"
	tests := map[string]struct {
		method, path, authorization string
		want                        int
		body                        string // of a refusal
	}{
		"good":             {path: "/metrics", authorization: "Bearer good", want: 200},
		"good profile":     {path: "/debug/pprof/cmdline", authorization: "Bearer good", want: 200},
		"case of scheme":   {path: "/metrics", authorization: "bEARER  good ", want: 200},
		"none":             {path: "/metrics", want: 401, body: bad},
		"none for profile": {path: "/debug/pprof/heap", want: 401, body: bad},
		"none for index":   {path: "/debug/pprof/", want: 401, body: bad},
		"no such profile":  {path: "/debug/pprof/nothing", want: 401, body: bad},
		"unknown token":    {path: "/metrics", authorization: "Bearer bad", want: 401, body: bad},
		"empty token":      {path: "/metrics", authorization: "Bearer ", want: 401, body: bad},
		"no scheme":        {path: "/metrics", authorization: "good", want: 401, body: bad},
		"other scheme":     {path: "/metrics", authorization: "Basic good", want: 401, body: bad},
		"two tokens":       {path: "/metrics", authorization: "Bearer good bad", want: 401, body: bad},
		"no right":         {path: "/metrics", authorization: "Bearer poor", want: 403, body: `forbidden: user "bob" may not get /metrics`},
		"no right to head": {method: http.MethodHead, path: "/metrics", authorization: "Bearer good", want: 403},
		"API server gone":  {path: "/metrics", authorization: "Bearer unlucky", want: 503, body: undecided},
		"may not ask":      {path: "/metrics", authorization: "Bearer rightless", want: 500, body: ErrMayNotAsk.Error()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			got := requestAs(t, tc.method, s.Addresses()["metrics"], tc.path, tc.authorization)
			if got.code != tc.want {
				t.Errorf("status %d, want %d: %s", got.code, tc.want, got.body)
			}
			if got.code != 200 && got.body != tc.body {
				t.Errorf("body %q, want %q", got.body, tc.body)
			}
			if challenge := got.header.Get("WWW-Authenticate"); (challenge == "Bearer") != (tc.want == 401) {
				t.Errorf("challenge %q of status %d", challenge, got.code)
			}
		})
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/leaderz": 503} {
		if got := request(t, http.MethodGet, s.Addresses()["health"], path); got.code != want {
			t.Errorf("%s without a token: %d, want %d", path, got.code, want)
		}
	}
	want := map[string]float64{"unauthenticated": 9, "forbidden": 2, "undecided": 2}
	if diff := cmp.Diff(want, refusals(t, registry)); diff != "" {
		t.Errorf("refused requests by reason (-want +got):\n%s", diff)
	}
}

// TestGoneClientIsNotRefused: a scrape that is broken off says nothing about the rights of anybody
// or about the API server.
func TestGoneClientIsNotRefused(t *testing.T) {
	var log bytes.Buffer
	logger, err := telemetry.NewLogger(&log, telemetry.FormatJSON, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, goAway := context.WithCancel(t.Context())
	g := &guard{
		access: accessFunc(func(ctx context.Context, _, _, _ string) error {
			goAway()
			<-ctx.Done()
			return fmt.Errorf("reviewing a token: %w", ctx.Err())
		}),
		refused: func(reason string) { t.Errorf("counted as refused because of %q", reason) },
		logger:  logger,
	}
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody)
	r.Header.Set("Authorization", "Bearer good")
	g.wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the request has been let through")
	})).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", w.Code)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
}

// refusals reads kooperd_http_refused_requests_total.
func refusals(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "kooperd_http_refused_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return counts
}

// TestUndecidedIsLoggedSometimes: strangers can make the API server be asked, so they could fill
// the log.
func TestUndecidedIsLoggedSometimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger, err := telemetry.NewLogger(&log, telemetry.FormatJSON, 0)
		if err != nil {
			t.Fatal(err)
		}
		g := newGuard(nil, nil, logger)
		for range 100 {
			g.log(errors.New("timeout"))
			time.Sleep(undecidedLogPause / 50)
		}
		if got := strings.Count(log.String(), "timeout"); got != 2 {
			t.Errorf("logged %d times in %s, want 2", got, 2*undecidedLogPause)
		}
	})
}
