package daemon_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

const casesConfig = `apiVersion: kooperd.dev/v1alpha1
leaderElection: {namespace: default}
controllers:
  office:
    watch: {apiVersion: v1, kind: ConfigMap}
    where: object.metadata.name != "not-me"
    handler:
      apply:
        related: {token: {apiVersion: v1, kind: Secret, name: token, sameNamespace: true}}
        children:
          copy: {template: {apiVersion: v1, kind: Secret, metadata: {name: "${object.metadata.name}-copy"}, data: "${related.token.data}"}}
          line:
            after: [copy]
            template: {apiVersion: v1, kind: ConfigMap, metadata: {name: line}, data: {line: "${object.data.?text} with ${string(base64.decode(related.token.data.token))}"}}
          password:
            update: createOnly
            template: {apiVersion: v1, kind: Secret, metadata: {name: password}, stringData: {password: "${generate.password(20)}", user: app}}
  named:
    watch: {apiVersion: v1, kind: Service}
    handler: {apply: {children: {name: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${object.metadata.labels.name}"}}}}}}
  sites:
    watch: {apiVersion: demo.kooperd.dev/v1, kind: Website}
    handler:
      exec:
        compose: true
        command: [/bin/sh, -c, 'cat >/dev/null; echo ''{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page"}}],"status":{"pages":1}}''']
        children: [{apiVersion: v1, kind: ConfigMap}]
  hooked:
    watch: {apiVersion: demo.kooperd.dev/v1, kind: Shop}
    handler: {webhook: {sync: {url: "http://hooks.invalid/shops/sync"}, children: [{apiVersion: v1, kind: ConfigMap}], auth: {bearer: {env: NO_SUCH_TOKEN}}}}
`

const (
	officeCase = `# An office with a token.
object: {apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: a}, data: {text: hello}}
related: # what it reads
- {apiVersion: v1, kind: Secret, metadata: {name: token, namespace: a}, data: {token: dmVyeS1zZWNyZXQ=}}
`
	officeExpect = `expect:
  children:
    copy:
      apiVersion: v1
      data:
        token: dmVyeS1zZWNyZXQ=
      kind: Secret
      metadata:
        name: one-copy
        namespace: a
    line:
      apiVersion: v1
      data:
        line: hello with very-secret
      kind: ConfigMap
      metadata:
        name: line
        namespace: a
    password:
      apiVersion: v1
      data:
        password: <generated>
        user: YXBw
      kind: Secret
      metadata:
        name: password
        namespace: a
  conditions:
    Degraded:
      reason: AsDesired
      status: "False"
    Progressing:
      reason: Settled
      status: "False"
    Ready:
      reason: Ready
      status: "True"
`
)

// testFolder writes files into a folder with the config, and returns the folder.
func testFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"controllers.yaml": casesConfig}
	maps.Copy(all, files)
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runTest runs the command for a folder, which is DIR in what is returned.
func runTest(t *testing.T, dir string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = daemon.Run(t.Context(), daemon.Options{
		Args: append([]string{"test", dir}, args...), Stdout: &out, Stderr: &errs, Plugins: append(builtin.Plugins(), secretary, leaky),
	})
	return strings.ReplaceAll(out.String(), dir, "DIR"), strings.ReplaceAll(errs.String(), dir, "DIR"), status
}

