package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"kooperd.dev/kooperd/pkg/handlers"
)

// redacted stands for a credential.
const redacted = "[REDACTED]"

// credentials are what one request is authenticated with.
type credentials struct {
	// header is the value of Authorization; empty for none.
	header string
	// secrets are not to be seen in errors. The longest come first.
	secrets []string
}

// resolve reads the credentials as they are now.
func (a *Auth) resolve() (credentials, error) {
	if a == nil {
		return credentials{}, nil
	}
	secret := a.Bearer
	if secret == nil {
		secret = &a.Basic.Password
	}
	value, err := secret.Resolve()
	switch {
	case err != nil:
		return credentials{}, err
	case a.Basic != nil:
		return basic(a.Basic.Username, value), nil
	}
	token := value.Reveal()
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return credentials{}, errors.New("reading the token: it is empty, or has characters in it that no token has")
	}
	return credentials{header: "Bearer " + token, secrets: []string{token}}, nil
}

func basic(username string, password handlers.SecretValue) credentials {
	encoded := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s:%s", username, password.Reveal()))
	c := credentials{header: "Basic " + encoded, secrets: []string{encoded}}
	if password.Reveal() != "" {
		c.secrets = append(c.secrets, password.Reveal())
	}
	return c
}
