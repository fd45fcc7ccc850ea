package page

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/server/page/pagetest"
)

// reply is an answer.
type reply struct {
	code   int
	header http.Header
	text   string
}

// get asks a handler for a path.
func get(t *testing.T, h http.Handler, path string) reply {
	t.Helper()
	return send(t, h, http.MethodGet, path)
}

func send(t *testing.T, h http.Handler, method, path string) reply {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
	return reply{w.Code, w.Header(), w.Body.String()}
}

// getJSON asks for a path and reads the answer.
func getJSON(t *testing.T, h http.Handler, path string, value any) {
	t.Helper()
	got := get(t, h, path)
	if got.code != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: status %d, type %q: %s", path, got.code, got.header.Get("Content-Type"), got.text)
	}
	decoder := json.NewDecoder(strings.NewReader(got.text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func everything() *Handler { return New(pagetest.Everything(), logr.Discard()) }