// TestCasesAreWrittenAndPass writes what a case expects, and runs it after that.
func TestCasesAreWrittenAndPass(t *testing.T) {
	dir := testFolder(t, map[string]string{"cases/one_test.yaml": officeCase})
	stdout, stderr, status := runTest(t, dir, "--update")
	if status != daemon.ExitOK || stderr != "" || stdout != "update  DIR/cases/one\nok: 0 passed, 1 updated\n" {
		t.Errorf("exit status is %d, it prints\n%s%s", status, stdout, stderr)
	}
	text, err := os.ReadFile(filepath.Join(dir, "cases", "one_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(officeCase+officeExpect, string(text)); diff != "" {
		t.Errorf("it writes something else (-want +got):\n%s", diff)
	}
	for range 2 {
		if stdout, stderr, status = runTest(t, dir); status != daemon.ExitOK || stderr != "" || stdout != "ok      DIR/cases/one\nok: 1 passed\n" {
			t.Errorf("exit status is %d, it prints\n%s%s", status, stdout, stderr)
		}
	}
}

// TestCasesFail shows what differs, without values of Secrets.
func TestCasesFail(t *testing.T) {
	wrong := strings.NewReplacer("hello with very-secret", "hullo with very-secret", "token: dmVyeS1zZWNyZXQ=\n      kind", "token: b2xkLXNlY3JldA==\n      kind").
		Replace(officeExpect)
	dir := testFolder(t, map[string]string{
		"a_test.yaml": officeCase + wrong,
		"b_test.yaml": strings.Replace(officeCase, "name: one", "name: not-me", 1) + "expect: {}\n",
		"c_test.yaml": "object: {apiVersion: v1, kind: Service, metadata: {name: s}}\nexpect: {status: {}}\n",
		"d_test.yaml": strings.Replace(officeCase, "- {apiVersion: v1, kind: Secret", "- {apiVersion: v1, kind: ConfigMap", 1) + "expect: {children: {}}\n",
	})
	stdout, stderr, status := runTest(t, dir)
	want := `FAIL    DIR/a
--- child copy (expected)
+++ child copy (got)
@@ -1,6 +1,6 @@
 apiVersion: v1
 data:
-  token: '[REDACTED]'
+  token: '[REDACTED] (changed)'
 kind: Secret
 metadata:
   name: one-copy
--- child line (expected)
+++ child line (got)
@@ -1,6 +1,6 @@
 apiVersion: v1
 data:
-  line: hullo with [REDACTED]
+  line: hello with [REDACTED]
 kind: ConfigMap
 metadata:
   name: line
FAIL    DIR/b
--- excluded (expected)
+++ excluded (got)
@@ -0,0 +1 @@
+the definition's where is not true for it (object.metadata.name != "not-me")
FAIL    DIR/c
DIR/controllers.yaml:20:102: the error comes from here
--- error (expected)
+++ error (got)
@@ -0,0 +1 @@
+composing: child name: evaluating metadata.name: object.metadata.labels.name at 1:23: no such key: labels
FAIL    DIR/d
--- pending copy (expected)
+++ pending copy (got)
@@ -0,0 +1 @@
+waiting for related token: evaluating data: related.token.data at 1:14: no such key: token
--- pending line (expected)
+++ pending line (got)
@@ -0,0 +1 @@
+waiting for child copy: it is not known yet
--- child password (expected)
+++ child password (got)
@@ -0,0 +1,8 @@
+apiVersion: v1
+data:
+  password: '[REDACTED]'
+  user: '[REDACTED]'
+kind: Secret
+metadata:
+  name: password
+  namespace: a
FAIL: 4 failed, 0 passed
`
	if diff := cmp.Diff(want, stdout); diff != "" || status != daemon.ExitFailure || stderr != "" {
		t.Errorf("exit status is %d, standard error %q, and it prints something else (-want +got):\n%s", status, stderr, diff)
	}
}

// TestCasesReports reads what is printed for programs.
func TestCasesReports(t *testing.T) {
	dir := testFolder(t, map[string]string{
		"good_test.yaml": officeCase + officeExpect, "bad_test.yaml": officeCase + "expect: {error: nothing works}\n",
		"site_test.yaml": "object: {apiVersion: demo.kooperd.dev/v1, kind: Website, metadata: {name: s}}\nexpect: {children: {}}\n",
	})
	stdout, _, status := runTest(t, dir, "-o", "json")
	var report struct {
		Cases                   []struct{ Name, Result, Why, Diff string }
		Passed, Failed, Skipped int
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || status != daemon.ExitFailure {
		t.Fatalf("exit status is %d, and it prints %s, %v", status, stdout, err)
	}
	if report.Passed != 1 || report.Failed != 1 || report.Skipped != 1 || len(report.Cases) != 3 {
		t.Fatalf("it reports %+v", report)
	}
	bad, skipped := report.Cases[0], report.Cases[2]
	if want := "-nothing works\n"; bad.Name != "DIR/bad" || bad.Result != "failed" || !strings.Contains(bad.Diff, want) {
		t.Errorf("of the bad case it reports %+v", bad)
	}
	want := "definition sites asks a program what should exist (exec), which is run only with --run-programs"
	if skipped.Result != "skipped" || skipped.Why != want {
		t.Errorf("of the program it reports %+v", skipped)
	}
	stdout, _, status = runTest(t, dir, "-o", "junit")
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suite    struct {
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure string `xml:"failure"`
				Skipped *struct {
					Message string `xml:"message,attr"`
				} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(stdout), &suites); err != nil || status != daemon.ExitFailure || suites.Tests != 3 || suites.Failures != 1 ||
		!strings.Contains(suites.Suite.Cases[0].Failure, "-nothing works\n") || suites.Suite.Cases[2].Skipped == nil {
		t.Errorf("exit status is %d, and it prints %s, %v", status, stdout, err)
	}
	stdout, _, status = runTest(t, dir, "--run", "go+d$")
	if status != daemon.ExitOK || stdout != "ok      DIR/good\nok: 1 passed\n" {
		t.Errorf("with --run, exit status is %d, and it prints %s", status, stdout)
	}
}

// TestCasesAskWhomTheyMay runs a program and calls a hook at another address.
func TestCasesAskWhomTheyMay(t *testing.T) {
	var asked []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked = append(asked, req.URL.Path+req.Header.Get("Authorization"))
		_, _ = w.Write([]byte(`{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page"}}]}`))
	}))
	defer hook.Close()
	const expect = "expect:\n  children:\n    ConfigMap/page: {apiVersion: v1, kind: ConfigMap, metadata: {name: page, namespace: default}}\n"
	dir := testFolder(t, map[string]string{
		"site_test.yaml": "object: {apiVersion: demo.kooperd.dev/v1, kind: Website, metadata: {name: s}}\n" + expect,
		"shop_test.yaml": "object: {apiVersion: demo.kooperd.dev/v1, kind: Shop, metadata: {name: s}}\n" + expect,
	})
	stdout, stderr, status := runTest(t, dir)
	want := "skip    DIR/shop: definition hooked asks a service what should exist (webhook), which is called only with --hook hooked or --hook hooked=URL\n" +
		"skip    DIR/site: definition sites asks a program what should exist (exec), which is run only with --run-programs\nok: 0 passed, 2 skipped\n"
	if status != daemon.ExitOK || stderr != "" || stdout != want || len(asked) > 0 {
		t.Errorf("exit status is %d, it has asked %q, standard error is %q, and it prints\n%s", status, asked, stderr, stdout)
	}
	stdout, stderr, status = runTest(t, dir, "--run-programs", "--hook", "hooked="+hook.URL)
	if status != daemon.ExitOK || stderr != "" || !strings.HasSuffix(stdout, "ok: 2 passed\n") {
		t.Errorf("exit status is %d, standard error is %q, and it prints\n%s", status, stderr, stdout)
	}
	for _, path := range asked {
		if path != "/shops/sync" {
			t.Errorf("the hook is called at %s, or with a token", path)
		}
	}
	for hook, want := range map[string]string{
		"shops":                  `--hook: there is no definition "shops"; there are: hooked, named, office, sites`,
		"sites":                  "--hook: definition sites has no hooks that are called: its plugin is exec",
		"hooked=127.0.0.1:80":    "--hook hooked: want a URL such as http://127.0.0.1:8080",
		"hooked=http://a.b/path": "--hook hooked: want a URL without a path: paths are those of the config",
		"=http://a.b":            "--hook =http://a.b: want NAME or NAME=URL, with the name of a definition",
	} {
		if stdout, stderr, status := runTest(t, dir, "--hook", hook); status != daemon.ExitUsage || stdout != "" || stderr != "kooperd: "+want+"\n" {
			t.Errorf("of --hook %s, exit status is %d, and it says %q%q", hook, status, stdout, stderr)
		}
	}
}

