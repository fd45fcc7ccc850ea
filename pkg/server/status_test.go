package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/server/page/pagetest"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// TestStatusPage: the page stands beside the probes, which it does not change.
func TestStatusPage(t *testing.T) {
	opts := options()
	opts.Status = pagetest.Everything()
	s, _ := start(t, opts)
	tests := map[string]struct {
		server, method, path string
		want                 int
		text                 string
	}{
		"page":                     {"health", http.MethodGet, "/", 200, "<!doctype html>"},
		"page of an object":        {"health", http.MethodGet, "/objects/Website/shop/checkout", 200, "Why it was handled"},
		"JSON":                     {"health", http.MethodGet, "/statusz?format=json", 200, `"version":"v1alpha1"`},
		"head":                     {"health", http.MethodHead, "/", 200, ""},
		"post":                     {"health", http.MethodPost, "/", 405, ""},
		"delete":                   {"health", http.MethodDelete, "/definitions/website", 405, ""},
		"probe":                    {"health", http.MethodGet, "/livez", 200, "ok"},
		"post a probe":             {"health", http.MethodPost, "/livez", 405, ""},
		"no metrics here":          {"health", http.MethodGet, "/metrics", 404, ""},
		"no page among metrics":    {"metrics", http.MethodGet, "/", 404, ""},
		"no report among metrics":  {"metrics", http.MethodGet, "/statusz", 404, ""},
		"metrics":                  {"metrics", http.MethodGet, "/metrics", 200, "kooperd_"},
		"ready, with definitions":  {"health", http.MethodGet, "/readyz?verbose", 200, "ok"},
		"no way to another folder": {"health", http.MethodGet, "/static/%2e%2e%2fdoc.go", 404, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := request(t, tc.method, s.Addresses()[tc.server], tc.path)
			if got.code != tc.want || !strings.Contains(got.body, tc.text) {
				t.Errorf("%s %s: %d, want %d, with %q: %.200s", tc.method, tc.path, got.code, tc.want, tc.text, got.body)
			}
		})
	}
}

// basic is the Authorization header that a browser sends.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestStatusAccess: whoever may get StatusPath may read every page.
func TestStatusAccess(t *testing.T) {
	registry := prometheus.NewRegistry()
	opts := options()
	opts.Status, opts.Metrics = pagetest.Everything(), telemetry.NewMetrics(registry)
	opts.Access = accessFunc(func(ctx context.Context, token, verb, path string) error {
		if path != StatusPath && path != "/metrics" {
			t.Errorf("asked for %s, want %s for every page", path, StatusPath)
		}
		return tokens(ctx, token, verb, path)
	})
	s, _ := start(t, opts)
	tests := map[string]struct {
		method, path, authorization string
		want                        int
		body                        string // of a refusal
	}{
		"bearer":               {path: "/", authorization: "Bearer good", want: 200},
		"bearer, report":       {path: "/statusz?format=json", authorization: "Bearer good", want: 200},
		"bearer, object":       {path: "/objects/Website/shop/checkout?format=json", authorization: "Bearer good", want: 200},
		"bearer, style":        {path: "/static/page.css", authorization: "Bearer good", want: 200},
		"browser":              {path: "/", authorization: basic("anybody", "good"), want: 200},
		"browser, no name":     {path: "/", authorization: basic("", "good"), want: 200},
		"none":                 {path: "/", want: 401, body: ErrUnauthenticated.Error()},
		"none, report":         {path: "/statusz?format=json", want: 401, body: ErrUnauthenticated.Error()},
		"none, search":         {path: "/search?q=x", want: 401, body: ErrUnauthenticated.Error()},
		"none, style":          {path: "/static/page.css", want: 401, body: ErrUnauthenticated.Error()},
		"none, no page":        {path: "/nothing", want: 401, body: ErrUnauthenticated.Error()},
		"browser, bad token":   {path: "/", authorization: basic("anybody", "bad"), want: 401, body: ErrUnauthenticated.Error()},
		"browser, no password": {path: "/", authorization: basic("good", ""), want: 401, body: ErrUnauthenticated.Error()},
		"no right":             {path: "/", authorization: "Bearer poor", want: 403, body: `forbidden: user "bob" may not get /statusz`},
		"no right, object":     {path: "/objects/Pod/a/b", authorization: basic("x", "poor"), want: 403, body: `forbidden: user "bob" may not get /statusz`},
		"API server gone":      {path: "/", authorization: "Bearer unlucky", want: 503, body: "the API server cannot be asked whether this request is allowed"},
		"post":                 {method: http.MethodPost, path: "/", authorization: "Bearer good", want: 405},
		"probe, open":          {path: "/livez", want: 200},
		"readiness, open":      {path: "/readyz?verbose", want: 200},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			got := requestAs(t, tc.method, s.Addresses()["health"], tc.path, tc.authorization)
			if got.code != tc.want || tc.body != "" && got.body != tc.body {
				t.Errorf("status %d, want %d: %.300s, want %q", got.code, tc.want, got.body, tc.body)
			}
			challenges := got.header.Values("WWW-Authenticate")
			if want := []string{"Bearer", statusChallenge}; (tc.want == 401) != cmp.Equal(challenges, want) {
				t.Errorf("challenges %q of status %d", challenges, got.code)
			}
		})
	}
	// A browser asks for a password when somebody goes to a page, and not when its script asks.
	for mode, want := range map[string]int{"navigate": 2, "cors": 1, "same-origin": 1, "no-cors": 1} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addresses()["health"]+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Fetch-Mode", mode)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if challenges := resp.Header.Values("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || len(challenges) != want {
			t.Errorf("Sec-Fetch-Mode %s: status %d, challenges %q", mode, resp.StatusCode, challenges)
		}
	}
	// What a browser may send for the page does not open the metrics.
	if got := requestAs(t, http.MethodGet, s.Addresses()["metrics"], "/metrics", basic("anybody", "good")); got.code != 401 || len(got.header.Values("WWW-Authenticate")) != 1 {
		t.Errorf("metrics with Basic authentication: %d, challenges %q", got.code, got.header.Values("WWW-Authenticate"))
	}
	if diff := cmp.Diff(map[string]float64{"unauthenticated": 12, "forbidden": 2, "undecided": 1}, refusals(t, registry)); diff != "" {
		t.Errorf("refused requests by reason (-want +got):\n%s", diff)
	}
}

// TestTokensStayOnTheMachine: the page is plain HTTP, so it takes no token from elsewhere.
func TestTokensStayOnTheMachine(t *testing.T) {
	const shown = 200
	g := newGuard(accessFunc(tokens), func(string) {}, options().Logger)
	handler := g.wrapPage(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(shown) }))
	open := (&guard{}).wrapPage(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(shown) }))
	for peer, want := range map[string]int{
		"127.0.0.1:4711": shown, "127.8.9.10:1": shown, "[::1]:4711": shown, "[::ffff:127.0.0.1]:4711": shown,
		"10.1.2.3:4711": 403, "[fd00::1]:4711": 403, "[::ffff:10.1.2.3]:4711": 403, "@": 403, "": 403,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set("Authorization", "Bearer good")
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want || want == 403 && !strings.Contains(w.Body.String(), "kubectl port-forward") {
			t.Errorf("from %q: status %d, want %d: %s", peer, w.Code, want, w.Body.String())
		}
		w = httptest.NewRecorder()
		if open.ServeHTTP(w, r); w.Code != shown {
			t.Errorf("without an Authorizer, from %q: status %d", peer, w.Code)
		}
	}
}
