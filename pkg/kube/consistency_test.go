package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"
	serializerjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// answering is an API server that gives one answer.
type answering struct {
	code int
	body string
	err  error
}

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.code, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

// request sends a request through the store and reads the answer.
func (s *ConsistencyStore) request(ctx context.Context, t *testing.T, method string, answer answering) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://api", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Wrap(answer).RoundTrip(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != answer.body {
		t.Errorf("read %q, %v", body, err)
	}
}

func written(kind, name, version string) answering {
	const object = `{"apiVersion":"v1","kind":%q,"metadata":{"namespace":"a","name":%q,"resourceVersion":%q}}`
	return answering{code: 200, body: fmt.Sprintf(object, kind, name, version)}
}

// versionCache is a cache that is at a version in namespace a, and has nothing else.
type versionCache struct{ at string }

func (c *versionCache) Reached(object Key, resourceVersion string) bool {
	return object.Namespace != "a" || !olderVersion(c.at, resourceVersion)
}

func newTestStore() (s *ConsistencyStore, cache *versionCache) {
	s, cache = NewConsistencyStore(podKind), &versionCache{at: "6"}
	s.AddCache(podKind, cache)
	return s, cache
}

func TestConsistencyOfTheCalledObject(t *testing.T) {
	key := Key{Namespace: "a", Name: "x"}
	tests := map[string]struct {
		method string
		answer answering
		waits  bool // for version 7
	}{
		"patch":          {http.MethodPatch, written("Pod", "x", "7"), true},
		"update":         {http.MethodPut, written("Pod", "x", "7"), true},
		"create":         {http.MethodPost, written("Pod", "x", "7"), true},
		"delete":         {http.MethodDelete, written("Pod", "x", "7"), true},
		"read":           {http.MethodGet, written("Pod", "x", "7"), false},
		"nothing new":    {http.MethodPatch, written("Pod", "x", "6"), false},
		"another kind":   {http.MethodPatch, written("Node", "x", "7"), false},
		"another object": {http.MethodPatch, written("Pod", "y", "7"), false},
		"refused":        {http.MethodPatch, answering{code: 409, body: written("Pod", "x", "7").body}, false},
		"no answer":      {http.MethodPatch, answering{err: errors.New("reset")}, false},
		"no object":      {http.MethodPost, answering{code: 201, body: `{"kind":"Status"`}, false},
		"not a number":   {http.MethodPatch, written("Pod", "x", "abc"), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, ctx := range []context.Context{t.Context(), WithCall(t.Context(), NewCall(key, 0))} {
				s, cache := newTestStore()
				s.request(ctx, t, tc.method, tc.answer)
				if ready := s.Ready(key); ready == tc.waits {
					t.Errorf("ready with the cache at version 6: %t", ready)
				}
				if cache.at = "7"; !s.Ready(key) {
					t.Error("not ready with the cache at version 7")
				}
				if cache.at = "6"; !s.Ready(key) {
					t.Error("a version that was reached is waited for again")
				}
			}
		})
	}
}

// TestConsistencyInEveryEncoding has the answers that client-go's clients may ask for.
func TestConsistencyInEveryEncoding(t *testing.T) {
	key := Key{Namespace: "a", Name: "x"}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x", ResourceVersion: "7"}}
	for name, encoder := range map[string]runtime.Encoder{
		"JSON":     serializerjson.NewSerializerWithOptions(serializerjson.DefaultMetaFactory, nil, nil, serializerjson.SerializerOptions{}),
		"protobuf": protobuf.NewSerializer(scheme.Scheme, scheme.Scheme),
		"CBOR":     cbor.NewSerializer(scheme.Scheme, scheme.Scheme),
	} {
		t.Run(name, func(t *testing.T) {
			p.SetGroupVersionKind(podKind)
			var b bytes.Buffer
			if err := encoder.Encode(p, &b); err != nil {
				t.Fatal(err)
			}
			s, _ := newTestStore()
			s.request(t.Context(), t, http.MethodPatch, answering{code: 200, body: b.String()})
			if s.Ready(key) {
				t.Error("the write is not seen")
			}
		})
	}
}

