package webhook

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

func TestSameHost(t *testing.T) {
	tests := []struct {
		from, to string
		want     bool
	}{
		{"http://a/x", "http://a/y", true},
		{"http://a/x", "http://a:80/y", true},
		{"http://a:80/x", "https://a/y", true},
		{"https://a/x", "https://a:443/y", true},
		{"https://a/x", "http://a/y", false},
		{"https://a/x", "https://a:8443/y", false},
		{"http://a/x", "http://a:8080/y", false},
		{"http://a/x", "http://b/y", false},
		{"http://a/x", "http://u:p@a/y", false},
		{"http://a/x", "ftp://a/y", false},
	}
	for _, tc := range tests {
		from, _ := url.Parse(tc.from)
		to, _ := url.Parse(tc.to)
		if got := sameHost(from, to); got != tc.want {
			t.Errorf("sameHost(%s, %s) = %t", tc.from, tc.to, got)
		}
	}
}

func TestRedirects(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	localhost := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	tests := map[string]struct {
		status int
		to     string
		want   string // of the error
	}{
		"to another path":    {http.StatusTemporaryRedirect, "/moved", ""},
		"for good":           {http.StatusPermanentRedirect, "/moved", ""},
		"found":              {http.StatusFound, "/moved", "answered 302 Found, a redirect that is not followed"},
		"see other":          {http.StatusSeeOther, "/moved", "answered 303 See Other, a redirect that is not followed"},
		"to another port":    {http.StatusTemporaryRedirect, other.URL, "answered 307 Temporary Redirect, a redirect that is not followed"},
		"to another host":    {http.StatusTemporaryRedirect, localhost, "answered 307 Temporary Redirect, a redirect that is not followed"},
		"again and again":    {http.StatusTemporaryRedirect, "/sync", "answered 307 Temporary Redirect, a redirect that is not followed"},
		"without a location": {http.StatusTemporaryRedirect, "", "answered 307 Temporary Redirect"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			server := serve(t, func(w http.ResponseWriter, req *http.Request) {
				calls.Add(1)
				if req.URL.Path == "/moved" {
					if req.Method != http.MethodPost || req.ContentLength != 2 || req.Header.Get("Authorization") == "" {
						t.Errorf("the request was sent on as %s with %d bytes and %v", req.Method, req.ContentLength, req.Header)
					}
					answer(200, "{}")(w, req)
					return
				}
				if tc.to != "" {
					w.Header().Set("Location", tc.to)
				}
				w.WriteHeader(tc.status)
			})
			r := newRig(t, server, func(c *Config) { c.Auth = &Auth{Bearer: secretFile(t, "token")} })
			_, err := r.sync(t.Context(), "u", "{}")
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasSuffix(err.Error(), "/sync: "+tc.want)) {
				t.Errorf("err = %v, want %q", err, tc.want)
			}
			if calls.Load() > maxRedirects+1 {
				t.Errorf("%d requests were sent", calls.Load())
			}
		})
	}
	if elsewhere.Load() > 0 {
		t.Error("a request was sent to another host")
	}
}

func TestNoRedirectToPlainHTTP(t *testing.T) {
	var calls atomic.Int32
	plain := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", plain.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	t.Cleanup(secure.Close)
	r := newRig(t, secure, func(c *Config) { c.TLS = &TLS{CABundle: certificatePEM(secure.Certificate())} })
	if _, err := r.sync(t.Context(), "u", "{}"); err == nil || calls.Load() > 0 {
		t.Errorf("err = %v after %d requests", err, calls.Load())
	}
}
