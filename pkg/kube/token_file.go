package kube

import (
	"net/http"
	"os"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// tokenFile is a file with a bearer token, of which client-go reads a new one only after a minute.
type tokenFile struct {
	path string

	mu      sync.Mutex
	refused string // the token that client-go still sends although the API server has refused it
	newer   string // what the file had then
}

// newTokenFile returns nil when the token of config does not come from a file.
func newTokenFile(config *rest.Config) *tokenFile {
	if config.BearerTokenFile == "" {
		return nil
	}
	return &tokenFile{path: config.BearerTokenFile}
}

// roundTrip sends req, and once more when its token was refused and the file has another one.
func (f *tokenFile) roundTrip(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	given, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if f == nil || !ok {
		return send(req)
	}
	token := f.current(given)
	resp, err := send(withToken(req, token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	newer, ok := f.read()
	if !ok || newer == token {
		return resp, nil
	}
	f.replace(given, newer)
	again, ok := replay(req)
	if !ok {
		return resp, nil
	}
	discard(resp)
	return send(withToken(again, newer))
}

func (f *tokenFile) read() (token string, ok bool) {
	text, err := os.ReadFile(f.path) //nolint:gosec // the kubeconfig names it
	token = strings.TrimSpace(string(text))
	return token, err == nil && token != ""
}

// current returns what to send in place of the token that client-go gives.
func (f *tokenFile) current(given string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if given == f.refused {
		return f.newer
	}
	return given
}

func (f *tokenFile) replace(refused, newer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused, f.newer = refused, newer
}

func withToken(req *http.Request, token string) *http.Request {
	if req.Header.Get("Authorization") == "Bearer "+token {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+token)
	return req
}

// tokenTransport sends requests with the token that is in the file.
type tokenTransport struct {
	file *tokenFile
	next http.RoundTripper
}

func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.file.roundTrip(req, t.next.RoundTrip)
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t *tokenTransport) WrappedRoundTripper() http.RoundTripper { return t.next }
