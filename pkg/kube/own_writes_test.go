package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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

// request sends a request through own and reads the answer.
func (w *ConsistencyStore) request(t *testing.T, method string, answer answering) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://api", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.Wrap(answer).RoundTrip(req)
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
	return answering{code: 200, body: fmt.Sprintf(`{"apiVersion":"v1","kind":%q,"metadata":{"namespace":"a","name":%q,"resourceVersion":%q}}`, kind, name, version)}
}

func TestOwnWrites(t *testing.T) {
	key := Key{Namespace: "a", Name: "x"}
	tests := map[string]struct {
		method string
		answer answering
		waits  bool // for version 7
	}{
		"patch":                {http.MethodPatch, written("Pod", "x", "7"), true},
		"update":               {http.MethodPut, written("Pod", "x", "7"), true},
		"create":               {http.MethodPost, written("Pod", "x", "7"), true},
		"read":                 {http.MethodGet, written("Pod", "x", "7"), false},
		"another kind":         {http.MethodPatch, written("Node", "x", "7"), false},
		"another object":       {http.MethodPatch, written("Pod", "y", "7"), false},
		"refused":              {http.MethodPatch, answering{code: 409, body: written("Pod", "x", "7").body}, false},
		"no answer":            {http.MethodPatch, answering{err: errors.New("reset")}, false},
		"no object":            {http.MethodPost, answering{code: 201, body: `{"kind":"Status"`}, false},
		"a version of its own": {http.MethodPatch, written("Pod", "x", "abc"), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := NewConsistencyStore(podKind)
			w.request(t, tc.method, tc.answer)
			if caught := w.Ready(key, "6"); caught == tc.waits {
				t.Errorf("version 6 is new enough: %t", caught)
			}
			if !w.Ready(key, "7") || !w.Ready(key, "6") {
				t.Error("version 7 is not new enough, or is waited for again")
			}
		})
	}
}

func TestOwnWritesKeepTheNewest(t *testing.T) {
	w := NewConsistencyStore(podKind)
	for _, version := range []string{"9", "8"} { // answers may overtake each other
		w.request(t, http.MethodPatch, written("Pod", "x", version))
	}
	if w.Ready(Key{Namespace: "a", Name: "x"}, "8") {
		t.Error("version 8 is new enough after 9 was written")
	}
}

// Nobody asks for objects that the definition does not see; they must not add up. And nobody waits for ever.
func TestOwnWritesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewConsistencyStore(podKind)
		w.request(t, http.MethodPatch, written("Pod", "x", "7"))
		time.Sleep(ownWriteLimit) // Nobody asks yet.
		var waited time.Duration
		for ; !w.Ready(Key{Namespace: "a", Name: "x"}, "1") && waited < time.Minute; waited += time.Second {
			time.Sleep(time.Second)
			w.request(t, http.MethodPatch, written("Pod", "x", fmt.Sprint(8+waited/time.Second)))
		}
		if waited != ownWriteLimit {
			t.Errorf("an object that is written all the time is kept back for %s, want %s", waited, ownWriteLimit)
		}
		for i := range 20 * minOwnWrites {
			w.request(t, http.MethodPatch, written("Pod", fmt.Sprint("pod-", i), "7"))
			time.Sleep(ownWriteLimit / minOwnWrites)
		}
		if n := len(w.after); n > 3*minOwnWrites {
			t.Errorf("%d writes are remembered", n)
		}
	})
}
