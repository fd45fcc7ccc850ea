//go:build unix

package exec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStartErrorsSayWhy(t *testing.T) {
	tests := map[string]struct {
		program string
		want    string
	}{
		"CRLF":           {"#!/bin/sh\r\necho\r\n", "no such file or directory: it is a script with CRLF line endings: write it with LF alone"},
		"no interpreter": {"#! /usr/bin/no-such-shell -e\n", "no such file or directory: its interpreter /usr/bin/no-such-shell does not exist"},
		"no #!":          {"echo hello\n", "exec format error: it is neither an executable nor a script that begins with #!, such as #!/bin/sh"},
		"empty":          {"", "exec format error: it is empty"},
		"another system": {"\x7fELF and so on\n", "exec format error: it was built for another system or processor"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(program, []byte(tc.program), 0o700); err != nil {
				t.Fatal(err)
			}
			h, _ := newHandler(t, config{"command": []string{program}})
			_, err := h.Handle(t.Context(), request(t))
			if want := "starting " + program + ": fork/exec " + program + ": " + tc.want; err == nil || err.Error() != want {
				t.Errorf("Handle = %v, want %q", err, want)
			}
		})
	}
	t.Run("the working directory has gone", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		h, _ := newHandler(t, config{"command": []string{"/bin/true"}, "dir": dir})
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		_, err := h.Handle(t.Context(), request(t))
		if want := ": the working directory " + dir + " does not exist"; err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Handle = %v, want %q", err, want)
		}
	})
}
