//go:build unix

package exec_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// lines returns what was logged of a program's output, as stream: line.
func lines(logs *handlerstest.Logs) []string {
	var found []string
	for _, e := range logs.Entries() {
		text := fmt.Sprint(e.Values["line"])
		if e.Message == "program output not logged" {
			text = fmt.Sprintf("(%v bytes not logged)", e.Values["bytes"])
		}
		found = append(found, fmt.Sprintf("%v: %s", e.Values["stream"], text))
	}
	return found
}

func TestOutputIsLogged(t *testing.T) {
	tests := map[string]struct {
		script string
		change config
		want   []string
	}{
		"lines": {
			script: `echo one; echo; echo "  two"; printf three`,
			want:   []string{"stdout: one", "stdout:   two", "stdout: three"},
		},
		"standard error": {
			script: `echo oops >&2`,
			want:   []string{"stderr: oops"},
		},
		"CRLF and bytes that are no text": {
			script: `printf 'a\r\n\377\376b\n'`,
			want:   []string{"stdout: a", "stdout: �b"},
		},
		"cut in a line, and no shorter one after it": {
			script: `echo 12345; echo 12345; echo 1; echo 2`,
			change: config{"maxOutput": 9},
			want:   []string{"stdout: 12345", "stdout: 1234", "stdout: (3 bytes not logged)"},
		},
		"cut in the first line": {
			script: `echo 12345`,
			change: config{"maxOutput": 3},
			want:   []string{"stdout: 123", "stdout: (2 bytes not logged)"},
		},
		"cut before a character": {
			script: `echo "aé"`,
			change: config{"maxOutput": 2},
			want:   []string{"stdout: a", "stdout: (2 bytes not logged)"},
		},
		"nothing": {
			script: `echo 12345`,
			change: config{"maxOutput": 0},
			want:   []string{"stdout: (5 bytes not logged)"},
		},
		"off": {
			script: `echo 12345`,
			change: config{"outputLevel": "off"},
		},
		"long line": {
			script: `printf '%05000d\n' 7; echo next`,
			want:   []string{"stdout: " + strings.Repeat("0", 4096), "stdout: next", "stdout: (904 bytes not logged)"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := config{"command": []string{"/bin/sh", "-c", tc.script}}
			maps.Copy(c, tc.change)
			h, logs := newHandler(t, c)
			if _, err := h.Handle(t.Context(), request(t)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, lines(logs)); diff != "" {
				t.Errorf("logged (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOutputGoesToTheLoggerOfTheCall(t *testing.T) {
	for level, want := range map[string]int{"info": 0, "debug": 1} {
		h, own := newHandler(t, config{"command": []string{"echo", "hello"}, "outputLevel": level})
		call := handlerstest.NewLogs(t)
		ctx := logr.NewContext(t.Context(), call.Logger().WithValues("call", "c1"))
		if _, err := h.Handle(ctx, request(t)); err != nil {
			t.Fatal(err)
		}
		wantEntry := []handlerstest.LogEntry{{
			Level: want, Message: "program output", Values: map[string]any{"call": "c1", "stream": "stdout", "line": "hello"},
		}}
		if diff := cmp.Diff(wantEntry, call.Entries()); diff != "" {
			t.Errorf("%s: logged (-want +got):\n%s", level, diff)
		}
		if n := len(own.Entries()); n != 0 {
			t.Errorf("%s: %d lines went to the logger of the definition", level, n)
		}
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	const key = "-----BEGIN KEY-----\nMIIBVgIBADANBgkq\nhkiG9w0BAQEFAASC\n}\n-----END KEY-----\n"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("s3cret!", 500) // 3500 bytes
	t.Setenv("EXEC_TEST_TOKEN", "hunter2")
	t.Setenv("EXEC_TEST_TOKEN_PLUS", "hunter2plus")
	t.Setenv("EXEC_TEST_LONG", long)
	t.Setenv("EXEC_TEST_EMPTY", "")
	secret := func(name string) map[string]string { return map[string]string{"env": name} }
	tests := map[string]struct {
		script string
		want   []string
	}{
		"in a line":             {`echo "token=$TOKEN;"`, []string{"stdout: token=[REDACTED];"}},
		"several":               {`echo "$TOKEN$TOKEN $PLUS"`, []string{"stdout: [REDACTED][REDACTED] [REDACTED]"}},
		"written in two pieces": {`printf hun; sleep 0.1; echo ter2`, []string{"stdout: [REDACTED]"}},
		"of several lines": {`echo "$KEY"`, []string{
			"stdout: [REDACTED]", "stdout: [REDACTED]", "stdout: [REDACTED]", "stdout: }", "stdout: [REDACTED]",
		}},
		"across the end of a long line": {`printf '%04000d' 0; echo "$LONG"`, []string{
			"stdout: " + strings.Repeat("0", 4000) + "[REDACTED]",
		}},
		"many in a long line": {`echo "$LONG$LONG$LONG$LONG"`, []string{
			"stdout: [REDACTED][REDACTED]", "stdout: (6404 bytes not logged)",
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h, logs := newHandler(t, config{
				"command": []string{"/bin/sh", "-c", tc.script + "; exec >&2; " + tc.script + "; exit 1"},
				"secretEnv": map[string]any{
					"TOKEN": secret("EXEC_TEST_TOKEN"), "PLUS": secret("EXEC_TEST_TOKEN_PLUS"), "LONG": secret("EXEC_TEST_LONG"),
					"EMPTY": secret("EXEC_TEST_EMPTY"), "KEY": map[string]string{"file": file},
				},
			})
			_, err := h.Handle(t.Context(), request(t))
			if err == nil {
				t.Fatal("Handle succeeded")
			}
			var got []string
			for _, line := range lines(logs) {
				if strings.HasPrefix(line, "stdout") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("logged (-want +got):\n%s", diff)
			}
			everything := err.Error() + strings.Join(lines(logs), "\n")
			for _, piece := range []string{"hunter2", "s3cret", "MIIB", "hkiG", "BEGIN"} {
				if strings.Contains(everything, piece) {
					t.Errorf("%q gets out: %s", piece, everything)
				}
			}
		})
	}
}

func TestEndlessOutputCostsNoMemory(t *testing.T) {
	const size = 512 // MiB on each stream
	for _, form := range []string{"lines", "flat"} {
		t.Run(form, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "done")
			c := program(t, "spew", file, fmt.Sprint(size), form)
			c["exitCodes"] = map[string]any{"terminal": []int{7}}
			h, logs := newHandler(t, c)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := h.Handle(t.Context(), request(t)); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.Sys) - int64(before.Sys); grown > 64<<20 {
				t.Errorf("memory grew by %d MiB", grown>>20)
			}
			if b, err := os.ReadFile(file); err != nil || string(b) != "done\n" {
				t.Errorf("the program did not come to its end: %q, %v", b, err)
			}
			kept := 0
			for _, e := range logs.Entries() {
				line, _ := e.Values["line"].(string)
				kept += len(line)
			}
			if most := 2 * 64 << 10; kept == 0 || kept > most {
				t.Errorf("%d bytes were logged, want some and at most %d", kept, most)
			}
		})
	}
}
