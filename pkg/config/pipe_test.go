package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kooperd.dev/kooperd/pkg/config"
)

// stdin makes a pipe with a text in it standard input.
func stdin(t *testing.T, text string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = r
	t.Cleanup(func() { os.Stdin = before; _ = r.Close() })
}

// TestStdin reads every language from a pipe, where no name says which it is, and bad ones by the
// rules of the language that their author most probably meant.
func TestStdin(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"CUE":            {text: "import \"strings\"\napiVersion: \"kooperd.dev/v1alpha1\"\ncontrollers: {}\n_x: strings.ToUpper(\"a\")"},
		"CUE comment":    {text: "// a\napiVersion: \"kooperd.dev/v1alpha1\"\n#A: 1\ncontrollers: {}"},
		"YAML":           {text: "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}"},
		"YAML comment":   {text: "# a\napiVersion: \"kooperd.dev/v1alpha1\"\ncontrollers: {}"},
		"YAML in quotes": {text: "\"apiVersion\": 'kooperd.dev/v1alpha1'\ncontrollers: {}"},
		"YAML document":  {text: "---\napiVersion: \"kooperd.dev/v1alpha1\"\ncontrollers: {}"},
		"JSON":           {text: "{\"apiVersion\": \"kooperd.dev/v1alpha1\", \"controllers\": {}}"},
		"broken CUE":     {"apiVersion: \"kooperd.dev/v1alpha1\"\n_x: {", "-:2:6: expected '}', found 'EOF'"},
		"broken YAML":    {"apiVersion: kooperd.dev/v1alpha1\ncontrollers: [", "-:2:15: not YAML: did not find expected node content while parsing a flow node"},
		"broken JSON":    {"{\"apiVersion\": 1,}", "-:1:18: not JSON: invalid character '}' looking for beginning of object key string; JSON allows no comma behind the last entry"},
		"nothing":        {"", "-:1:1: apiVersion: required field is missing; write apiVersion: \"kooperd.dev/v1alpha1\"\n-:1:1: controllers: required field is missing"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			stdin(t, tc.text)
			cfg, err := load(t, "-")
			have := ""
			if err != nil {
				have = err.Error()
			} else if diff := cmp.Diff([]string{"-"}, cfg.Files); diff != "" {
				t.Errorf("files (-want +have):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// TestStdinOnce names standard input twice, and a file beside it.
func TestStdinOnce(t *testing.T) {
	stdin(t, "controllers: a: {watch: {apiVersion: \"v1\", kind: \"Pod\"}, handler: log: {}}")
	cfg := mustLoad(t, "/dev/stdin", write(t, "f.yaml", "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n"), "-")
	if len(cfg.Definitions) != 1 || len(cfg.Files) != 2 {
		t.Errorf("have %d definitions of %q", len(cfg.Definitions), cfg.Files)
	}
}

// TestNamedPipe reads what another process writes, and waits for it no longer than its context
// lasts.
func TestNamedPipe(t *testing.T) {
	pipe, silent := filepath.Join(t.TempDir(), "pipe"), filepath.Join(t.TempDir(), "silent")
	for _, name := range []string{pipe, silent} {
		if err := unix.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone := errors.New("the caller has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := config.Load(ctx, []string{silent}, config.Options{Registry: testRegistry(t)})
		ended <- err
	}()
	w, err := os.OpenFile(silent, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel(gone)
	if err := <-ended; !errors.Is(err, gone) {
		t.Errorf("Load returned %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- os.WriteFile(pipe, []byte("apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n"), 0)
	}()
	mustLoad(t, pipe)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
