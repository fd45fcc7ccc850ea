package cases_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/cases"
)

const first = `# A case with everything.
config: ../controllers.cue
crds: [../crd.yaml]
definition: website

object:
  apiVersion: demo.kooperd.dev/v1
  kind: Website
  metadata: {name: home} # in short
  spec: {replicas: 2, since: 2024-01-01, share: 1.0, half: 0.5}

children:
  page: {apiVersion: v1, kind: ConfigMap, metadata: {name: home-page}}
related:
- ../objects.yaml
- {apiVersion: v1, kind: Namespace, metadata: {name: a}}

# What should come of it.
expect:
  # It has to be there at once.
  children:
    page:
      apiVersion: v1
      kind: ConfigMap # as always
      metadata: {name: home-page}
      data:
        run.sh: |
          #!/bin/sh
          # This is no comment of the file.
    # It comes after the page.
    service:
      apiVersion: v1
      kind: Service
      metadata:
        name: home

  # The status is complete.
  status: {url: x}
  waiting:
    service: it waits
`

func parse(t *testing.T, text string) *cases.Case {
	t.Helper()
	c, err := cases.Parse("cases/first_test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParse(t *testing.T) {
	c := parse(t, first)
	at := func(line, column int) cases.Position {
		return cases.Position{File: "cases/first_test.yaml", Line: line, Column: column}
	}
	object := func(kind, name string) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}
	}
	want := &cases.Case{
		Name: "cases/first", Path: "cases/first_test.yaml", Config: []string{"controllers.cue"}, CRDs: []string{"crd.yaml"}, Definition: "website",
		Object: cases.Source{At: at(7, 3), Object: map[string]any{
			"apiVersion": "demo.kooperd.dev/v1", "kind": "Website", "metadata": map[string]any{"name": "home"},
			"spec": map[string]any{"replicas": int64(2), "since": "2024-01-01", "share": int64(1), "half": 0.5},
		}},
		Made:    map[string]cases.Source{"page": {At: at(13, 9), Object: object("ConfigMap", "home-page")}},
		Related: []cases.Source{{Path: "objects.yaml", At: at(15, 3)}, {At: at(16, 3), Object: object("Namespace", "a")}},
		At:      at(2, 1),
	}
	page, service := object("ConfigMap", "home-page"), object("Service", "home")
	page["data"] = map[string]any{"run.sh": "#!/bin/sh\n# This is no comment of the file.\n"}
	want.Expect = cases.Outcome{
		cases.Children: map[string]any{"page": page, "service": service}, cases.Status: map[string]any{"url": "x"},
		cases.Waiting: map[string]any{"service": "it waits"},
	}
	ignoreText := cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "text" }, cmp.Ignore())
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(cases.Case{}), ignoreText); diff != "" {
		t.Errorf("it is read as something else (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	const object = "object: {apiVersion: v1, kind: Pod, metadata: {name: p}}\n"
	for text, want := range map[string]string{
		"":                                       "1:1: the file is empty: want a case with object and expect",
		"a: b: c\n":                              "1:5: not YAML: mapping values are not allowed in this context",
		"- 1\n":                                  "1:1: want a case with object and expect, have a list",
		object + "---\n" + object:                "3:1: a second case begins here: want a file for each",
		"expect: {}\n":                           "1:1: there is no object: want the field object, an object or a path of a file with it",
		object + "expects: {}\n":                 `2:1: there is no field "expects"; there are: config, crds, definition, object, children, related, expect`,
		object + object:                          `2:1: the key "object" is there twice, first on line 1`,
		"object: [1]\n":                          "1:9: want an object, or the path of a file with objects, have a list",
		"object: {kind: Pod, apiVersion: v1}\n":  "1:9: want an object of Kubernetes with apiVersion, kind and metadata.name, but it has no metadata.name",
		object + "definition: 3\n":               `2:13: want a text, have the value "3"`,
		object + "config: [a, {}]\n":             "2:13: want a text, have an object",
		object + "related: {kind: Pod}\n":        "2:10: want a list of objects and paths of files, or one path, have an object",
		object + "children: {page: x}\n":         `2:18: want an object of Kubernetes, have the value "x"`,
		object + "children: {apiVersion: v1}\n":  "2:12: this looks like an object: want objects by the names of the children, or a list of objects",
		object + "expect: [x]\n":                 "2:9: want an object with what is expected, have a list",
		object + "expect: {errors: x}\n":         `2:10: there is no field "errors"; there are: excluded, error, problems, refused, pending, waiting, deleted, children, patches, metadata, status, statusPending, conditions, requeueAfter`,
		object + "expect: {error: [x]}\n":        "2:17: want a text, have a list",
		object + "expect: {deleted: x}\n":        `2:19: want a list of texts, have the value "x"`,
		object + "expect: {status: 1}\n":         `2:18: want an object, have the value "1"`,
		object + "expect: {children: {a: b}}\n":  `2:24: want an object, have the value "b"`,
		object + "expect: {waiting: {a: {}}}\n":  "2:23: want a text, have an object",
		object + "expect: {status: {a: .inf}}\n": "2:22: .inf is not a finite number: write it in quotes for a text",
		object + "expect: {status: {a: !x b}}\n": "2:22: the YAML tag !x has no meaning here: leave it out",
		"object: &o {apiVersion: v1, kind: Pod, metadata: {name: *o}}\n": "nested more than 200 levels deep",
		object + "expect: {status: {a: {<<: {b: c}}}}\n":                 "2:23: keys are not merged here: write them out",
	} {
		_, err := cases.Parse("c_test.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q is refused with\n%v, want\n%s", text, err, want)
		}
	}
}

