package kube

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorder is the network behind the gate: it keeps what arrives and answers with body.
type recorder struct {
	requests []*http.Request
	body     io.ReadCloser
	err      error
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.requests = append(r.requests, req)
	if r.err != nil {
		return nil, r.err
	}
	body := r.body
	if body == nil {
		body = http.NoBody
	}
	return &http.Response{StatusCode: http.StatusOK, Body: body, Request: req}, nil
}

// closeRecorder is a body that reports whether it was closed.
type closeRecorder struct {
	io.Reader
	closed int
}

func (c *closeRecorder) Close() error {
	c.closed++
	return nil
}

const (
	podPath   = "/api/v1/namespaces/payments/pods/a"
	podsPath  = "/api/v1/namespaces/payments/pods"
	proxyPath = "/api/v1/namespaces/payments/services/web/proxy/health"
)

func TestGateDecides(t *testing.T) {
	type request struct {
		method, path string
		header       http.Header
	}
	reads := map[string]request{
		"get":                  {method: http.MethodGet, path: podPath},
		"empty method":         {method: "", path: podPath},
		"head":                 {method: http.MethodHead, path: podPath},
		"options":              {method: http.MethodOptions, path: podPath},
		"watch":                {method: http.MethodGet, path: podsPath + "?watch=true"},
		"logs":                 {method: http.MethodGet, path: podPath + "/log?follow=true"},
		"get through a proxy":  {method: http.MethodGet, path: proxyPath},
		"object called exec":   {method: http.MethodGet, path: podsPath + "/exec"},
		"exec of another kind": {method: http.MethodGet, path: "/apis/example.com/v1/namespaces/a/pods/b/exec"},
	}
	writes := map[string]request{
		"post":                 {method: http.MethodPost, path: podsPath},
		"put":                  {method: http.MethodPut, path: podPath},
		"patch":                {method: http.MethodPatch, path: podPath},
		"delete":               {method: http.MethodDelete, path: podPath},
		"delete collection":    {method: http.MethodDelete, path: podsPath},
		"unknown method":       {method: "FROB", path: podPath},
		"lower case":           {method: "post", path: podsPath},
		"dry run":              {method: http.MethodPost, path: podsPath + "?dryRun=All"},
		"post through a proxy": {method: http.MethodPost, path: proxyPath},
		"exec":                 {method: http.MethodGet, path: podPath + "/exec?command=reboot"},
		"attach":               {method: http.MethodGet, path: podPath + "/attach"},
		"port forward":         {method: http.MethodGet, path: podPath + "/portforward"},
		"exec behind a prefix": {method: http.MethodGet, path: "/clusters/c1" + podPath + "/exec"},
		"upgrade":              {method: http.MethodGet, path: podPath, header: http.Header{"Upgrade": {"SPDY/3.1"}}},
	}
	remains := map[string]time.Duration{
		"no term": 0, "term over": -time.Second, "last moment": time.Nanosecond, "in term": 10 * time.Second,
	}
	check := func(t *testing.T, r request, remaining time.Duration, wantPass bool) {
		t.Helper()
		metrics, registry := newTestMetrics()
		next := &recorder{}
		body := &closeRecorder{Reader: strings.NewReader("{}")}
		transport := NewGate(func() time.Duration { return remaining }, metrics).Wrap(next)
		u, err := url.Parse("https://127.0.0.1" + r.path)
		if err != nil {
			t.Fatal(err)
		}
		req := (&http.Request{Method: r.method, URL: u, Header: r.header, Body: body}).WithContext(t.Context())
		resp, err := transport.RoundTrip(req)
		if wantPass {
			if len(next.requests) != 1 {
				t.Fatalf("refused: %v", err)
			}
			_ = resp.Body.Close()
			return
		}
		if len(next.requests) != 0 || !errors.Is(err, ErrNotLeading) {
			t.Errorf("passed, or refused with another error: %v", err)
		}
		if body.closed != 1 {
			t.Errorf("the body of a refused request was closed %d times, want 1", body.closed)
		}
		if n, _ := metricOf(t, registry, "kooperd_gate_refused_requests_total"); n != 1 {
			t.Errorf("%v refused requests are counted, want 1", n)
		}
	}
	for when, remaining := range remains {
		for what, r := range reads {
			t.Run(what+"/"+when, func(t *testing.T) { check(t, r, remaining, true) })
		}
		for what, r := range writes {
			t.Run(what+"/"+when, func(t *testing.T) { check(t, r, remaining, remaining > 0) })
		}
	}
}