func TestCasesWithMistakes(t *testing.T) {
	const pod = "object: {apiVersion: v1, kind: Pod, metadata: {name: p}}\nexpect: {}\n"
	cases := map[string]struct {
		files map[string]string
		args  []string
		want  string
	}{
		"no cases":       {nil, nil, "kooperd: there are no cases in DIR: their files have names that end in _test.yaml\n"},
		"none matches":   {map[string]string{"a_test.yaml": officeCase}, []string{"--run", "x$"}, "kooperd: there is no case whose name matches --run\n"},
		"bad pattern":    {map[string]string{"a_test.yaml": officeCase}, []string{"--run", "("}, "kooperd: --run: error parsing regexp: missing closing ): `(`\n"},
		"no expect":      {map[string]string{"a_test.yaml": officeCase}, nil, "DIR/a_test.yaml:2:1: it expects nothing: want the field expect, which --update writes\n"},
		"a kind":         {map[string]string{"a_test.yaml": pod}, nil, "DIR/a_test.yaml:1:9: no definition fits Pod p of v1; definitions watch: Shop of demo.kooperd.dev/v1 (hooked), Service of v1 (named), ConfigMap of v1 (office), Website of demo.kooperd.dev/v1 (sites)\n"},
		"a definition":   {map[string]string{"a_test.yaml": "definition: x\n" + pod}, nil, "DIR/a_test.yaml:1:1: there is no definition \"x\"; there are: hooked, named, office, sites\n"},
		"a file":         {map[string]string{"a_test.yaml": "object: none.yaml\nexpect: {}\n"}, nil, "DIR/a_test.yaml:1:9: reading objects: open DIR/none.yaml: no such file or directory\n"},
		"many objects":   {map[string]string{"a_test.yaml": "object: o.yaml\nexpect: {}\n", "o.yaml": office + "---\n" + office}, nil, "DIR/a_test.yaml:1:9: DIR/o.yaml has 2 objects of kinds that definitions watch: want one, or the object itself in place of the path\n"},
		"two mistakes":   {map[string]string{"a_test.yaml": "x: y\n", "b_test.yaml": "[]\n"}, nil, "DIR/a_test.yaml:1:1: there is no field \"x\"; there are: config, crds, definition, object, children, related, expect\nDIR/b_test.yaml:1:1: want a case with object and expect, have a list\n"},
		"no config":      {map[string]string{"a_test.yaml": "config: none.cue\n" + pod}, nil, "DIR/none.cue: cannot be read: no such file or directory\n"},
		"a bad config":   {map[string]string{"a_test.yaml": "config: c.yaml\n" + pod, "c.yaml": "apiVersion: x\n"}, nil, "DIR/c.yaml:1:1: controllers: required field is missing\n"},
		"a wrong format": {map[string]string{"a_test.yaml": officeCase}, []string{"-o", "tap"}, "kooperd: unknown format \"tap\", want one of: text, json, junit\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runTest(t, testFolder(t, tc.files), tc.args...)
			if status != daemon.ExitUsage || stdout != "" || !strings.HasPrefix(stderr, tc.want) {
				t.Errorf("exit status is %d, standard output %q, standard error\n%s, want\n%s", status, stdout, stderr, tc.want)
			}
		})
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "cases"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cases", "a_test.yaml"), []byte(pod), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, status := runTest(t, filepath.Join(dir, "cases"))
	if status != daemon.ExitUsage || !strings.Contains(stderr, "it names no config, and there is none beside it or above (controllers.cue,") {
		t.Errorf("without a config, exit status is %d, and it says %s", status, stderr)
	}
}

