package handlers_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/handlers"
)

const canary = "hunter2-canary"

// leaks reports whether s shows the canary as text or in hexadecimal.
func leaks(s string) bool {
	return strings.Contains(s, canary) || strings.Contains(strings.ToLower(s), fmt.Sprintf("%x", canary)) ||
		strings.Contains(s, "104 117 110")
}

func TestSecretValueIsRedactedByEveryVerb(t *testing.T) {
	v := handlers.NewSecretValue(canary)
	type open struct{ Token handlers.SecretValue }
	type closed struct{ token handlers.SecretValue }
	values := map[string]any{
		"value":              v,
		"pointer":            &v,
		"slice":              []handlers.SecretValue{v},
		"map":                map[string]handlers.SecretValue{"k": v},
		"exported field":     open{v},
		"unexported field":   closed{v},
		"pointer to struct":  &closed{v},
		"interface in slice": []any{v, &v},
	}
	for name, value := range values {
		for verb := rune('A'); verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "20", ".3"} {
				format := "%" + flags + string(verb)
				if got := fmt.Sprintf(format, value); leaks(got) {
					t.Errorf("%s: %s prints %s", name, format, got)
				}
			}
		}
	}
	for _, verb := range "vsqxXdTtbcoUeEfFgG" {
		if verb == 'T' {
			continue
		}
		if got := fmt.Sprintf("%"+string(verb), v); got != "[REDACTED]" {
			t.Errorf("%%%c prints %q", verb, got)
		}
	}
	if got := fmt.Errorf("signing in with %w and %v", os.ErrInvalid, v).Error(); got != "signing in with invalid argument and [REDACTED]" {
		t.Errorf("error: %q", got)
	}
}

func TestSecretValueIsRedactedByEveryEncoding(t *testing.T) {
	v := handlers.NewSecretValue(canary)
	holder := struct{ Token handlers.SecretValue }{v}
	outputs := map[string]func() (string, error){
		"json": func() (string, error) { b, err := json.Marshal(holder); return string(b), err },
		"json key": func() (string, error) {
			b, err := json.Marshal(map[string]any{"k": []any{v, &v}})
			return string(b), err
		},
		"yaml": func() (string, error) { b, err := yaml.Marshal(holder); return string(b), err },
		"xml":  func() (string, error) { b, err := xml.Marshal(holder.Token); return string(b), err },
		"slog json": func() (string, error) {
			var out bytes.Buffer
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "token", v, "holder", holder)
			return out.String(), nil
		},
		"slog text": func() (string, error) {
			var out bytes.Buffer
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "token", v, "holder", holder)
			return out.String(), nil
		},
		"funcr": func() (string, error) {
			var out strings.Builder
			funcr.New(func(_, args string) { out.WriteString(args) }, funcr.Options{}).Info("m", "token", v, "holder", holder)
			return out.String(), nil
		},
	}
	for name, encode := range outputs {
		got, err := encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if leaks(got) || !strings.Contains(got, "[REDACTED]") {
			t.Errorf("%s writes %s", name, got)
		}
	}
}

func TestSecretValueReveal(t *testing.T) {
	var zero handlers.SecretValue
	if zero.Reveal() != "" || zero.String() != "[REDACTED]" {
		t.Errorf("zero value reveals %q, prints %q", zero.Reveal(), zero)
	}
	v := handlers.NewSecretValue(canary)
	if v.Reveal() != canary {
		t.Errorf("Reveal = %q", v.Reveal())
	}
	if !v.Equal(handlers.NewSecretValue(canary)) || v.Equal(zero) || !zero.Equal(handlers.NewSecretValue("")) {
		t.Error("Equal does not compare the text")
	}
}

