package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kooperd.dev/kooperd/pkg/config"
)

const cueHead = "apiVersion: \"kooperd.dev/v1alpha1\"\n"

// testLimits are wide, and do not depend on the machine: one that is busy may leave a process with
// the niceness of a child very little time.
func testLimits() childLimits {
	return childLimits{
		cpu: time.Minute, wall: time.Hour, answer: time.Minute, memory: 1 << 30,
		memoryLeft: func() (uint64, error) { return noMemoryLimit, nil },
	}
}

// newTestChild returns an evaluator that runs the test binary.
func newTestChild(t *testing.T) *childEvaluator {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0") // The race detector otherwise sleeps for a second at the end.
	return &childEvaluator{registry: testRegistry(t), program: ownProgram(), limits: testLimits()}
}

// readText returns a config of one file.
func readText(t *testing.T, text string) *config.Files {
	t.Helper()
	files, err := config.NewFiles(config.File{Name: "controllers.cue", Path: filepath.Join(t.TempDir(), "controllers.cue"), Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// hostile is a config with the hostile plugin.
func hostile(do, pipe string) string {
	return cueHead + fmt.Sprintf("controllers: a: {watch: {apiVersion: \"v1\", kind: \"Pod\"}, handler: hostile: {do: %q, pipe: %q}}\n", do, pipe)
}

// TestChildEvaluatesLikeThisProcess has every fixture of the config evaluated here and there.
func TestChildEvaluatesLikeThisProcess(t *testing.T) {
	good := 0
	for dir, step := range map[string]int{"good": 4, "bad": 16} {
		if !raceDetector {
			step = 1 // With it, some are enough to see races, and each takes ten times as long.
		}
		t.Run(dir, func(t *testing.T) {
			child := newTestChild(t)
			here := evaluateHere(child.registry)
			t.Chdir(filepath.Join("..", "config", "testdata", dir))
			entries, err := os.ReadDir(".")
			if err != nil {
				t.Fatal(err)
			}
			entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) == ".want" })
			for i, entry := range entries {
				name := entry.Name()
				if i%step > 0 {
					continue
				}
				files, err := config.Read(t.Context(), []string{name})
				if err != nil {
					continue // It does not come to an evaluation.
				}
				wantConfig, wantImported, wantErr := here(t.Context(), files)
				haveConfig, haveImported, haveErr := child.evaluate(t.Context(), files)
				if diff := cmp.Diff(encodedConfig(t, wantConfig), encodedConfig(t, haveConfig)); diff != "" {
					t.Errorf("%s: config (-here +child):\n%s", name, diff)
				}
				if diff := cmp.Diff(wantImported, haveImported); diff != "" {
					t.Errorf("%s: imported (-here +child):\n%s", name, diff)
				}
				if diff := cmp.Diff(diagnosticsOf(t, wantErr), diagnosticsOf(t, haveErr), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s: diagnostics (-here +child):\n%s", name, diff)
				}
				if wantConfig != nil {
					good++
				}
			}
		})
	}
	if good == 0 {
		t.Error("no config is good")
	}
}

// encodedConfig is all of a config that can be compared.
func encodedConfig(t *testing.T, cfg *config.Config) string {
	t.Helper()
	if cfg == nil {
		return ""
	}
	text, err := config.Encode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range cfg.Definitions {
		text = fmt.Appendf(text, "\n%s %s", d.Name, d.Digest)
	}
	return string(text)
}

// diagnosticsOf returns the mistakes that err is, and fails if it is something else.
func diagnosticsOf(t *testing.T, err error) config.Diagnostics {
	t.Helper()
	var diags config.Diagnostics
	if err != nil && !errors.As(err, &diags) {
		t.Fatalf("the error is %v, want diagnostics", err)
	}
	return diags
}