func TestConsistencyOfChildren(t *testing.T) {
	parent, other := Key{Namespace: "a", Name: "x"}, Key{Namespace: "a", Name: "y"}
	nodes := &versionCache{at: "6"}
	s, pods := newTestStore()
	s.AddCache(schema.GroupVersionKind{Version: "v1", Kind: "Node"}, nodes)
	call := WithCall(t.Context(), NewCall(parent, 0))
	s.request(call, t, http.MethodPost, written("Node", "child", "8"))
	s.request(call, t, http.MethodPost, written("Node", "child-2", "7")) // answers may overtake each other
	s.request(call, t, http.MethodPost, written("Secret", "no-cache", "9"))
	s.request(call, t, http.MethodPatch, written("Pod", "y", "8"))
	s.request(t.Context(), t, http.MethodPost, written("Node", "z", "9")) // outside of a call
	if s.Ready(parent) || s.Ready(other) || !s.Ready(Key{Namespace: "a", Name: "z"}) {
		t.Error("want the parent to wait for its children, and the object it has written for itself")
	}
	if nodes.at = "7"; s.Ready(parent) {
		t.Error("ready before the newest write to a child is in the cache")
	}
	if nodes.at = "8"; !s.Ready(parent) || s.Ready(other) {
		t.Error("want the parent to be ready with its children, and the other object to wait")
	}
	if pods.at = "8"; !s.Ready(other) {
		t.Error("the object that another call has written is not ready")
	}
}

func TestConsistencyOfAView(t *testing.T) {
	view, fill := newTestView(t, "payments", "search")
	s := NewConsistencyStore(podKind)
	s.AddCache(podKind, view)
	x := Key{Namespace: "payments", Name: "x"}
	s.WroteAt(x, podKind.GroupKind(), x, "7")
	if s.Ready(x) {
		t.Error("ready before the first list")
	}
	fill("search", "x@8")
	fill("payments", "other@6")
	if s.Ready(x) {
		t.Error("ready before the cache of the namespace has the version")
	}
	fill("payments", "other@8")
	if !s.Ready(x) {
		t.Error("not ready although the cache is newer")
	}
	s.WroteAt(x, podKind.GroupKind(), Key{Namespace: "elsewhere", Name: "x"}, "9")
	if !s.Ready(x) {
		t.Error("a namespace that is not watched is waited for")
	}
	s.WroteAt(x, podKind.GroupKind(), x, "9")
	if err := view.sources[0].store.Bookmark("9"); err != nil || !s.Ready(x) {
		t.Errorf("not ready after a bookmark of the version, %v", err)
	}
}

// Ready is not asked for objects that the definition does not see; they must not add up. No call
// waits for ever.
func TestConsistencyTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cache := newTestStore()
		cache.at = "1"
		s.request(t.Context(), t, http.MethodPatch, written("Pod", "x", "7"))
		time.Sleep(consistencyTimeout) // Ready is not asked yet.
		var waited time.Duration
		for ; !s.Ready(Key{Namespace: "a", Name: "x"}) && waited < time.Minute; waited += time.Second {
			time.Sleep(time.Second)
			s.request(t.Context(), t, http.MethodPatch, written("Pod", "x", fmt.Sprint(8+waited/time.Second)))
		}
		if waited != consistencyTimeout {
			t.Errorf("an object that is written all the time is kept back for %s, want %s", waited, consistencyTimeout)
		}
		for i := range 20 * minTrackedParents {
			s.request(t.Context(), t, http.MethodPatch, written("Pod", fmt.Sprint("pod-", i), "7"))
			time.Sleep(consistencyTimeout / minTrackedParents)
		}
		if n := len(s.parents); n > 3*minTrackedParents {
			t.Errorf("the writes of %d objects are remembered", n)
		}
	})
}
