package kube

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

// maxWritten bounds what is read along of the answer to a write, in bytes: etcd takes no object of more than some MiB.
const maxWritten = 16 << 20

// OwnWrites remembers the versions of objects of one kind that a handler's own writes have made, until the cache has them too:
// a handler that is called in between would see the object as it was before its own write. It is safe for concurrent use.
type OwnWrites struct {
	kind schema.GroupKind

	mu    sync.Mutex
	after map[Key]string // the version that the cache has to reach
}

// NewOwnWrites remembers writes of objects of kind.
func NewOwnWrites(kind schema.GroupVersionKind) *OwnWrites {
	return &OwnWrites{kind: kind.GroupKind(), after: map[Key]string{}}
}

// Wrap reads along the answers to the writes that go through next.
func (w *OwnWrites) Wrap(next http.RoundTripper) http.RoundTripper {
	return &writeReader{own: w, next: next}
}

// Caught tells whether a version of an object, which the cache holds, is as new as the handler's own writes.
func (w *OwnWrites) Caught(key Key, version string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	after, ok := w.after[key]
	if !ok {
		return true
	}
	if order, err := resourceversion.CompareResourceVersion(version, after); err == nil && order < 0 {
		return false
	}
	delete(w.after, key)
	return true
}

// Forget forgets an object that is gone, or that is not waited for any longer.
func (w *OwnWrites) Forget(key Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.after, key)
}

// wrote takes in the answer to a write.
func (w *OwnWrites) wrote(answer []byte) {
	e, err := wire.ParseEnvelope(answer)
	if err != nil || e.Kind.GroupKind() != w.kind {
		return
	}
	o, err := e.Object()
	if err != nil || o.ResourceVersion == "" {
		return
	}
	key := Key{Namespace: o.Namespace, Name: o.Name}
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, ok := w.after[key]; ok {
		if order, err := resourceversion.CompareResourceVersion(o.ResourceVersion, before); err != nil || order < 0 {
			return
		}
	}
	w.after[key] = o.ResourceVersion
}

// writeReader is the transport of OwnWrites.
type writeReader struct {
	own  *OwnWrites
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *writeReader) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil || resp.StatusCode < 200 || resp.StatusCode > 299 || resp.Body == nil {
		return resp, err
	}
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		resp.Body = &copiedBody{ReadCloser: resp.Body, whole: t.own.wrote}
	}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below, as its own wrappers do.
func (t *writeReader) WrappedRoundTripper() http.RoundTripper { return t.next }

// copiedBody hands over what was read when it has been read to the end.
type copiedBody struct {
	io.ReadCloser
	read  bytes.Buffer
	whole func([]byte) // nil when it was called
}

// Read implements io.Reader.
func (b *copiedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.whole == nil {
		return n, err
	}
	if b.read.Len()+n > maxWritten {
		b.whole, b.read = nil, bytes.Buffer{}
		return n, err
	}
	b.read.Write(p[:n])
	if err == io.EOF { //nolint:errorlint // readers return it bare
		b.whole(b.read.Bytes())
		b.whole, b.read = nil, bytes.Buffer{}
	}
	return n, err
}