// TestCasesKnowWhatWasMade deletes a child that is not desired any more, changes one, and leaves
// one alone that is made once.
func TestCasesKnowWhatWasMade(t *testing.T) {
	dir := testFolder(t, map[string]string{"a_test.yaml": officeCase + `children:
  line: {apiVersion: v1, kind: ConfigMap, metadata: {name: line, namespace: a}, data: {other: x}}
  old: {apiVersion: v1, kind: ConfigMap, metadata: {name: old, namespace: a}}
  password: {apiVersion: v1, kind: Secret, metadata: {name: password, namespace: a}, data: {password: b25l}}
expect:
  deleted: [ConfigMap a/old]
  children:
    copy: {apiVersion: v1, kind: Secret, metadata: {name: one-copy, namespace: a}, data: {token: dmVyeS1zZWNyZXQ=}}
    line: {apiVersion: v1, kind: ConfigMap, metadata: {name: line, namespace: a}, data: {line: hello with very-secret}}
    password: {apiVersion: v1, kind: Secret, metadata: {name: password, namespace: a}}
`})
	if stdout, stderr, status := runTest(t, dir); status != daemon.ExitOK || stderr != "" {
		t.Errorf("exit status is %d, and it prints\n%s%s", status, stdout, stderr)
	}
}

// TestExampleCases runs the cases of the examples whose plugins this binary has.
func TestExampleCases(t *testing.T) {
	for _, name := range []string{"website", "secret-copy", "namespace-defaults", "decorate", "postgres", "webhook-python", "webhook-node"} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runTest(t, filepath.Join("..", "..", "examples", name))
			if status != daemon.ExitOK || stderr != "" {
				t.Errorf("exit status is %d, and it prints\n%s%s", status, stdout, stderr)
			}
		})
	}
}