func TestGateErrorNamesTheRequest(t *testing.T) {
	metrics, _ := newTestMetrics()
	transport := NewGate(func() time.Duration { return 0 }, metrics).Wrap(&recorder{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "https://127.0.0.1"+podPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_, err = transport.RoundTrip(req) //nolint:bodyclose // there is no answer
	want := "refusing DELETE " + podPath + ": this replica does not hold the lease, or no longer long enough"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestGateServerTimeout(t *testing.T) {
	tests := map[string]struct {
		method, target string
		want           string // the query that arrives
	}{
		"none set":              {http.MethodPost, podsPath, "timeout=7.5s"},
		"others are kept":       {http.MethodPatch, podPath + "?fieldManager=a&force=true", "fieldManager=a&force=true&timeout=7.5s"},
		"longer is cut":         {http.MethodPut, podPath + "?timeout=30s", "timeout=7.5s"},
		"shorter is kept":       {http.MethodPut, podPath + "?timeout=2s&a=b", "timeout=2s&a=b"},
		"equal is kept":         {http.MethodPut, podPath + "?timeout=7500ms", "timeout=7500ms"},
		"zero means no limit":   {http.MethodPut, podPath + "?timeout=0s", "timeout=7.5s"},
		"negative":              {http.MethodPut, podPath + "?timeout=-1s", "timeout=7.5s"},
		"nonsense":              {http.MethodPut, podPath + "?timeout=soon", "timeout=7.5s"},
		"read is left alone":    {http.MethodGet, podsPath + "?timeout=30s&watch=true", "timeout=30s&watch=true"},
		"proxied is left alone": {http.MethodPost, proxyPath + "?q=1", "q=1"},
		"session":               {http.MethodPost, podPath + "/exec?command=ls", "command=ls"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			metrics, _ := newTestMetrics()
			next := &recorder{}
			transport := NewGate(func() time.Duration { return 7500 * time.Millisecond }, metrics).Wrap(next)
			req, err := http.NewRequestWithContext(t.Context(), tc.method, "https://127.0.0.1"+tc.target, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			before := req.URL.String()
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := next.requests[0].URL.RawQuery; got != tc.want {
				t.Errorf("query %q, want %q", got, tc.want)
			}
			if req.URL.String() != before {
				t.Errorf("the caller's request was changed from %s to %s", before, req.URL)
			}
		})
	}
}

func TestGateDeadline(t *testing.T) {
	tests := map[string]struct {
		remaining, own time.Duration // own is the caller's timeout; 0 for none
		want           time.Duration
	}{
		"the term's":         {remaining: 8 * time.Second, want: 8 * time.Second},
		"the caller's":       {remaining: 8 * time.Second, own: 3 * time.Second, want: 3 * time.Second},
		"not the caller's":   {remaining: 8 * time.Second, own: time.Minute, want: 8 * time.Second},
		"the last of a term": {remaining: time.Millisecond, want: time.Millisecond},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				metrics, _ := newTestMetrics()
				next := &recorder{}
				transport := NewGate(func() time.Duration { return tc.remaining }, metrics).Wrap(next)
				ctx := t.Context()
				if tc.own > 0 {
					limited, cancel := context.WithTimeout(ctx, tc.own)
					defer cancel()
					ctx = limited
				}
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://127.0.0.1"+podsPath, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				resp, err := transport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				deadline, ok := next.requests[0].Context().Deadline()
				if !ok || deadline.Sub(began) != tc.want {
					t.Errorf("deadline after %s (there is one: %t), want %s", deadline.Sub(began), ok, tc.want)
				}
			})
		})
	}
}

// The term's remaining time is asked for anew by every request, retries included.
func TestGateAsksEveryTime(t *testing.T) {
	metrics, _ := newTestMetrics()
	remaining := []time.Duration{time.Second, 0, time.Second}
	next := &recorder{}
	transport := NewGate(func() time.Duration {
		d := remaining[0]
		remaining = remaining[1:]
		return d
	}, metrics).Wrap(next)
	var got []bool
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1"+podsPath, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		got = append(got, err == nil)
	}
	if diff := cmp.Diff([]bool{true, false, true}, got); diff != "" {
		t.Errorf("requests that passed (-want +got):\n%s", diff)
	}
}

func TestGateKeepsOtherErrors(t *testing.T) {
	metrics, _ := newTestMetrics()
	refused := errors.New("connection refused")
	transport := NewGate(func() time.Duration { return time.Minute }, metrics).Wrap(&recorder{err: refused})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1"+podsPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_, err = transport.RoundTrip(req) //nolint:bodyclose // there is no answer
	if !errors.Is(err, refused) || errors.Is(err, ErrNotLeading) {
		t.Errorf("error %v, want the network's alone", err)
	}
}

func TestGateShowsTheTransportBelow(t *testing.T) {
	next := &recorder{}
	wrapped, ok := (&Gate{}).Wrap(next).(interface{ WrappedRoundTripper() http.RoundTripper })
	if !ok || wrapped.WrappedRoundTripper() != http.RoundTripper(next) {
		t.Error("the transport below the gate cannot be found")
	}
}
