package kube

import (
	"bytes"
	"io"
	"net/http"
)

// maxAnswer bounds what is kept of the answer to a write, in bytes: etcd takes no object of more
// than some MiB.
const maxAnswer = 16 << 20

// writeReader is the transport of a ConsistencyStore.
type writeReader struct {
	store *ConsistencyStore
	next  http.RoundTripper
}

func (t *writeReader) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	failed := err != nil || resp.StatusCode < 200 || resp.StatusCode > 299 || resp.Body == nil
	if failed || connectionOf(req.URL.Path) != "" {
		return resp, err
	}
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		ctx := req.Context()
		resp.Body = &teeBody{ReadCloser: resp.Body, done: func(body []byte) { t.store.noteAnswer(ctx, body) }}
	}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t *writeReader) WrappedRoundTripper() http.RoundTripper { return t.next }

// teeBody hands over what was read when it has been read to the end.
type teeBody struct {
	io.ReadCloser
	read bytes.Buffer
	done func([]byte) // nil when it was called, or never will be
}

func (b *teeBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.done == nil {
		return n, err
	}
	if b.read.Len()+n > maxAnswer {
		b.done, b.read = nil, bytes.Buffer{}
		return n, err
	}
	b.read.Write(p[:n])
	if err == io.EOF { // Readers return it bare.
		b.done(b.read.Bytes())
		b.done, b.read = nil, bytes.Buffer{}
	}
	return n, err
}
