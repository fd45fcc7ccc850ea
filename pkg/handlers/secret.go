package handlers

import (
	"crypto/subtle"
	"fmt"
	"os"
	"strings"
	"time"
)

// Secret is a reference to a secret value, #Secret in a plugin's schema. The value is read when it
// is used and never stands in the config, so a Secret itself may be printed.
type Secret struct {
	// Env names an environment variable of the daemon.
	Env string `json:"env,omitempty"`
	// File is an absolute path, read anew at every use.
	File string `json:"file,omitempty"`
}

// Validate reports a reference that names no source or two. path is where the reference stands in
// the plugin's config.
func (s Secret) Validate(path string) []Problem {
	if (s.Env == "") == (s.File == "") {
		return []Problem{{Path: path, Message: `want exactly one of "env" and "file"`}}
	}
	return nil
}

// Resolve reads the value. An unset variable and an unreadable file are errors, which name the
// source and never the value.
func (s Secret) Resolve() (SecretValue, error) {
	if s.File == "" {
		v, ok := os.LookupEnv(s.Env)
		if !ok {
			return SecretValue{}, fmt.Errorf("reading secret: environment variable %s is not set", s.Env)
		}
		return NewSecretValue(v), nil
	}
	b, err := os.ReadFile(s.File)
	if err != nil {
		return SecretValue{}, fmt.Errorf("reading secret: %w", err)
	}
	text, cut := strings.CutSuffix(string(b), "\n")
	if cut {
		text = strings.TrimSuffix(text, "\r")
	}
	return NewSecretValue(text), nil
}

// SecretValue is a secret that prints as [REDACTED] in every format verb and encoding, and as an
// address inside an unexported field, where package fmt calls no methods. Reveal gives the text.
// The zero SecretValue is the empty text.
type SecretValue struct {
	// reveal is a function and not a string because fmt prints strings by reflection in two cases
	// that no method can prevent: the verb %p, and unexported fields.
	reveal func() string
}

const redacted = "[REDACTED]"

// NewSecretValue makes a SecretValue of text, for tests and for secrets that come from elsewhere
// than a Secret.
func NewSecretValue(text string) SecretValue {
	return SecretValue{reveal: func() string { return text }}
}

// Reveal returns the secret text.
func (v SecretValue) Reveal() string {
	if v.reveal == nil {
		return ""
	}
	return v.reveal()
}

// Equal reports whether both hold the same text, in a time that depends on its length alone.
func (v SecretValue) Equal(other SecretValue) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(other.Reveal())) == 1
}

// String returns [REDACTED].
func (v SecretValue) String() string { return redacted }

// GoString returns [REDACTED].
func (v SecretValue) GoString() string { return redacted }

// Format writes [REDACTED] for every verb, %x included.
func (v SecretValue) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns [REDACTED].
func (v SecretValue) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Duration is a time.Duration that is written as text in a config, "1m30s": #Duration in a plugin's
// schema.
type Duration time.Duration

// MarshalText writes the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("reading duration: %w", err)
	}
	*d = Duration(v)
	return nil
}
