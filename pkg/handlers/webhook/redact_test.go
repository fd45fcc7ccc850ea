package webhook

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/hook"
)

// TestCredentialsAreRedacted looks at what the caller of a composer is told to redact, which an
// answer that is JSON may be quoted with.
func TestCredentialsAreRedacted(t *testing.T) {
	for name, tc := range map[string]struct {
		auth *Auth
		want []string
	}{
		"token": {&Auth{Bearer: secretFile(t, "s3cret-token")}, []string{"s3cret-token"}},
		"password": {
			&Auth{Basic: &Basic{Username: "ali", Password: *secretFile(t, "open sesame")}},
			[]string{base64.StdEncoding.EncodeToString([]byte("ali:open sesame")), "open sesame"},
		},
	} {
		var secrets []string
		ctx := handlers.WithRedaction(t.Context(), func(values ...handlers.SecretValue) {
			for _, value := range values {
				secrets = append(secrets, value.Reveal())
			}
		})
		r := newRig(t, serve(t, answer(http.StatusOK, "{}")), func(c *Config) { c.Auth = tc.auth })
		if _, err := r.sync(ctx, "u", "{}"); err != nil || !slices.Equal(secrets, tc.want) {
			t.Errorf("%s: to be redacted are %q, want %q: %v", name, secrets, tc.want, err)
		}
	}
}

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
