package docs_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// refusal is a test that may fail, and says why it has.
type refusal struct {
	testing.TB
	message string
}

// Fatalf notes the failure and ends the goroutine, as that of a test does.
func (r *refusal) Fatalf(format string, args ...any) {
	r.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestBlocksThatAreWrong follows pages that are not true, and wants each to be reported.
func TestBlocksThatAreWrong(t *testing.T) {
	t.Parallel()
	fenced := func(language, text string) string { return "```" + language + "\n" + text + "\n```\n" }
	const config = "apiVersion: \"kooperd.dev/v1alpha1\"\ncontrollers: a: {\n\twatch: {apiVersion: \"v1\", kind: \"Pod\"}\n\thandler: log: {}\n"
	tests := map[string]struct {
		page string
		want string
	}{
		"a command that fails":           {fenced("sh", "true\nfalse\ntrue"), "exit status 1, want 0"},
		"a command in a pipe that fails": {fenced("sh", "false | cat"), "exit status 1, want 0"},
		"a command that succeeds":        {"<!-- test: status 2 -->\n" + fenced("sh", "true"), "exit status 0, want 2"},
		"other output":                   {fenced("console", "$ echo a\nb"), "it prints\na\n"},
		"output that is not shown":       {fenced("console", "$ echo a"), "it prints\na\n"},
		"an early command that fails":    {fenced("console", "$ false\n$ true"), "exit status 1, want 0"},
		"output without a command":       {fenced("console", "a"), "output without a command"},
		"a bad config":                   {fenced("cue", config+"\twokers: 3\n}"), `unknown field; did you mean "workers"?`},
		"a bad part of a config":         {fenced("cue", "leaderElection: name: \"A\""), "leaderElection.name"},
		"a bad part of a definition":     {"<!-- test: inside controllers.a -->\n" + fenced("cue", "timeout: \"soon\""), "controllers.a.timeout"},
		"a good config said to be bad":   {"<!-- test: mistake unknown field -->\n" + fenced("cue", config+"}"), "is accepted"},
		"another mistake":                {"<!-- test: mistake unknown field -->\n" + fenced("cue", config+"\tworkers: 300\n}"), "for another reason"},
		"a bad config in YAML":           {fenced("yaml", "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {A: {}}"), "the config is refused"},
		"a bad config in JSON":           {fenced("json", `{"apiVersion": "kooperd.dev/v1alpha1"}`), "the config is refused"},
		"no YAML":                        {fenced("yaml", "a: b: c"), "no YAML"},
		"YAML of an unknown sort":        {fenced("yaml", "a: b"), "unknown sort"},
		"a bad object":                   {fenced("yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {a: b}"), `unknown field "date"`},
		"a bad part of a Role":           {fenced("yaml", "rules:\n- apiGroup: [\"\"]\n  resources: [pods]\n  verbs: [list]"), `unknown field "rules[0].apiGroup"`},
		"bad values":                     {fenced("yaml", "rbac: {rule: {}}"), "helm template"},
		"no JSON":                        {fenced("json", "{a: 1}"), "is JSON"},
		"Go that is not formatted":       {"<!-- test: file a.go -->\n" + fenced("go", "package a\n\nvar a  = 1"), "gofmt"},
		"Go that does not compile":       {fenced("go", "handlers.Funk(nil)"), "undefined: handlers.Funk"},
		"Go that is from elsewhere":      {"<!-- test: from cmd/kooperd/main.go -->\n" + fenced("go", "package nothing"), "does not contain"},
		"a schema that nothing compiles": {fenced("cue", "#Config: {}"), "nothing compiles"},
		"a block of no language":         {fenced("", "a"), `a block of ""`},
		"a background that ends":         {"<!-- test: background -->\n" + fenced("console", "$ false\na"), "it has ended"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t, "page")
			blocks, err := parse(tc.page)
			must(t, err)
			r := &refusal{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for _, b := range blocks {
					s.do(r, b)
				}
			}()
			<-done
			if !strings.Contains(r.message, tc.want) {
				t.Errorf("the test says %q, want %q", r.message, tc.want)
			}
			s.jobs = nil // one that has ended by itself is what the case is about
		})
	}
}