// TestChildTellsOfMistakes is about those that end the evaluation, and so could end the child.
func TestChildTellsOfMistakes(t *testing.T) {
	for name, tc := range map[string]struct {
		text   string
		limits func(*childLimits)
		want   string
	}{
		"panic of a plugin": {text: hostile("panic", ""), want: `plugin "hostile": Validate panicked: by the plugin; this is a mistake in the plugin, not in the file`},
		"plugin that hangs": {
			text: hostile("hang", ""), limits: func(l *childLimits) { l.wall, l.answer = time.Second, time.Minute },
			want: `plugin "hostile" takes longer than 1s to check its config`,
		},
		"too long": {
			text: cueHead + disjunctions(), limits: func(l *childLimits) { l.wall = time.Second },
			want: "controllers.cue: evaluating the config takes longer than 1s; look for comprehensions",
		},
		"too long to say so": {
			text: hostile("hang", ""), limits: func(l *childLimits) { l.wall, l.answer = 500*time.Millisecond, -400*time.Millisecond },
			want: "controllers.cue: evaluating the config takes longer than 500ms; look for comprehensions",
		},
		"four gigabytes": {
			text: cueHead + doublings(29), want: "controllers.cue: evaluating the config takes more than 1024 MiB of memory; look for comprehensions",
		},
		"small cgroup": {
			text: cueHead + doublings(29), limits: func(l *childLimits) { l.memoryLeft = func() (uint64, error) { return 100 << 20, nil } },
			want: "controllers.cue: evaluating the config takes more than 75 MiB of memory; look for comprehensions",
		},
		"large range": {
			text:   "import \"list\"\n" + cueHead + "x: [for i in list.Range(0, 10000000, 1) {\"\\(i)\"}]\n",
			limits: func(l *childLimits) { l.memory = 128 << 20 }, want: "controllers.cue: evaluating the config takes more than 128 MiB of memory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			child := newTestChild(t)
			if tc.limits != nil {
				tc.limits(&child.limits)
			}
			cfg, _, err := child.evaluate(t.Context(), readText(t, tc.text))
			if cfg != nil {
				t.Error("there is a config")
			}
			if diags := diagnosticsOf(t, err); len(diags) != 1 || !strings.Contains(diags[0].String(), tc.want) {
				t.Errorf("the error is %v, want %q", err, tc.want)
			}
		})
	}
}

// disjunctions take for ever.
func disjunctions() string {
	var b strings.Builder
	for i := range 24 {
		fmt.Fprintf(&b, "a: {k%d: 1} | {k%d: 2}\n", i, i)
	}
	return b.String()
}

// doublings take ten bytes to the power of n.
func doublings(n int) string {
	var b strings.Builder
	b.WriteString("x0: \"0123456789\"\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "x%d: x%d + x%d\n", i, i-1, i-1)
	}
	return b.String()
}

// TestChildFails is about failures that say nothing about the files.
func TestChildFails(t *testing.T) {
	script := func(lines string) string {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte("#!/bin/sh\ncat > /dev/null\n"+lines), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct {
		program, text string
		left          uint64
		want          string
	}{
		"no such program": {program: "/does/not/exist", want: "evaluating the config: starting a process: "},
		"exit of a plugin": {
			text: hostile("exit", ""), want: "its process ended without an answer (exit status 0): the plugin has had enough",
		},
		"killed": {program: script("kill -9 $$"), want: "its process ended without an answer (signal: killed)"},
		"crash": {
			program: script("yes | head -n 9999 >&2; echo 'panic: oh dear' >&2; yes | head -n 9999 >&2; exit 2"),
			want:    "its process ended without an answer (exit status 2): panic: oh dear\ny\n",
		},
		"no JSON": {program: script("echo '{'"), want: "its process ended without an answer (exit status 0)"},
		"no end": {
			program: script("yes"), want: "its process ended without an answer",
		},
		"too little memory": {
			left: 20 << 20,
			want: "evaluating the config: it needs at least 24 MiB of memory, more than three quarters of what the memory limit leaves",
		},
	} {
		t.Run(name, func(t *testing.T) {
			child := newTestChild(t)
			if tc.program != "" {
				child.program = tc.program
			}
			if tc.left > 0 {
				child.limits.memoryLeft = func() (uint64, error) { return tc.left, nil }
			}
			if tc.text == "" {
				tc.text = hostile("nothing", "")
			}
			_, _, err := child.evaluate(t.Context(), readText(t, tc.text))
			if _, ok := errors.AsType[*evaluationError](err); !ok || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is a %T, %.300v, want %q", err, err, tc.want)
			}
			if err != nil && len(err.Error()) > maxCrashText+200 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestChildPrints shows that what a plugin prints is no part of the answer.
func TestChildPrints(t *testing.T) {
	cfg, _, err := newTestChild(t).evaluate(t.Context(), readText(t, hostile("print", "")))
	if err != nil || len(cfg.Definitions) != 1 {
		t.Errorf("the config is %v, the error %v", cfg, err)
	}
}

// TestMainAloneEvaluatesInChild checks that the binary of an embedder is not started again.
func TestMainAloneEvaluatesInChild(t *testing.T) {
	var errs strings.Builder
	if got := Run(t.Context(), Options{Args: []string{evaluateCommand}, Stdout: &errs, Stderr: &errs}); got != ExitUsage {
		t.Errorf("the status of %s is %d, want %d; it says %s", evaluateCommand, got, ExitUsage, errs.String())
	}
	for _, isProgram := range []bool{false, true} {
		root := newRootCommand(testRegistry(t), isProgram)
		found, _, err := root.Find([]string{evaluateCommand})
		if has := err == nil && found.Name() == evaluateCommand; has != isProgram {
			t.Errorf("the command is there: %t, want %t", has, isProgram)
		}
	}
}

func TestChildOfAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no more"))
	if _, _, err := newTestChild(t).evaluate(ctx, readText(t, hostile("nothing", ""))); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("the error is %v, want the cause", err)
	}
}
