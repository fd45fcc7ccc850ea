package webhook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/hook"
)

// TestAnswersGiveNothingAway has hooks that give the credentials back where a request cannot have
// gone wrong: in an answer with the status 200 that is no JSON, and in the text of a status.
func TestAnswersGiveNothingAway(t *testing.T) {
	const token = "s3cret-token"
	for name, hooked := range map[string]http.HandlerFunc{
		"body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "<p>%s</p>", r.Header.Get("Authorization"))
		},
		"status": func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 422 %s\r\nContent-Length: 0\r\n\r\n", r.Header.Get("Authorization"))
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, serve(t, hooked), func(c *Config) { c.Auth = &Auth{Bearer: secretFile(t, token)} })
			parent := handlerstest.Object(t, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "1"}}`)
			_, err := r.Call(t.Context(), hook.Call{Hook: hook.Sync, Parent: parent, Body: []byte("{}")})
			if err == nil || strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "Bearer "+redacted) {
				t.Errorf("the error is %v, want one with %s in it", err, redacted)
			}
		})
	}
}
