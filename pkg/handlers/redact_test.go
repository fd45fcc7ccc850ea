package handlers_test

import (
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestRedact(t *testing.T) {
	handlers.Redact(t.Context(), handlers.NewSecretValue("nobody asks for it"))
	var got []string
	ctx := handlers.WithRedaction(t.Context(), func(secrets ...handlers.SecretValue) {
		for _, secret := range secrets {
			got = append(got, secret.Reveal())
		}
	})
	handlers.Redact(ctx, handlers.NewSecretValue("one"), handlers.NewSecretValue("two"))
	if len(got) != 2 || got[0] != "one" || got[1] != "two" {
		t.Errorf("taken: %q", got)
	}
}