func TestSecretResolve(t *testing.T) {
	t.Setenv("KOOPERD_TEST_TOKEN", canary)
	t.Setenv("KOOPERD_TEST_EMPTY", "")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain": canary, "newline": canary + "\n", "crlf": canary + "\r\n", "cr": canary + "\r", "two": canary + "\n\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		secret  handlers.Secret
		want    string
		wantErr string
	}{
		"variable":          {secret: handlers.Secret{Env: "KOOPERD_TEST_TOKEN"}, want: canary},
		"empty variable":    {secret: handlers.Secret{Env: "KOOPERD_TEST_EMPTY"}},
		"unset variable":    {secret: handlers.Secret{Env: "KOOPERD_TEST_UNSET"}, wantErr: "reading secret: environment variable KOOPERD_TEST_UNSET is not set"},
		"file":              {secret: handlers.Secret{File: dir + "/plain"}, want: canary},
		"trailing newline":  {secret: handlers.Secret{File: dir + "/newline"}, want: canary},
		"trailing CRLF":     {secret: handlers.Secret{File: dir + "/crlf"}, want: canary},
		"lone CR is kept":   {secret: handlers.Secret{File: dir + "/cr"}, want: canary + "\r"},
		"one newline alone": {secret: handlers.Secret{File: dir + "/two"}, want: canary + "\n"},
		"missing file":      {secret: handlers.Secret{File: "/nowhere/token"}, wantErr: "reading secret: open /nowhere/token: no such file or directory"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tc.secret.Resolve()
			if tc.wantErr != "" {
				if err == nil || err.Error() != tc.wantErr {
					t.Errorf("Resolve = %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || got.Reveal() != tc.want {
				t.Errorf("Resolve = %q, %v, want %q", got.Reveal(), err, tc.want)
			}
		})
	}
}

func TestSecretIsReadAtEveryUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	secret := handlers.Secret{File: file}
	for _, want := range []string{"first", "rotated"} {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := secret.Resolve(); err != nil || got.Reveal() != want {
			t.Errorf("Resolve = %q, %v, want %q", got.Reveal(), err, want)
		}
	}
}

func TestSecretValidate(t *testing.T) {
	wrong := []handlers.Problem{{Path: "token", Message: `want exactly one of "env" and "file"`}}
	tests := map[string]struct {
		secret handlers.Secret
		want   []handlers.Problem
	}{
		"env":     {handlers.Secret{Env: "A"}, nil},
		"file":    {handlers.Secret{File: "/a"}, nil},
		"both":    {handlers.Secret{Env: "A", File: "/a"}, wrong},
		"neither": {handlers.Secret{}, wrong},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, tc.secret.Validate("token")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDuration(t *testing.T) {
	tests := map[string]struct {
		text string
		want time.Duration
		back string
	}{
		"seconds":  {"90s", 90 * time.Second, "1m30s"},
		"compound": {"1h30m", 90 * time.Minute, "1h30m0s"},
		"fraction": {"1.5s", 1500 * time.Millisecond, "1.5s"},
		"micro":    {"100us", 100 * time.Microsecond, "100µs"},
		"zero":     {"0s", 0, "0s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var d handlers.Duration
			if err := d.UnmarshalText([]byte(tc.text)); err != nil || time.Duration(d) != tc.want {
				t.Fatalf("UnmarshalText = %v, %v, want %v", time.Duration(d), err, tc.want)
			}
			back, err := d.MarshalText()
			if err != nil || string(back) != tc.back {
				t.Errorf("MarshalText = %s, %v, want %s", back, err, tc.back)
			}
			var again handlers.Duration
			if err := again.UnmarshalText(back); err != nil || again != d {
				t.Errorf("round trip = %v, %v", again, err)
			}
		})
	}
	d := handlers.Duration(time.Second)
	for _, bad := range []string{"", "5", "5 minutes", "soon"} {
		if err := d.UnmarshalText([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "reading duration: ") {
			t.Errorf("UnmarshalText(%q) = %v", bad, err)
		}
	}
	if d != handlers.Duration(time.Second) {
		t.Error("a bad text changed the duration")
	}
}
