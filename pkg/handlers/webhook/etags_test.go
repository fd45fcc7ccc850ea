package webhook

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestETag(t *testing.T) {
	var asked []string
	server := serve(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		asked = append(asked, req.Header.Get("If-None-Match"))
		if asked[len(asked)-1] != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		_, _ = fmt.Fprintf(w, "answer to %s", body)
	})
	r := newRig(t, server, func(c *Config) { c.ETag = true })
	calls := []struct {
		parent types.UID
		body   string
		asked  string
	}{
		{"a", "1", ""},
		{"a", "1", `"v1"`},
		{"a", "2", ""}, // another revision
		{"b", "1", ""}, // another object, maybe of the same name
		{"a", "1", `"v1"`},
		{"b", "1", `"v1"`},
	}
	for i, call := range calls {
		body, err := r.sync(t.Context(), call.parent, call.body)
		if err != nil || body != "answer to "+call.body {
			t.Errorf("call %d = %q, %v", i, body, err)
		}
		if asked[i] != call.asked {
			t.Errorf("call %d has If-None-Match %q, want %q", i, asked[i], call.asked)
		}
	}
	r.wantCount(t, outcomeNotModified, 3)
}

func TestETagIsOffByDefault(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("If-None-Match") != "" {
			t.Error("a request has an ETag")
		}
		w.Header().Set("ETag", `"v1"`)
	})
	r := newRig(t, server)
	for range 2 {
		if _, err := r.sync(t.Context(), "a", "1"); err != nil {
			t.Fatal(err)
		}
	}
}

// What a call returns is its caller's.
func TestETagGivesCopies(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		_, _ = io.WriteString(w, "{}")
	})
	r := newRig(t, server, func(c *Config) { c.ETag = true })
	for range 3 {
		body, err := r.clients["sync"].call(t.Context(), "u", []byte("1"))
		if err != nil || string(body) != "{}" {
			t.Fatalf("call = %q, %v", body, err)
		}
		body[0] = 'x'
	}
}

func TestETagsAreBounded(t *testing.T) {
	const limit = 100 << 10
	e := newETags(limit)
	key := func(i int) etagKey { return keyOf("sync", types.UID(fmt.Sprint(i)), nil) }
	for i := range 1000 {
		e.put(key(i), `"v"`, make([]byte, 1000))
		e.get(key(0)) // the one that is used stays
	}
	if e.size > limit || e.size < limit/2 || len(e.byKey) != e.order.Len() {
		t.Errorf("%d bytes in %d answers, %d of them in order", e.size, len(e.byKey), e.order.Len())
	}
	if e.get(key(0)) == nil || e.get(key(1)) != nil || e.get(key(999)) == nil {
		t.Error("other answers than the least used ones are gone")
	}
	e.put(key(999), "", []byte("x"))
	e.put(key(998), strings.Repeat("v", maxETag+1), nil)
	e.put(key(997), `"v"`, make([]byte, limit/4))
	for i := 997; i < 1000; i++ {
		if e.get(key(i)) != nil {
			t.Errorf("answer %d is kept", i)
		}
	}
}
