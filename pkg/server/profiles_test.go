package server

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestProfilesAreOffByDefault(t *testing.T) {
	s, _ := start(t, options())
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		for name, address := range s.Addresses() {
			if got := request(t, http.MethodGet, address, path); got.code != http.StatusNotFound {
				t.Errorf("%s of %s: %d, want 404", path, name, got.code)
			}
		}
	}
}

func TestProfiles(t *testing.T) {
	opts := options()
	opts.Profiling = true
	s, _ := start(t, opts)
	tests := map[string]struct {
		path, want string
		code       int
	}{
		"index":            {path: "/debug/pprof/", code: 200, want: "Types of profiles available"},
		"goroutines":       {path: "/debug/pprof/goroutine?debug=2", code: 200, want: "goroutine"},
		"heap":             {path: "/debug/pprof/heap?debug=1", code: 200, want: "heap profile"},
		"no such profile":  {path: "/debug/pprof/nothing", code: 404, want: "Unknown profile"},
		"no path below":    {path: "/debug/pprof/heap/more", code: 404},
		"too long":         {path: "/debug/pprof/profile?seconds=301", code: 400, want: `seconds is "301", want a number from 0 to 300`},
		"trace for ever":   {path: "/debug/pprof/trace?seconds=Inf", code: 400, want: "want a number"},
		"no number":        {path: "/debug/pprof/trace?seconds=NaN", code: 400, want: "want a number"},
		"before the start": {path: "/debug/pprof/heap?seconds=-1", code: 400, want: "want a number"},
		"not on health":    {path: "/debug/pprof/", code: 404},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			address := s.Addresses()["metrics"]
			if name == "not on health" {
				address = s.Addresses()["health"]
			}
			got := request(t, http.MethodGet, address, tc.path)
			if got.code != tc.code || !strings.Contains(got.body, tc.want) {
				t.Errorf("%d %.200q, want %d with %q", got.code, got.body, tc.code, tc.want)
			}
		})
	}
}

// TestProfileTakesLongerThanOtherAnswers asks for three seconds of a server that gives less to read
// a request or to write an answer, over HTTP/1.1 and HTTP/2.
func TestProfileTakesLongerThanOtherAnswers(t *testing.T) {
	shorten := func(server *http.Server) {
		server.ReadTimeout, server.WriteTimeout = 2900*time.Millisecond, 2900*time.Millisecond
	}
	check := func(t *testing.T, code int, took time.Duration, bytes int) {
		t.Helper()
		if code != 200 || took < 3*time.Second || bytes == 0 {
			t.Errorf("a profile of three seconds: %d after %s, %d bytes", code, took, bytes)
		}
	}
	t.Run("HTTP/2", func(t *testing.T) {
		certificate, err := NewSelfSigned("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := certificate.Get(nil)
		if err != nil {
			t.Fatal(err)
		}
		opts := options()
		opts.Profiling, opts.Certificate = true, certificate.Get
		s, _ := start(t, opts, shorten)
		c := tlsClient(t, leaf.Leaf, true)
		began := time.Now()
		resp, err := c.http.Get("https://" + s.Addresses()["metrics"] + "/debug/pprof/profile?seconds=3")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body strings.Builder
		if err := resp.Write(&body); err != nil || resp.ProtoMajor != 2 {
			t.Errorf("HTTP/%d, reading the answer: %v", resp.ProtoMajor, err)
		}
		check(t, resp.StatusCode, time.Since(began), body.Len())
	})
	for _, path := range []string{"/debug/pprof/profile?seconds=3", "/debug/pprof/trace?seconds=3", "/debug/pprof/allocs?seconds=3"} {
		t.Run("HTTP/1.1"+path, func(t *testing.T) {
			t.Parallel()
			opts := options()
			opts.Profiling = true
			s, _ := start(t, opts, shorten)
			began := time.Now()
			got := request(t, http.MethodGet, s.Addresses()["metrics"], path)
			check(t, got.code, time.Since(began), len(got.body))
		})
	}
}
