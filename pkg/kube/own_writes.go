package kube

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

const (
	// ownWriteLimit is how long the cache is waited for: it may never show a write, because the object ceased to match a selector
	// or the watch is broken, and an object must not wait for ever.
	ownWriteLimit = 5 * time.Second
	// minOwnWrites is from how many on the old ones are looked for, which nobody has asked for: a handler may write objects that
	// its own definition does not see.
	minOwnWrites = 256
)

// maxWritten bounds what is read along of the answer to a write, in bytes: etcd takes no object of more than some MiB.
const maxWritten = 16 << 20

// ConsistencyStore remembers the versions of objects of one kind that a handler's own writes have made, until the cache has them too:
// a handler that is called in between would see the object as it was before its own write. What counts is the kind of the answer:
// a write of the scale of an object, or through a client for metadata alone, is not seen. An object that is created again after its
// end has a greater version, so nothing has to be forgotten with it. It is safe for concurrent use.
type ConsistencyStore struct {
	kind schema.GroupKind

	mu    sync.Mutex
	after map[Key]ownWrite
	clean int // how many are too many
}

// ownWrite is what the cache has to reach.
type ownWrite struct {
	version string
	at      time.Time
	// asked is when the cache was first found not to have it, nor what was written before; zero if nobody has asked.
	asked time.Time
}

// NewConsistencyStore remembers writes of objects of kind.
func NewConsistencyStore(kind schema.GroupVersionKind) *ConsistencyStore {
	return &ConsistencyStore{kind: kind.GroupKind(), after: map[Key]ownWrite{}, clean: minOwnWrites}
}

// Wrap reads along the answers to the writes that go through next.
func (w *ConsistencyStore) Wrap(next http.RoundTripper) http.RoundTripper {
	return &writeReader{own: w, next: next}
}

// Ready tells whether a version of an object, which the cache holds, is as new as the handler's own writes. Five seconds after it
// has first denied that it agrees, whatever the version and whatever has been written since.
func (w *ConsistencyStore) Ready(key Key, version string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	own, ok := w.after[key]
	if !ok {
		return true
	}
	if own.asked.IsZero() {
		own.asked = time.Now()
		w.after[key] = own
	}
	if order, err := resourceversion.CompareResourceVersion(version, own.version); err == nil && order < 0 && time.Since(own.asked) < ownWriteLimit {
		return false
	}
	delete(w.after, key)
	return true
}

// wrote takes in the answer to a write.
func (w *ConsistencyStore) wrote(answer []byte) {
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
	before, ok := w.after[key]
	if ok {
		if order, err := resourceversion.CompareResourceVersion(o.ResourceVersion, before.version); err != nil || order < 0 {
			return
		}
	}
	if len(w.after) >= w.clean {
		maps.DeleteFunc(w.after, func(_ Key, own ownWrite) bool { return time.Since(own.at) >= ownWriteLimit })
		w.clean = max(minOwnWrites, 2*len(w.after))
	}
	w.after[key] = ownWrite{version: o.ResourceVersion, at: time.Now(), asked: before.asked}
}

// writeReader is the transport of OwnWrites.
type writeReader struct {
	own  *ConsistencyStore
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *writeReader) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil || resp.StatusCode < 200 || resp.StatusCode > 299 || resp.Body == nil || connectionOf(req.URL.Path) != "" {
		return resp, err
	}
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
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
	if err == io.EOF { // readers return it bare
		b.whole(b.read.Bytes())
		b.whole, b.read = nil, bytes.Buffer{}
	}
	return n, err
}
