package webhook

import (
	"container/list"
	"crypto/sha256"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/hook"
)

const (
	// maxETagged is how many bytes of answers one definition keeps.
	maxETagged = 16 << 20
	// maxETag is how long an ETag may be, in bytes.
	maxETag = 256
	// perETagged is about what an answer takes besides its text, in bytes.
	perETagged = 512
)

// etagKey is what an answer belongs to. With the request in it, neither an earlier object of that
// name nor another revision of the same one gets it.
type etagKey struct {
	hook    hook.Name
	parent  types.UID
	request [sha256.Size]byte
}

// etagged is an answer that a hook has given an ETag.
type etagged struct {
	key  etagKey
	etag string
	body []byte
}

func (e *etagged) size() int { return len(e.etag) + len(e.body) + perETagged }

// etags are answers with ETags, the least used of which go when there are too many bytes of them. A
// nil one keeps nothing. It is safe for concurrent use.
type etags struct {
	limit int // bytes

	mu    sync.Mutex
	size  int
	byKey map[etagKey]*list.Element
	order *list.List // of *etagged, the last used first
}

func newETags(limit int) *etags {
	return &etags{limit: limit, byKey: map[etagKey]*list.Element{}, order: list.New()}
}

func keyOf(name hook.Name, parent types.UID, request []byte) etagKey {
	return etagKey{hook: name, parent: parent, request: sha256.Sum256(request)}
}

// get returns the answer, or nil.
func (e *etags) get(key etagKey) *etagged {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	found, ok := e.byKey[key]
	if !ok {
		return nil
	}
	e.order.MoveToFront(found)
	kept, _ := found.Value.(*etagged)
	return kept
}

// put keeps an answer in the place of the one before. Without an ETag there is none any more.
func (e *etags) put(key etagKey, etag string, body []byte) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if before, ok := e.byKey[key]; ok {
		e.remove(before)
	}
	kept := &etagged{key: key, etag: etag, body: body}
	if etag == "" || len(etag) > maxETag || kept.size() > e.limit/4 {
		return
	}
	e.byKey[key] = e.order.PushFront(kept)
	e.size += kept.size()
	for e.size > e.limit {
		e.remove(e.order.Back())
	}
}

// remove is for a caller that holds e.mu.
func (e *etags) remove(element *list.Element) {
	kept, _ := e.order.Remove(element).(*etagged)
	delete(e.byKey, kept.key)
	e.size -= kept.size()
}
