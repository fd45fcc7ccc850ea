//go:build unix

package exec_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/exec"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func TestProblems(t *testing.T) {
	const ruleExample = `for example {apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"]}`
	const nul = "a NUL byte cannot be given to a program"
	secret := map[string]string{"env": "X"}
	long := strings.Repeat("x", 131_072)
	tests := map[string]struct {
		config config
		want   []handlers.Problem
	}{
		"no program": {
			config{"command": []string{}},
			[]handlers.Problem{{Path: "command", Message: "want at least the program", Hint: `for example ["/usr/local/bin/sync"]`}},
		},
		"empty program": {
			config{"command": []string{""}},
			[]handlers.Problem{{Path: "command[0]", Message: "want a program", Hint: `for example "/usr/local/bin/sync"`}},
		},
		"relative program": {
			config{"command": []string{"./sync"}},
			[]handlers.Problem{{Path: "command[0]", Message: `"./sync" is a relative path`, Hint: "want an absolute path, or a name to look up in PATH"}},
		},
		"command line": {
			config{"command": []string{"kubectl get pods"}},
			[]handlers.Problem{{
				Path: "command[0]", Message: `"kubectl get pods" has white space in it`,
				Hint: "there is no shell: write each argument as a string of its own",
			}},
		},
		"NUL": {
			config{"command": []string{"true", "a\x00b"}, "env": map[string]string{"A": "\x00"}, "dir": "/\x00"},
			[]handlers.Problem{{Path: "command[1]", Message: nul}, {Path: "env.A", Message: nul}, {Path: "dir", Message: nul}},
		},
		"long strings": {
			config{"command": []string{"true", long, long[1:]}, "env": map[string]string{"ABC": long[3:], "AB": long[4:]}},
			[]handlers.Problem{
				{Path: "command[1]", Message: "131072 bytes long, want at most 131071", Hint: "put large values into a file"},
				{Path: "env.ABC", Message: "131073 bytes long, want at most 131071", Hint: "put large values into a file"},
			},
		},
		"too much in all": {
			config{"command": append([]string{"true"}, strings.Split(strings.Repeat(strings.Repeat("x", 99_999)+" ", 11), " ")...)},
			[]handlers.Problem{{Message: "the command and its environment have 1100008 bytes, want at most 1048576", Hint: "put large values into a file"}},
		},
		"rules about what does not exist": {
			config{"command": []string{"true"}, "rules": []any{
				map[string]any{"apiGroups": []string{""}, "resources": []string{"pods", "pod"}, "verbs": []string{"get"}},
				map[string]any{"apiGroups": []string{""}, "resources": []string{"deployments"}, "verbs": []string{"get"}},
				map[string]any{"apiGroups": []string{""}, "resources": []string{"configmaps/status"}, "verbs": []string{"get"}},
				map[string]any{"apiGroups": []string{""}, "resources": []string{"componentstatuses"}, "verbs": []string{"get", "watch"}},
				map[string]any{"apiGroups": []string{"example.com"}, "resources": []string{"widget"}, "verbs": []string{"get"}},
			}},
			[]handlers.Problem{
				{Path: "rules[0].resources[1]", Message: "Kubernetes has no resource pod in the core group", Hint: `did you mean "pods"?`},
				{Path: "rules[1].resources[0]", Message: "Kubernetes has no resource deployments in the core group", Hint: `did you mean apiGroups: ["apps"]?`},
				{Path: "rules[2].resources[0]", Message: "Kubernetes has no subresource status of resource configmaps in the core group"},
				{Path: "rules[3].verbs[1]", Message: "Kubernetes has no verb watch for componentstatuses"},
			},
		},
		"rules that grant nothing": {
			config{"command": []string{"true"}, "rules": []any{
				config{"verbs": []string{}, "apiGroups": []string{""}, "resources": []string{"pods"}},
				config{"verbs": []string{"get"}},
				config{"verbs": []string{"get"}, "resources": []string{"pods"}},
				config{"verbs": []string{"get"}, "resources": []string{"pods"}, "nonResourceURLs": []string{"/version"}},
				config{"verbs": []string{"get"}, "apiGroups": []string{""}, "resources": []string{"Pods", ""}},
				config{"verbs": []string{"get"}, "nonResourceURLs": []string{"/version"}},
				config{"verbs": []string{"get", "create"}, "apiGroups": []string{""}, "resources": []string{"pods"}, "resourceNames": []string{"a"}},
				config{"verbs": []string{"*"}, "apiGroups": []string{"*"}, "resources": []string{"pods", "*"}},
				config{"verbs": []string{"patch"}, "apiGroups": []string{""}, "resources": []string{"pods/status"}, "resourceNames": []string{"a"}},
			}},
			[]handlers.Problem{
				{Path: "rules[0].verbs", Message: "want at least one verb", Hint: ruleExample},
				{Path: "rules[1]", Message: "names neither resources nor nonResourceURLs", Hint: ruleExample},
				{Path: "rules[2]", Message: "names no apiGroups", Hint: `the core group is ""`},
				{Path: "rules[3]", Message: "has resources and nonResourceURLs", Hint: "make two rules of it"},
				{Path: "rules[4].resources[0]", Message: `"Pods" is no name of a resource`, Hint: `want the plural in lower case, such as "pods"`},
				{Path: "rules[4].resources[1]", Message: `"" is no name of a resource`, Hint: `want the plural in lower case, such as "pods"`},
				{Path: "rules[6].resourceNames", Message: "create and deletecollection cannot be limited to names", Hint: "make a rule of its own for them, without resourceNames"},
				{Path: "rules[7].verbs[0]", Message: `"*" stands for everything, also for what comes later`, Hint: "name what the program needs"},
				{Path: "rules[7].apiGroups[0]", Message: `"*" stands for everything, also for what comes later`, Hint: "name what the program needs"},
				{Path: "rules[7].resources[1]", Message: `"*" stands for everything, also for what comes later`, Hint: "name what the program needs"},
			},
		},
		"names of variables": {
			config{"command": []string{"true"}, "env": map[string]string{"A=B": ""}, "passEnv": []string{"", "1A", "_ok1"}, "secretEnv": map[string]any{"a b": secret}},
			[]handlers.Problem{
				{Path: `env["A=B"]`, Message: `"A=B" is no name of a variable`, Hint: "want letters, digits and _, not starting with a digit"},
				{Path: "passEnv[0]", Message: `"" is no name of a variable`, Hint: "want letters, digits and _, not starting with a digit"},
				{Path: "passEnv[1]", Message: `"1A" is no name of a variable`, Hint: "want letters, digits and _, not starting with a digit"},
				{Path: `secretEnv["a b"]`, Message: `"a b" is no name of a variable`, Hint: "want letters, digits and _, not starting with a digit"},
			},
		},
		"reserved names": {
			config{"command": []string{"true"}, "passEnv": []string{"KOOPERD_NAME"}},
			[]handlers.Problem{{Path: "passEnv[0]", Message: "names that start with KOOPERD_ are set by kooperd", Hint: "choose another name"}},
		},
		"given twice": {
			config{"command": []string{"true"}, "env": map[string]string{"A": ""}, "passEnv": []string{"A", "B"}, "secretEnv": map[string]any{"B": secret}},
			[]handlers.Problem{
				{Path: "passEnv[0]", Message: "env.A gives A already", Hint: "keep one of them"},
				{Path: "secretEnv.B", Message: "passEnv[1] gives B already", Hint: "keep one of them"},
			},
		},
		"secret": {
			config{"command": []string{"true"}, "secretEnv": map[string]any{"TOKEN": map[string]string{}}},
			[]handlers.Problem{{Path: "secretEnv.TOKEN", Message: `want exactly one of "env" and "file"`}},
		},
		"directory": {
			config{"command": []string{"true"}, "dir": "work"},
			[]handlers.Problem{{Path: "dir", Message: `"work" is not an absolute path`}},
		},
		"exit statuses": {
			config{"command": []string{"true"}, "exitCodes": map[string]any{"success": []int{3, 4}, "terminal": []int{5, 4}}},
			[]handlers.Problem{{Path: "exitCodes.terminal[1]", Message: "4 is listed as success too", Hint: "keep one of them"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(tc.config)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, handlerstest.Problems(t, exec.Plugin, string(raw))); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEffectiveConfig(t *testing.T) {
	bound := handlerstest.Bind(t, exec.Plugin, `{"command":["true"]}`)
	if diff := cmp.Diff(`{"command":["true"],"dir":"/","grace":"5s","outputLevel":"info","maxOutput":65536}`, string(bound.JSON())); diff != "" {
		t.Errorf("effective config (-want +got):\n%s", diff)
	}
	if rules := bound.Rules(); rules != nil {
		t.Errorf("rules = %v, want none", rules)
	}
}
