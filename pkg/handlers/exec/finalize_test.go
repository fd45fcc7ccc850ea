package exec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/exec"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// finalizing returns the config of program, which runs with one argument more for a deletion.
func finalizing(t *testing.T, name, file string) config {
	t.Helper()
	c := program(t, name, file)
	command, _ := c["command"].([]string)
	c["finalize"] = map[string]any{"command": append(command[:1:1], "--delete")}
	return c
}

func bindConfig(t *testing.T, c config) handlers.Bound {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return handlerstest.Bind(t, exec.Plugin, string(raw))
}

func TestFinalizeRunsItsOwnProgram(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report")
	env := handlerstest.Env(t)
	env.Finalizer = "example.com/cleanup"
	h, err := bindConfig(t, finalizing(t, "report", file)).New(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	finalizer, ok := h.(handlers.Finalizer)
	if !ok {
		t.Fatalf("%T is no Finalizer", h)
	}
	if _, err := h.Handle(t.Context(), request(t)); err != nil {
		t.Fatal(err)
	}
	handled := readReport(t, file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := finalizer.Finalize(t.Context(), request(t)); err != nil {
		t.Fatal(err)
	}
	want := handled
	want.Args = []string{"--delete"}
	if diff := cmp.Diff(want, readReport(t, file)); diff != "" {
		t.Errorf("the program of finalize was given (-want +got):\n%s", diff)
	}
}

func TestFinalizeFails(t *testing.T) {
	env := handlerstest.Env(t)
	env.Finalizer = "example.com/cleanup"
	c := config{"command": []string{"true"}, "finalize": map[string]any{"command": []string{"/bin/sh", "-c", "echo still there >&2; exit 3"}}}
	h, err := bindConfig(t, c).New(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	finalizer, ok := h.(handlers.Finalizer)
	if !ok {
		t.Fatalf("%T is no Finalizer", h)
	}
	if _, err := finalizer.Finalize(t.Context(), request(t)); err == nil || err.Error() != "running /bin/sh: exit status 3: still there" {
		t.Errorf("Finalize: %v", err)
	}
}

func TestFinalizeOfConfigs(t *testing.T) {
	tests := map[string]struct {
		config    config
		finalizes bool
		finalizer string
		want      string // the error of New
	}{
		"none":              {config: config{"command": []string{"true"}}},
		"none, but wanted":  {config: config{"command": []string{"true"}}, finalizer: "example.com/cleanup", want: "is no Finalizer"},
		"without finalizer": {config: finalizing(t, "report", ""), finalizes: true, want: "finalize would never run: the definition has no finalizer"},
		"no such program": {
			config:    config{"command": []string{"true"}, "finalize": map[string]any{"command": []string{"/no/such/program"}}},
			finalizes: true, finalizer: "example.com/cleanup", want: "looking up the program",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			bound := bindConfig(t, tc.config)
			if bound.Finalizes() != tc.finalizes {
				t.Errorf("Finalizes = %t, want %t", bound.Finalizes(), tc.finalizes)
			}
			env := handlerstest.Env(t)
			env.Finalizer = tc.finalizer
			_, err := bound.New(t.Context(), env)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("New: %v, want %q", err, tc.want)
			}
		})
	}
}

func TestFinalizeIsChecked(t *testing.T) {
	want := []handlers.Problem{{
		Path: "finalize.command[0]", Message: `"./sync" is a relative path`, Hint: "want an absolute path, or a name to look up in PATH",
	}}
	have := handlerstest.Problems(t, exec.Plugin, `{"command":["true"],"finalize":{"command":["./sync"]}}`)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("problems (-want +have):\n%s", diff)
	}
}
