package hook_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// page is a child of an answer.
const page = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page"}}`

// TestLies has answers that are wrong. Each is an error of the call, and never an empty set of
// children.
func TestLies(t *testing.T) {
	tests := map[string]struct {
		config hook.Config
		parent string // default: website
		answer string
		want   string
	}{
		"nothing":                 {answer: ``, want: "sync hook: the answer is empty"},
		"white space":             {answer: " \n", want: "sync hook: the answer is empty"},
		"a page of HTML":          {answer: `<html>busy</html>`, want: `sync hook: the answer is no JSON: invalid character '<'`},
		"null":                    {answer: `null`, want: "sync hook: the answer is null, want an object"},
		"a list":                  {answer: `[]`, want: "sync hook: the answer is a list, want an object"},
		"a string":                {answer: `"ok"`, want: "sync hook: the answer is a string, want an object"},
		"two values":              {answer: `{} {}`, want: "sync hook: the answer is no JSON"},
		"half of a value":         {answer: `{"children":[`, want: "sync hook: the answer is no JSON"},
		"no UTF-8":                {answer: "{\"children\":[],\"status\":{\"a\":\"\xff\"}}", want: "sync hook: the answer is no UTF-8"},
		"an unknown field":        {answer: `{"children":[],"kids":[]}`, want: "sync hook: kids: means nothing here; known are children, status"},
		"a field of another case": {answer: `{"Children":[]}`, want: `sync hook: Children: means nothing here; did you mean "children"?`},
		"the same, loosely": {
			config: hook.Config{Decode: hook.Loose}, answer: `{"Children":[]}`, want: `sync hook: Children: means nothing here; did you mean "children"?`,
		},
		"nothing that is known, loosely": {
			config: hook.Config{Version: hook.V1}, answer: `{"error":"no database"}`,
			want: "sync hook: the answer: it has none of the fields children, status",
		},
		"attachments of a composite": {
			config: hook.Config{Version: hook.V1}, answer: `{"attachments":[]}`, want: "sync hook: the answer: it has none of the fields",
		},
		"children of a decorator": {
			config: hook.Config{Shape: hook.Decorator}, answer: `{"children":[]}`, want: "sync hook: children: means nothing here",
		},
		"labels of a composite":    {answer: `{"labels":{}}`, want: "sync hook: labels: means nothing here"},
		"a field twice":            {answer: `{"children":[` + page + `],"children":[]}`, want: "sync hook: children: is there twice"},
		"a field of a child twice": {answer: `{"children":[{"kind":"a","kind":"b"}]}`, want: "sync hook: children[0].kind: is there twice"},
		"children as an object":    {answer: `{"children":{"a":` + page + `}}`, want: "sync hook: children: is an object, want a list"},
		"children as a string":     {answer: `{"children":"none"}`, want: "sync hook: children: is a string, want a list"},
		"a child that is null":     {answer: `{"children":[null]}`, want: "sync hook: children[0]: is null, want an object"},
		"a child that is a list":   {answer: `{"children":[[]]}`, want: "sync hook: children[0]: is a list, want an object"},
		"a child without a kind":   {answer: `{"children":[{"apiVersion":"v1"}]}`, want: "sync hook: children[0]: want apiVersion and kind"},
		"a kind that is a number":  {answer: `{"children":[{"apiVersion":"v1","kind":3}]}`, want: "sync hook: children[0].kind: is a number, want a string"},
		"a child of another kind": {
			answer: `{"children":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}]}`,
			want:   `sync hook: children[0]: is "v1" "Secret", which is not among the children of the definition`,
		},
		"a child of another version": {
			answer: `{"children":[{"apiVersion":"v2","kind":"ConfigMap","metadata":{"name":"a"}}]}`,
			want:   `is "v2" "ConfigMap", which is not among the children of the definition; the definition has it as v1`,
		},
		"a child without metadata": {answer: `{"children":[{"apiVersion":"v1","kind":"ConfigMap"}]}`, want: "sync hook: children[0].metadata.name: is missing"},
		"a child without a name": {
			answer: `{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"a"}}]}`, want: "children[0].metadata.name: is missing",
		},
		"a child that generates its name": {
			answer: `{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"a-"}}]}`,
			want:   "children[0].metadata.name: is missing, and generateName would make another object for each call",
		},
		"a name that is a number": {
			answer: `{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":1}}]}`, want: "children[0].metadata.name: is a number, want a string",
		},
		"a label that is a number": {
			answer: `{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"example.com/a":1}}}]}`,
			want:   `children[0].metadata.labels["example.com/a"]: is a number, want a string`,
		},
		"a child twice": {
			answer: `{"children":[` + page + `,{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"page","namespace":"team-a"}}]}`,
			want:   "sync hook: children[1]: children[0] is the same object: ConfigMap/page",
		},
		"a child in another namespace": {
			answer: `{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"team-b"}}]}`,
			want:   `children[0].metadata.namespace: is "team-b", and that of the parent is "team-a": say anyNamespace: true for the kind`,
		},
		"a child in no namespace": {
			parent: tenant, answer: `{"children":[` + page + `]}`, want: "children[0].metadata.namespace: is missing, and the parent has none",
		},
		"a namespace where there is none": {
			config: hook.Config{Children: []hook.Child{{APIVersion: "v1", Kind: "Namespace"}}},
			answer: `{"children":[{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","namespace":"b"}}]}`,
			want:   `children[0].metadata.namespace: is "b", and a Namespace has no namespace`,
		},
		"a status that is a string":  {answer: `{"status":"fine"}`, want: "sync hook: status: is a string, want an object"},
		"finalized as a string":      {answer: `{"finalized":"yes"}`, want: "sync hook: finalized: is a string, want true or false"},
		"a time that is a string":    {answer: `{"resyncAfterSeconds":"5"}`, want: "sync hook: resyncAfterSeconds: is a string, want a number"},
		"a time that is no number":   {answer: `{"resyncAfterSeconds":NaN}`, want: "sync hook: the answer is no JSON: invalid character 'N'"},
		"a time beyond all numbers":  {answer: `{"resyncAfterSeconds":1e999}`, want: "sync hook: resyncAfterSeconds: is a number that is too large"},
		"a number beyond all others": {answer: `{"status":{"n":[1,-1e999]}}`, want: "sync hook: status.n[1]: is a number that is too large"},
		"labels as a list": {
			config: hook.Config{Shape: hook.Decorator}, answer: `{"labels":["a"]}`, want: "sync hook: labels: is a list, want an object",
		},
		"an annotation that is a number": {
			config: hook.Config{Shape: hook.Decorator}, answer: `{"annotations":{"n":1}}`, want: "sync hook: annotations.n: is a number, want a string or null",
		},
		"several mistakes": {
			answer: `{"children":[{},{"apiVersion":"v1","kind":"Secret"}],"finalized":1}`, want: "sync hook: finalized: is a number, want true or false",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if len(tt.config.Children) == 0 {
				tt.config.Children = configMaps().Children
			}
			if tt.parent == "" {
				tt.parent = website
			}
			composition, err := compose(t, tt.config, tt.parent, tt.answer)
			wantError(t, err, tt.want)
			if diff := cmp.Diff(handlers.Composition{}, composition); diff != "" {
				t.Errorf("the composition is not empty (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllMistakesComeTogether(t *testing.T) {
	children := strings.Repeat(`{"apiVersion":"v1","kind":"ConfigMap"},`, 12) + page
	_, err := compose(t, configMaps(), website, `{"children":[`+children+`]}`)
	wantError(t, err, "children[0].metadata.name: is missing")
	wantError(t, err, "children[7].metadata.name: is missing")
	wantError(t, err, "and 4 more mistakes")
}

func TestQuotesAreShort(t *testing.T) {
	long := strings.Repeat("ä", 10_000)
	for _, answer := range []string{
		"<" + long, `{"` + long + `":1}`, `{"children":[{"apiVersion":"` + long + `","kind":"` + long + `"}]}`,
		`{"status":{"` + long + `":{"` + long + `":1e999}}}`,
		`{"status":` + strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000) + "}",
	} {
		_, err := compose(t, configMaps(), website, answer)
		if err == nil {
			t.Fatal("have no error")
		}
		if len(err.Error()) > 2500 {
			t.Errorf("the error has %d bytes: %.200s", len(err.Error()), err)
		}
	}
}

func TestDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	if _, err := compose(t, configMaps(), website, `{"status":`+nested(255)+`}`); err != nil {
		t.Errorf("an answer of 256 levels is refused: %v", err)
	}
	_, err := compose(t, configMaps(), website, `{"status":`+nested(256)+`}`)
	wantError(t, err, "is too deep: objects and lists may be 256 in each other")
	_, err = compose(t, configMaps(), website, `{"status":`+strings.Repeat("[", 300)+strings.Repeat("]", 300)+`}`)
	wantError(t, err, "is too deep: objects and lists may be 256 in each other")
	_, err = compose(t, configMaps(), website, `{"status":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`)
	if err == nil {
		t.Error("an answer that is far too deep is accepted")
	}
}

func TestNothingIsDesired(t *testing.T) {
	for _, answer := range []string{`{}`, `{"children":null}`, `{"children":[]}`} {
		for _, version := range []hook.Version{hook.V1, hook.V2} {
			c := configMaps()
			c.Version = version
			composition, err := compose(t, c, website, answer)
			if err != nil || len(composition.Children) > 0 {
				t.Errorf("%s by %s: have %v and %v", answer, version, composition.Children, err)
			}
		}
	}
}

func TestUnknownFieldsLoosely(t *testing.T) {
	c := configMaps()
	c.Version = hook.V1
	composition, err := compose(t, c, website, `{"children":[],"children":[`+page+`],"note":"hello"}`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ConfigMap/page"}, namesOf(composition.Children)); diff != "" {
		t.Errorf("children (-want +got):\n%s", diff)
	}
	c.Decode = hook.Strict
	_, err = compose(t, c, website, `{"children":[],"note":"hello"}`)
	wantError(t, err, "sync hook: note: means nothing here")
}

func TestStatus(t *testing.T) {
	tests := map[string]any{
		`{}`:                               nil,
		`{"status":null}`:                  nil,
		`{"status":{}}`:                    map[string]any{},
		`{"status":{"n":1,"f":1.5}}`:       map[string]any{"n": int64(1), "f": 1.5},
		`{"status":{"big":1e3,"no":null}}`: map[string]any{"big": 1000.0, "no": nil},
	}
	for answer, want := range tests {
		for _, shape := range []hook.Shape{hook.Composite, hook.Decorator} {
			composition, err := compose(t, hook.Config{Shape: shape}, website, answer)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, composition.Status); diff != "" {
				t.Errorf("status of %s of a %s (-want +got):\n%s", answer, shape, diff)
			}
		}
	}
}

func TestResync(t *testing.T) {
	tests := map[string]time.Duration{
		`0`: 0, `-1`: 0, `-1e300`: 0, `null`: 0, `0.5`: 500 * time.Millisecond, `90`: 90 * time.Second, `1e-9`: 100 * time.Millisecond,
		`1.25`: 1250 * time.Millisecond, `1e300`: 365 * 24 * time.Hour, `9223372036854775807`: 365 * 24 * time.Hour,
		`99999999999999999999`: 365 * 24 * time.Hour,
	}
	for seconds, want := range tests {
		composition, err := compose(t, hook.Config{}, website, `{"resyncAfterSeconds":`+seconds+`}`)
		if err != nil || composition.RequeueAfter != want {
			t.Errorf("after %s seconds: have %s and %v, want %s", seconds, composition.RequeueAfter, err, want)
		}
	}
}

func TestFinalizedCountsInFinalizeAlone(t *testing.T) {
	caller := &scripted{answers: map[hook.Name]string{hook.Sync: `{"finalized":true}`, hook.Finalize: `{"finalized":true}`}}
	composer := newComposer(t, hook.Config{}, hook.Hooks{Finalize: true}, caller)
	for _, finalizing := range []bool{false, true} {
		composition, err := composer.Compose(t.Context(), handlers.ComposeRequest{Object: object(t, website), Finalizing: finalizing})
		if err != nil || composition.Finalized != finalizing {
			t.Errorf("finalizing %t: have %t and %v", finalizing, composition.Finalized, err)
		}
	}
}

func TestMarks(t *testing.T) {
	answer := `{"labels":{"a":"b","gone":null},"annotations":{"c":"","gone":null},"attachments":[` + page + `]}`
	c := configMaps()
	c.Shape = hook.Decorator
	composition, err := compose(t, c, website, answer)
	if err != nil {
		t.Fatal(err)
	}
	b, empty := "b", ""
	if diff := cmp.Diff(map[string]*string{"a": &b, "gone": nil}, composition.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]*string{"c": &empty, "gone": nil}, composition.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if !hook.Marks(c) || hook.Marks(configMaps()) {
		t.Error("a decorator sets marks, and nothing else does")
	}
	for _, nothing := range []string{`{}`, `{"labels":null}`, `{"labels":{}}`} {
		composition, err := compose(t, c, website, nothing)
		if err != nil || composition.Labels != nil || composition.Annotations != nil {
			t.Errorf("%s: have %v, %v, and %v", nothing, composition.Labels, composition.Annotations, err)
		}
	}
}

// FuzzAnswer decodes whatever a hook may say: it is refused, or means the same when it is said
// again.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"children":[` + page + `],"status":{"a":[1,2.5,null,"x"]},"resyncAfterSeconds":0.5,"finalized":true}`,
		`{"attachments":[` + page + `],"labels":{"a":null,"b":"c"},"annotations":{}}`, `{"Children":[]}`, `[[[[`, `{"a":1e999}`, ``, `null`,
		`{"children":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":null,"namespace":"team-a"},"status":{}}]}`,
	} {
		f.Add([]byte(seed), false, false)
		f.Add([]byte(seed), true, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, loose, decorator bool) {
		c := configMaps()
		if loose {
			c.Decode = hook.Loose
		}
		if decorator {
			c.Shape = hook.Decorator
		}
		composer := newComposer(t, c, hook.Hooks{}, &scripted{answers: map[hook.Name]string{hook.Sync: string(body)}})
		req := handlers.ComposeRequest{Object: object(t, website)}
		first, err := composer.Compose(t.Context(), req)
		second, again := composer.Compose(t.Context(), req)
		if (err == nil) != (again == nil) || err != nil && err.Error() != again.Error() {
			t.Fatalf("the errors differ: %v and %v", err, again)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("the answers differ (-first +second):\n%s", diff)
		}
		if err != nil && (len(err.Error()) > 8<<10 || errors.Is(err, errTest)) {
			t.Fatalf("the error has %d bytes", len(err.Error()))
		}
	})
}
