//go:build unix

package exec_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/exec"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

const configMap = `
apiVersion: v1
kind: ConfigMap
metadata: {namespace: shop, name: cart, uid: u-1, resourceVersion: "42"}
data: {key: value}
`

func TestPlugin(t *testing.T) {
	t.Setenv("EXEC_TEST_TOKEN", "hunter2")
	handlerstest.Check(t, exec.Plugin, handlerstest.Options{
		Configs: map[string]string{
			"shortest": `{"command":["true"]}`,
			"failing":  `{"command":["/bin/sh","-c","echo no; exit 3"],"exitCodes":{"terminal":[3]}}`,
			"full": `{"command":["cat"],"env":{"A":"b"},"passEnv":["HOME"],"secretEnv":{"TOKEN":{"env":"EXEC_TEST_TOKEN"}},
				"dir":"/tmp","timeout":"30s","grace":"0s","outputLevel":"debug","maxOutput":0,"exitCodes":{"success":[1],"terminal":[2]}}`,
			"finalizing": `{"command":["true"],"finalize":{"command":["false"]}}`,
			"endless":    `{"command":["sleep","3600"],"timeout":"100ms","grace":"10ms","outputLevel":"off"}`,
		},
		Objects: []handlers.Object{handlerstest.Object(t, configMap)},
	})
}

// config is a config of the plugin, written as JSON.
type config map[string]any

// program returns a config that runs one of the programs of this test binary, which tells what it
// has to in file.
func program(t *testing.T, name, file string, args ...string) config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return config{
		"command": append([]string{self}, args...),
		"env":     map[string]string{programVariable: name, fileVariable: file},
	}
}

// newHandler makes a handler, with what it logs.
func newHandler(t *testing.T, c config) (handlers.Handler, *handlerstest.Logs) {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	logs := handlerstest.NewLogs(t)
	return handlerstest.New(t, exec.Plugin, string(raw), func(env *handlers.Env) {
		env.Definition, env.Logger = "carts", logs.Logger()
	}), logs
}

func request(t *testing.T) handlers.Request {
	t.Helper()
	return handlers.Request{Object: handlerstest.Object(t, configMap), Cause: handlers.CauseRetry, Attempt: 2}
}