// TestRewrite shows that all that stays as it is keeps its text.
func TestRewrite(t *testing.T) {
	c := parse(t, first)
	expect := cases.Outcome{
		cases.Children: map[string]any{
			"page": c.Expect[cases.Children].(map[string]any)["page"],
			"late": map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "late"}},
		},
		cases.Status: map[string]any{"url": "y"},
		cases.Error:  "no: it is not",
	}
	text, err := c.Rewrite(expect)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(first, `    # It comes after the page.
    service:
      apiVersion: v1
      kind: Service
      metadata:
        name: home

`, `    late:
      apiVersion: v1
      kind: Secret
      metadata:
        name: late

`, 1)
	want = strings.Replace(want, "  status: {url: x}\n  waiting:\n    service: it waits\n", "  status:\n    url: \"y\"\n  error: 'no: it is not'\n", 1)
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("it is another text (-want +got):\n%s", diff)
	}
	same, err := c.Rewrite(c.Expect)
	if err != nil || string(same) != first {
		t.Errorf("the same expectation makes another text: %v (-want +got)\n%s", err, cmp.Diff(first, string(same)))
	}
}

// TestRewriteAny writes expectations into files of many forms, and reads them again.
func TestRewriteAny(t *testing.T) {
	const object = "object: {apiVersion: v1, kind: Pod, metadata: {name: p}}"
	outcomes := []cases.Outcome{
		{}, {cases.Error: "- a: b # c"}, {cases.Deleted: []any{"Pod a/b"}, cases.Status: map[string]any{"text": "a\n\n# b\n", "list": []any{int64(1), 0.5, nil}}},
		{cases.Children: map[string]any{"a/b": map[string]any{"kind": "X", "data": map[string]any{"x": " # y\n"}}, "": map[string]any{}}},
	}
	for _, text := range []string{
		object, object + "\n", object + "\n# end", object + "\nexpect: {}\n", object + "\nexpect: {error: x}   # why\nrelated: []\n",
		"expect:\n    status:\n        a: 1   # one\n    error: |-\n        x\n        # y\n\n\n" + object + "\n",
		object + "\nexpect:\n  children:\n  # first\n    \"a/b\": {kind: X}\n\n  # last\n# end\n",
		object + "\nexpect: &e\n  error: x\n", object + "\r\nexpect:\r\n  error: x\r\n  # y\r\n", "---\n" + object + "\nexpect:\n  error:\n    x\n",
		"expect:\n  status: {a: &a {b: c}, d: *a}\n" + object, "? expect\n: error: x\n" + object + "\n",
	} {
		for i, want := range outcomes {
			c := parse(t, text)
			rewritten, err := c.Rewrite(want)
			if err != nil {
				if strings.Contains(text, "? expect") {
					continue // It says so.
				}
				t.Errorf("outcome %d in %q: %v", i, text, err)
				continue
			}
			if got := parse(t, string(rewritten)); !reflect.DeepEqual(got.Expect, want) || !reflect.DeepEqual(got.Object.Object, c.Object.Object) {
				t.Errorf("outcome %d in %q becomes\n%s", i, text, rewritten)
			}
		}
	}
	c := parse(t, "{"+object+", expect: {error: x}}\n")
	if _, err := c.Rewrite(outcomes[1]); err == nil || !strings.Contains(err.Error(), "write expect as a block") {
		t.Errorf("a file in one line is updated, or the error is %v", err)
	}
}

