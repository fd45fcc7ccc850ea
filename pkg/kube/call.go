package kube

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"kooperd.dev/kooperd/pkg/kube/wire"
	"kooperd.dev/kooperd/pkg/statusz"
)

// Call is one call of a handler for an object: the clients of its definition note in it what they
// write for requests with its context. It is safe for concurrent use.
type Call struct {
	parent Key
	keep   int // how many writes are kept

	mu      sync.Mutex
	writes  []statusz.Write
	total   int
	refused int // answers of a server that has too much to do
}

// NewCall returns the call for an object that keeps that many writes at most.
func NewCall(parent Key, keep int) *Call { return &Call{parent: parent, keep: keep} }

// Writes returns the first writes, in the order of their answers, and how many there were in all.
// The caller must not change them.
func (c *Call) Writes() (writes []statusz.Write, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes, c.total
}

// Throttled returns how many writes the API server has answered with 429: it has too much to do.
func (c *Call) Throttled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// callContextKey is where WithCall keeps the call.
type callContextKey struct{}

// WithCall returns a context for a call of a handler. A ConsistencyStore counts the writes of
// requests with this context for its object.
func WithCall(ctx context.Context, call *Call) context.Context {
	return context.WithValue(ctx, callContextKey{}, call)
}

// callOf returns the call of a context; nil for none.
func callOf(ctx context.Context) *Call {
	call, _ := ctx.Value(callContextKey{}).(*Call)
	return call
}

// callTransport notes the writes of calls.
type callTransport struct{ next http.RoundTripper }

func wrapCalls(next http.RoundTripper) http.RoundTripper { return &callTransport{next: next} }

func (t *callTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if call := callOf(req.Context()); call != nil && !reads(req) {
		status := 0
		if err == nil {
			status = resp.StatusCode
		}
		call.note(req, status)
	}
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t *callTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

func (c *Call) note(req *http.Request, status int) {
	dry := strings.Contains(req.URL.RawQuery, "dryRun=") // which writes nothing
	c.mu.Lock()
	if status == http.StatusTooManyRequests {
		c.refused++
	}
	if !dry {
		c.total++
	}
	full := len(c.writes) >= c.keep
	c.mu.Unlock()
	if dry || full {
		return
	}
	w := writeOf(req, status)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.writes) < c.keep {
		c.writes = append(c.writes, w)
	}
}

// writeOf says what a request writes.
func writeOf(req *http.Request, status int) statusz.Write {
	at := addressOf(req.URL.Path)
	w := statusz.Write{Subresource: at.subresource, Status: status}
	switch {
	case req.Method == http.MethodPost && at.subresource == "":
		if w.Verb = "create"; at.name == "" {
			at.name = nameInBody(req)
		}
	case req.Method == http.MethodPost:
		w.Verb = "create"
	case req.Method == http.MethodPatch:
		w.Verb = "patch"
	case req.Method == http.MethodPut:
		w.Verb = "update"
	case req.Method == http.MethodDelete && at.name == "":
		w.Verb = "deletecollection"
	case req.Method == http.MethodDelete:
		w.Verb = "delete"
	default:
		w.Verb = strings.ToLower(req.Method)
	}
	parts := []string{at.resource}
	for _, part := range []string{at.namespace, at.name} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	w.Object = strings.Join(parts, "/")
	return w
}

// address is what the path of a request names.
type address struct{ resource, namespace, name, subresource string }

// addressOf takes the path of a request to the API server apart. Another path is a resource as it
// stands.
func addressOf(path string) address {
	var parts []string
	core, group := strings.Index(path, "/api/"), strings.Index(path, "/apis/")
	switch {
	case core >= 0 && (group < 0 || core < group):
		parts = strings.Split(path[core+len("/api/"):], "/")[1:] // without the version
	case group >= 0:
		parts = strings.Split(path[group+len("/apis/"):], "/")
		parts = parts[min(2, len(parts)):] // without group and version
	}
	if len(parts) == 0 || parts[0] == "" {
		return address{resource: path}
	}
	var a address
	if inNamespace := len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize"; parts[0] == "namespaces" && inNamespace {
		a.namespace, parts = parts[1], parts[2:]
	}
	a.resource = parts[0]
	if len(parts) > 1 {
		a.name = parts[1]
	}
	if len(parts) > 2 {
		a.subresource = strings.Join(parts[2:], "/")
	}
	return a
}

// nameInBody returns the name of the object that is created; empty if it is not known.
func nameInBody(req *http.Request) string {
	if req.GetBody == nil {
		return ""
	}
	body, err := req.GetBody()
	if err != nil {
		return ""
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return ""
	}
	e, err := wire.ParseEnvelope(text)
	if err != nil {
		return ""
	}
	o, err := e.Object()
	if err != nil {
		return ""
	}
	return o.Name
}