// readReport reads what the program "report" has told.
func readReport(t *testing.T, file string) told {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r told
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProgramGetsTheObjectAndAnAllowedEnvironment(t *testing.T) {
	for i := range 10_000 { // many, because nothing but the allow-list may get through
		t.Setenv(fmt.Sprintf("EXEC_TEST_NOISE_%d", i), "noise")
	}
	t.Setenv("EXEC_TEST_PASSED", "passed on")
	t.Setenv("EXEC_TEST_TOKEN", "hunter2")
	secretFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secretFile, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, dir := filepath.Join(t.TempDir(), "report"), t.TempDir()
	args := []string{"--flag", "two words", "; rm -rf /", "$(id)", "a\nb", "-", ""}
	c := program(t, "report", file, args...)
	c["dir"] = dir
	c["passEnv"] = []string{"EXEC_TEST_PASSED", "EXEC_TEST_UNSET"}
	c["secretEnv"] = map[string]any{"TOKEN": map[string]string{"env": "EXEC_TEST_TOKEN"}, "KEY": map[string]string{"file": secretFile}}
	h, _ := newHandler(t, c)
	req := request(t)
	if _, err := h.Handle(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	input, err := req.Object.JSON()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(input)
	want := told{
		Args: args, Dir: dir, Bytes: len(input), SHA256: hex.EncodeToString(sum[:]), Name: "cart", Leader: true,
		Env: []string{
			programVariable + "=report", fileVariable + "=" + file,
			"EXEC_TEST_PASSED=passed on", "TOKEN=hunter2", "KEY=from a file",
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"KOOPERD_DEFINITION=carts", "KOOPERD_API_VERSION=v1", "KOOPERD_KIND=ConfigMap", "KOOPERD_NAMESPACE=shop",
			"KOOPERD_NAME=cart", "KOOPERD_UID=u-1", "KOOPERD_RESOURCE_VERSION=42", "KOOPERD_CAUSE=retry", "KOOPERD_ATTEMPT=2",
		},
	}
	slices.Sort(want.Env)
	if diff := cmp.Diff(want, readReport(t, file)); diff != "" {
		t.Errorf("the program was given (-want +got):\n%s", diff)
	}
}

func TestPathCanBeGivenOrPassed(t *testing.T) {
	t.Setenv("PATH", "/from/the/daemon:"+os.Getenv("PATH"))
	tests := map[string]struct {
		change func(c config, env map[string]string)
		want   string
	}{
		"given":  {func(_ config, env map[string]string) { env["PATH"] = "/given" }, "PATH=/given"},
		"passed": {func(c config, _ map[string]string) { c["passEnv"] = []string{"PATH"} }, "PATH=" + os.Getenv("PATH")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report")
			c := program(t, "report", file)
			tc.change(c, c["env"].(map[string]string))
			h, _ := newHandler(t, c)
			if _, err := h.Handle(t.Context(), request(t)); err != nil {
				t.Fatal(err)
			}
			if got := readReport(t, file).Env; !slices.Contains(got, tc.want) {
				t.Errorf("environment %v has no %s", got, tc.want)
			}
		})
	}
}

func TestHostileObjectReachesStandardInputAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report")
	h, _ := newHandler(t, program(t, "report", file, "--", "fixed"))
	for name, data := range map[string]string{
		"shell": `"; touch /tmp/injected; $(id)"`, "newline": `"a\nb"`, "nul": `"a\u0000b"`, "dash": `"--help"`,
		"2 MiB": `"` + strings.Repeat("x", 2<<20) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			o := handlerstest.Object(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"hostile"},"data":{"a":`+data+`}}`)
			if _, err := h.Handle(t.Context(), handlers.Request{Object: o}); err != nil {
				t.Fatal(err)
			}
			got, want := readReport(t, file), []string{"--", "fixed"}
			if diff := cmp.Diff(want, got.Args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			if input, _ := o.JSON(); got.Bytes != len(input) {
				t.Errorf("the program read %d bytes, want %d", got.Bytes, len(input))
			}
		})
	}
}

func TestNameWithNULIsTerminal(t *testing.T) {
	h, _ := newHandler(t, config{"command": []string{"true"}})
	o := handlerstest.Object(t, `{"apiVersion":"v1","kind":"X","metadata":{"name":"a\u0000b"}}`)
	_, err := h.Handle(t.Context(), handlers.Request{Object: o})
	want := "setting KOOPERD_NAME: the object's value contains a NUL byte, which cannot be given to a program"
	if !handlers.IsTerminal(err) || err.Error() != want {
		t.Errorf("Handle = %v, want the terminal error %q", err, want)
	}
}

func TestLargeInputIsNotReadByEveryProgram(t *testing.T) {
	o := handlerstest.Object(t, `{"apiVersion":"v1","kind":"X","metadata":{"name":"large"},"data":"`+strings.Repeat("x", 2<<20)+`"}`)
	for name, script := range map[string]string{"ignores it": "exit 0", "closes it": "exec <&-; exit 0", "reads a little": "read -r x <&0 & exit 0"} {
		t.Run(name, func(t *testing.T) {
			h, _ := newHandler(t, config{"command": []string{"sh", "-c", script}})
			if _, err := h.Handle(t.Context(), handlers.Request{Object: o}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	tests := map[string]struct {
		script   string
		want     string
		terminal bool
	}{
		"0":             {script: "exit 0"},
		"listed":        {script: "echo fine >&2; exit 10"},
		"retried":       {script: "exit 1", want: "running %s: exit status 1"},
		"with message":  {script: "echo out; echo first >&2; echo 'disk full' >&2; echo >&2; exit 1", want: "running %s: exit status 1: disk full"},
		"no newline":    {script: "printf 'disk full' >&2; exit 1", want: "running %s: exit status 1: disk full"},
		"terminal":      {script: "echo 'bad spec' >&2; exit 20", want: "running %s: exit status 20: bad spec", terminal: true},
		"signal":        {script: "kill -SEGV $$", want: "running %s: signal: segmentation fault"},
		"killed itself": {script: "kill -KILL $$", want: "running %s: signal: killed"},
		"long message":  {script: "printf '%01000d' 7 >&2; exit 1", want: "running %s: exit status 1: " + strings.Repeat("0", 256)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h, _ := newHandler(t, config{
				"command":   []string{"/bin/sh", "-c", tc.script},
				"exitCodes": map[string]any{"success": []int{10, 11}, "terminal": []int{20}},
			})
			_, err := h.Handle(t.Context(), request(t))
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want := fmt.Sprintf(tc.want, "/bin/sh")
			if err == nil || strings.TrimSuffix(err.Error(), " (core dumped)") != want || handlers.IsTerminal(err) != tc.terminal {
				t.Errorf("Handle = %v (terminal %v), want %q (%v)", err, handlers.IsTerminal(err), want, tc.terminal)
			}
		})
	}
}

func TestTooLongEnvironment(t *testing.T) {
	t.Setenv("EXEC_TEST_TOKEN", strings.Repeat("x", 200_000))
	h, _ := newHandler(t, config{"command": []string{"/bin/true"}, "secretEnv": map[string]any{"TOKEN": map[string]string{"env": "EXEC_TEST_TOKEN"}}})
	_, err := h.Handle(t.Context(), request(t))
	if want := "starting /bin/true: fork/exec /bin/true: argument list too long"; err == nil || err.Error() != want {
		t.Errorf("Handle = %v, want %q", err, want)
	}
}

func TestSecretErrors(t *testing.T) {
	nul := filepath.Join(t.TempDir(), "nul")
	if err := os.WriteFile(nul, []byte("hunter2\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		secret map[string]string
		want   string
	}{
		"unset": {map[string]string{"env": "EXEC_TEST_UNSET"}, "setting TOKEN: reading secret: environment variable EXEC_TEST_UNSET is not set"},
		"nul":   {map[string]string{"file": nul}, "setting TOKEN: the secret contains a NUL byte, which cannot be given to a program"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h, _ := newHandler(t, config{"command": []string{"true"}, "secretEnv": map[string]any{"TOKEN": tc.secret}})
			_, err := h.Handle(t.Context(), request(t))
			if err == nil || err.Error() != tc.want || handlers.IsTerminal(err) {
				t.Errorf("Handle = %v, want %q to be retried", err, tc.want)
			}
		})
	}
}

func TestNewLooksUpTheProgram(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		config config
		want   string
	}{
		"not in PATH":      {config{"command": []string{"no-such-program"}}, `looking up the program: exec: "no-such-program": executable file not found in $PATH`},
		"not there":        {config{"command": []string{"/nowhere/p"}}, `looking up the program: exec: "/nowhere/p": stat /nowhere/p: no such file or directory`},
		"not executable":   {config{"command": []string{plain}}, `looking up the program: exec: "` + plain + `": permission denied`},
		"no directory":     {config{"command": []string{"true"}, "dir": "/nowhere"}, "looking up the working directory: stat /nowhere: no such file or directory"},
		"file, not folder": {config{"command": []string{"true"}, "dir": plain}, "looking up the working directory: " + plain + " is not a directory"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(tc.config)
			if err != nil {
				t.Fatal(err)
			}
			bound := handlerstest.Bind(t, exec.Plugin, string(raw))
			if _, err := bound.New(t.Context(), handlerstest.Env(t)); err == nil || err.Error() != tc.want {
				t.Errorf("New = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestEndedContextStartsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report")
	h, _ := newHandler(t, program(t, "report", file))
	lost := errors.New("the term is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(lost)
	if _, err := h.Handle(ctx, request(t)); !errors.Is(err, lost) {
		t.Errorf("Handle = %v, want %v", err, lost)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program ran: %v", err)
	}
}

// within fails the test when f takes longer than it may.
func within(t *testing.T, most time.Duration, f func()) {
	t.Helper()
	begun := time.Now()
	f()
	if took := time.Since(begun); took > most {
		t.Errorf("it took %s, want at most %s", took, most)
	}
}