func TestCompare(t *testing.T) {
	object := func(name string) map[string]any { return map[string]any{"name": name} }
	want := cases.Outcome{cases.Children: map[string]any{"a": object("a"), "b": object("b")}, cases.Status: map[string]any{}}
	got := cases.Outcome{
		cases.Children: map[string]any{"b": object("x"), "c": object("c")}, cases.Conditions: map[string]any{"Ready": object("x")},
		cases.Deleted: []any{"Pod a/b"}, cases.Waiting: map[string]any{"b": "it waits"},
	}
	var texts []string
	for _, d := range cases.Compare(want, got) {
		texts = append(texts, d.String())
	}
	if diff := cmp.Diff([]string{"waiting b", "deleted", "child a", "child b", "child c"}, texts); diff != "" {
		t.Errorf("other things differ (-want +got):\n%s", diff)
	}
	for name, updated := range map[string]cases.Outcome{"of a case": cases.Update(want, got), "of a new case": cases.Update(nil, got)} {
		if differences := cases.Compare(updated, got); len(differences) > 0 {
			t.Errorf("%s: after an update, these differ: %v", name, differences)
		}
	}
	if _, said := cases.Update(want, got)[cases.Conditions]; said {
		t.Error("an update adds what nobody has asked for")
	}
	for _, tc := range []struct {
		want, got cases.Outcome
		loses     bool
	}{
		{want, got, false},
		{want, cases.Outcome{cases.Error: "the hook is down"}, true},
		{want, cases.Outcome{cases.Excluded: "its labels are others"}, true},
		{nil, cases.Outcome{cases.Error: "the hook is down"}, false},
		{cases.Outcome{cases.Error: "no"}, cases.Outcome{cases.Error: "the hook is down"}, false},
		{cases.Outcome{cases.Error: "no", cases.Status: map[string]any{}}, cases.Outcome{cases.Error: "no", cases.Status: object("x")}, false},
	} {
		if cases.Loses(tc.want, tc.got) != tc.loses {
			t.Errorf("that an update of %v with %v forgets something is %t", tc.want, tc.got, !tc.loses)
		}
	}
	if _, said := cases.Update(nil, cases.Outcome{})[cases.Children]; !said {
		t.Error("a new case does not say that there are no children")
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b_test.yaml", "sub/a_test.yaml", "objects.yaml", "other/x.yaml"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := cases.Find([]string{dir, filepath.Join(dir, "sub", "a_test.yaml")})
	want := []string{filepath.Join(dir, "b_test.yaml"), filepath.Join(dir, "sub", "a_test.yaml")}
	if err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("it finds %q, %v, want %q", found, err, want)
	}
	for path, want := range map[string]string{
		"other":        "there are no cases in ",
		"objects.yaml": "does not end in _test.yaml",
		"nothing":      "no such file or directory",
	} {
		if _, err := cases.Find([]string{filepath.Join(dir, path)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of %s, the error is %v, want %s", path, err, want)
		}
	}
}
