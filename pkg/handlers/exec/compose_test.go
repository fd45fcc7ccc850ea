//go:build unix

package exec_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/exec"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// pageOf is a hook that answers with one ConfigMap.
const pageOf = `cat >/dev/null; echo '{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page"},"data":{"a":"b"}}]}'`

func TestComposingPlugin(t *testing.T) {
	shell := func(script string) string {
		text, err := json.Marshal([]string{"/bin/sh", "-c", script})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	handlerstest.Check(t, exec.Plugin, handlerstest.Options{
		Configs: map[string]string{ // One, because each takes hundreds of programs.
			"composing": `{"compose":true,"generateSelector":true,"command":` + shell(pageOf) + `,"finalize":{"command":` +
				shell(`cat >/dev/null; echo '{"finalized":true}'`) + `},"customize":{"command":` +
				shell(`cat >/dev/null; echo '{"relatedResources":[{"apiVersion":"v1","resource":"secrets"}]}'`) +
				`},"children":[{"apiVersion":"v1","kind":"ConfigMap"}],"reads":[{"apiVersion":"v1","kind":"Secret"}]}`,
		},
		Objects: []handlers.Object{handlerstest.Object(t, configMap)},
	})
}

// hookConfig is a config of hooks that are scripts.
func hookConfig(sync string) config {
	return config{
		"compose": true, "command": []string{"/bin/sh", "-c", sync},
		"children": []any{config{"apiVersion": "v1", "kind": "ConfigMap"}},
	}
}

// newHooks makes a composer, with what it logs.
func newHooks(t *testing.T, c config) (handlers.Composer, *handlerstest.Logs) {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	logs := handlerstest.NewLogs(t)
	return handlerstest.NewComposer(t, exec.Plugin, string(raw), func(env *handlers.Env) {
		env.Definition, env.Logger = "carts", logs.Logger()
	}), logs
}

func composeRequest(t *testing.T) handlers.ComposeRequest {
	t.Helper()
	return handlers.ComposeRequest{Object: handlerstest.Object(t, configMap), Cause: handlers.CauseResync, Attempt: 2}
}

// TestHooksAreRunWithTheRequest runs all three programs: each has the request on its standard
// input, and the name of the hook in its environment.
func TestHooksAreRunWithTheRequest(t *testing.T) {
	dir := t.TempDir()
	tell := func(answer string) []string {
		return []string{"/bin/sh", "-c", `cat >"$0/$KOOPERD_HOOK"; echo "$KOOPERD_NAME $KOOPERD_CAUSE $KOOPERD_ATTEMPT" >>"$0/seen"; echo '` + answer + `'`, dir}
	}
	c := hookConfig("")
	c["command"] = tell(`{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page"}}],"status":{"n":1}}`)
	c["finalize"] = config{"command": tell(`{"finalized":true}`)}
	c["customize"] = config{"command": tell(`{"relatedResources":[{"apiVersion":"v1","resource":"secrets","names":["key"]}]}`)}
	c["reads"] = []any{config{"apiVersion": "v1", "kind": "Secret"}}
	composer, _ := newHooks(t, c)
	req := composeRequest(t)
	relater, ok := composer.(handlers.Relater)
	if !ok {
		t.Fatalf("%T is no Relater", composer)
	}
	related, err := relater.Relate(t.Context(), req.Object)
	if err != nil || len(related) != 1 || !slices.Equal(related[0].ObjectNames, []string{"key"}) {
		t.Fatalf("customize: have %+v and %v", related, err)
	}
	composition, err := composer.Compose(t.Context(), req)
	if err != nil || composition.Finalized {
		t.Fatalf("sync: have %+v and %v", composition, err)
	}
	handlerstest.Child[*corev1.ConfigMap](t, composition, "ConfigMap/page")
	req.Finalizing = true
	composition, err = composer.Compose(t.Context(), req)
	if err != nil || !composition.Finalized {
		t.Fatalf("finalize: have %+v and %v", composition, err)
	}
	for _, name := range []string{"sync", "finalize", "customize"} {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var request struct {
			Controller struct{ Kind string }
			Parent     struct{ Metadata struct{ Name string } }
			Finalizing bool
		}
		if err := json.Unmarshal(body, &request); err != nil {
			t.Fatalf("the request of %s: %v", name, err)
		}
		if request.Controller.Kind != "CompositeController" || request.Parent.Metadata.Name != "cart" || request.Finalizing != (name == "finalize") {
			t.Errorf("the request of %s is %s", name, body)
		}
	}
	seen, err := os.ReadFile(filepath.Join(dir, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("cart  0\ncart resync 2\ncart resync 2\n", string(seen)); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestAnswersOfPrograms(t *testing.T) {
	tests := map[string]struct {
		script   string
		change   config
		want     string
		terminal bool
	}{
		"silent":              {script: `cat >/dev/null`, want: "sync hook: the answer is empty"},
		"deaf":                {script: `echo '{}'`},
		"no JSON":             {script: `echo oops`, want: `sync hook: the answer is no JSON: invalid character 'o'`},
		"failing":             {script: `echo '{}'; echo no database >&2; exit 3`, want: "sync hook: running /bin/sh: exit status 3: no database"},
		"failing for good":    {script: `exit 4`, change: config{"exitCodes": config{"terminal": []int{4}}}, want: "exit status 4", terminal: true},
		"another success":     {script: `echo '{}'; exit 5`, change: config{"exitCodes": config{"success": []int{5}}}},
		"an answer that fits": {script: `printf '{"status":{}}'`, change: config{"maxAnswer": 13}},
		"too long an answer": {
			script: `printf '{"status":{} }'`, change: config{"maxAnswer": 13}, want: "sync hook: running /bin/sh: the answer has 14 bytes, at most 13 are read",
		},
		"far too long an answer": {
			script: `yes '{"children":[' | head -c 8000000`, want: "the answer has 8000000 bytes, at most 4194304 are read",
		},
		"another kind": {
			script: `echo '{"children":[{"apiVersion":"v1","kind":"Pod"}]}'`, want: `sync hook: children[0]: is "v1" "Pod", which is not among the children`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := hookConfig(tt.script)
			maps.Copy(c, tt.change)
			composer, _ := newHooks(t, c)
			_, err := composer.Compose(t.Context(), composeRequest(t))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("have the error %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("have the error %v, want %q", err, tt.want)
			case handlers.IsTerminal(err) != tt.terminal:
				t.Errorf("terminal is %t, want %t", !tt.terminal, tt.terminal)
			}
		})
	}
}

// TestDecorator has a program that sets a label of the object.
func TestDecorator(t *testing.T) {
	c := hookConfig(`grep -q '"object":' && echo '{"labels":{"seen":"yes","old":null}}'`)
	c["shape"] = "decorator"
	composer, _ := newHooks(t, c)
	composition, err := composer.Compose(t.Context(), composeRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	if seen, old := composition.Labels["seen"], composition.Labels["old"]; len(composition.Labels) != 2 || seen == nil || *seen != "yes" || old != nil {
		t.Errorf("labels are %v", composition.Labels)
	}
}

// TestAnswersAreNotLogged looks at the log: it has what a program says on standard error, and not
// its answer, which may have a password in it.
func TestAnswersAreNotLogged(t *testing.T) {
	composer, logs := newHooks(t, hookConfig(`echo '{"status":{"password":"hunter2"}}'; echo 'thinking of hunter3' >&2`))
	if _, err := composer.Compose(t.Context(), composeRequest(t)); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(lines(logs), "\n")
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "thinking of hunter3") {
		t.Errorf("the log is\n%s", text)
	}
}

// TestHooksRedact has a program that gives back what it has got by secretEnv: what it may be quoted
// with is told to the caller.
func TestHooksRedact(t *testing.T) {
	const canary = "canary-4711"
	t.Setenv("HOOK_PASSWORD", canary)
	c := hookConfig(`cat >/dev/null; echo '{"children":[{"apiVersion":"v1","kind":"'$PASSWORD'"}]}'`)
	c["secretEnv"] = config{"PASSWORD": config{"env": "HOOK_PASSWORD"}}
	composer, _ := newHooks(t, c)
	var secrets []string
	ctx := handlers.WithRedaction(t.Context(), func(values ...handlers.SecretValue) {
		for _, value := range values {
			secrets = append(secrets, value.Reveal())
		}
	})
	_, err := composer.Compose(ctx, composeRequest(t))
	if err == nil || !strings.Contains(err.Error(), canary) || !slices.Equal(secrets, []string{canary}) {
		t.Errorf("the error is %v, and to be redacted are %q", err, secrets)
	}
}

func TestHookFieldsNeedCompose(t *testing.T) {
	fields := config{
		"customize": config{"command": []string{"true"}}, "maxAnswer": 1, "shape": "composite", "version": "v1", "decode": "loose",
		"generateSelector": true, "children": []any{config{"apiVersion": "v1", "kind": "Pod"}}, "reads": []any{config{"apiVersion": "v1", "kind": "Pod"}},
		"revisionHistory": config{"fieldPaths": []string{"spec"}},
	}
	for name, value := range fields {
		raw, err := json.Marshal(config{"command": []string{"true"}, name: value})
		if err != nil {
			t.Fatal(err)
		}
		problems := handlerstest.Problems(t, exec.Plugin, string(raw))
		want := []handlers.Problem{{Path: name, Message: "is for programs that say what should exist", Hint: "say compose: true, or leave it out"}}
		if diff := cmp.Diff(want, problems); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
