package webhook

import (
	"net/http"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func TestAuth(t *testing.T) {
	t.Setenv("HOOK_TOKEN", "from-env")
	password := secretFile(t, "open sesame\n")
	tests := map[string]struct {
		auth *Auth
		want string
	}{
		"none":                {nil, ""},
		"token of a variable": {&Auth{Bearer: &handlers.Secret{Env: "HOOK_TOKEN"}}, "Bearer from-env"},
		"token of a file":     {&Auth{Bearer: secretFile(t, "from-file\n")}, "Bearer from-file"},
		"password":            {&Auth{Basic: &Basic{Username: "ali", Password: *password}}, "Basic YWxpOm9wZW4gc2VzYW1l"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			server := serve(t, func(_ http.ResponseWriter, req *http.Request) { got = req.Header.Get("Authorization") })
			r := newRig(t, server, func(c *Config) { c.Auth = tc.auth })
			if _, err := r.sync(t.Context(), "u", "{}"); err != nil || got != tc.want {
				t.Errorf("Authorization is %q, want %q: %v", got, tc.want, err)
			}
		})
	}
}

func TestAuthIsReadAgain(t *testing.T) {
	got := ""
	server := serve(t, func(_ http.ResponseWriter, req *http.Request) { got = req.Header.Get("Authorization") })
	secret := secretFile(t, "first")
	r := newRig(t, server, func(c *Config) { c.Auth = &Auth{Bearer: secret} })
	for _, token := range []string{"first", "second"} {
		write(t, secret.File, token)
		if _, err := r.sync(t.Context(), "u", "{}"); err != nil || got != "Bearer "+token {
			t.Errorf("Authorization is %q: %v", got, err)
		}
	}
	for _, bad := range []string{"", "two lines\nof it", "café"} {
		got = ""
		write(t, secret.File, bad)
		_, err := r.sync(t.Context(), "u", "{}")
		if err == nil || got != "" || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("token %q: err = %v, sent %q", bad, err, got)
		}
	}
	if r.clients["sync"].breaker.failures > 0 {
		t.Error("what is no fault of the hook counts as one")
	}
}

func TestMissingSecret(t *testing.T) {
	c := defaults()
	c.Auth = &Auth{Bearer: &handlers.Secret{Env: "HOOK_TOKEN_THAT_IS_NOT_SET"}}
	_, err := newCaller(handlerstest.Env(t), &c, newClock().Now)
	if err == nil || !strings.Contains(err.Error(), "HOOK_TOKEN_THAT_IS_NOT_SET is not set") {
		t.Errorf("err = %v", err)
	}
}
