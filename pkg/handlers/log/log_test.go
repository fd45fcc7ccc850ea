package log_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/handlers/log"
	"kooperd.dev/kooperd/pkg/telemetry"
)

const pod = `
apiVersion: v1
kind: Pod
metadata:
  namespace: shop
  name: cart-0
  resourceVersion: "42"
  generation: 3
  labels: {app: cart, "app.kubernetes.io/part-of": shop}
  finalizers: [a.example.com/x, b.example.com/y]
spec:
  nodeName: node-1
  priority: 9007199254740993
  hostNetwork: false
  containers:
  - {name: main, image: "cart:1"}
  - {name: proxy, image: "proxy:2"}
  nothing: null
`

func TestPlugin(t *testing.T) {
	handlerstest.Check(t, log.Plugin, handlerstest.Options{
		Configs: map[string]string{
			"empty":    `{}`,
			"metadata": `{"level":"debug","message":"seen","fields":{"labels":".metadata.labels","app":"{.metadata.labels.app}"}}`,
			"content": `{"fields":{"all":"{}","data":".data","range":"{range .spec.containers[*]}{.name}{\" \"}{end}",
				"nul":"{.data.nul}","deep":"..a","negative":".data[-1]","text":"{.kind}/{.metadata.name}"}}`,
		},
		Objects: []handlers.Object{handlerstest.Object(t, pod)},
	})
}

// newHandler makes a handler, with what it logs.
func newHandler(t *testing.T, config string) (handlers.Handler, *handlerstest.Logs) {
	t.Helper()
	logs := handlerstest.NewLogs(t)
	return handlerstest.New(t, log.Plugin, config, func(env *handlers.Env) {
		env.Logger = logs.Logger().WithValues(telemetry.KeyController, "pods")
	}), logs
}

func TestLine(t *testing.T) {
	identity := func(more map[string]any) map[string]any {
		values := map[string]any{
			"controller": "pods", "kind": "Pod", "namespace": "shop", "name": "cart-0", "resourceVersion": "42", "cause": "retry",
		}
		maps.Copy(values, more)
		return values
	}
	tests := map[string]struct {
		config string
		want   handlerstest.LogEntry
	}{
		"defaults": {
			config: `{}`,
			want:   handlerstest.LogEntry{Message: "object seen", Values: identity(nil)},
		},
		"debug": {
			config: `{"level":"debug","message":"pod"}`,
			want:   handlerstest.LogEntry{Level: 1, Message: "pod", Values: identity(nil)},
		},
		"typed values": {
			config: `{"fields":{"node":".spec.nodeName","priority":"{.spec.priority}","host":".spec.hostNetwork","labels":".metadata.labels"}}`,
			want: handlerstest.LogEntry{Message: "object seen", Values: identity(map[string]any{
				"node": "node-1", "priority": int64(9007199254740993), "host": false,
				"labels": map[string]any{"app": "cart", "app.kubernetes.io/part-of": "shop"},
			})},
		},
		"several values are a list": {
			config: `{"fields":{"images":".spec.containers[*].image","proxy":"{.spec.containers[?(@.name==\"proxy\")].image}"}}`,
			want: handlerstest.LogEntry{Message: "object seen", Values: identity(map[string]any{
				"images": []any{"cart:1", "proxy:2"}, "proxy": "proxy:2",
			})},
		},
		"templates are text": {
			config: `{"fields":{"id":"{.metadata.namespace}/{.metadata.name}","g":"{.metadata.generation}.","names":"{range .spec.containers[*]}{.name};{end}"}}`,
			want: handlerstest.LogEntry{Message: "object seen", Values: identity(map[string]any{
				"id": "shop/cart-0", "g": "3.", "names": "main;proxy;",
			})},
		},
		"what is missing or different is left out": {
			config: `{"fields":{"a":".spec.no.such","b":".spec.containers[9].name","c":".spec.nodeName[0]","d":".spec.nothing",
				"e":".metadata.annotations","f":"{.status.a}{.status.b}","g":"{range .status.x[*]}{.a}{end}",
				"h":"node {.spec.no}","i":"{.metadata.name}/{.metadata.ownerReferences[0].name}","j":"{.spec.nothing}!"}}`,
			want: handlerstest.LogEntry{Message: "object seen", Values: identity(nil)},
		},
		"escaped key": {
			config: `{"fields":{"partOf":".metadata.labels.app\\.kubernetes\\.io/part-of","same":"{.metadata.labels['app\\.kubernetes\\.io/part-of']}"}}`,
			want: handlerstest.LogEntry{Message: "object seen", Values: identity(map[string]any{
				"partOf": "shop", "same": "shop",
			})},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h, logs := newHandler(t, tc.config)
			req := handlers.Request{Object: handlerstest.Object(t, pod), Cause: handlers.CauseRetry}
			// Twice, because client-go's evaluation must not remember the first object.
			for range 2 {
				if _, err := h.Handle(t.Context(), req); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff([]handlerstest.LogEntry{tc.want, tc.want}, logs.Entries()); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEvaluationForgetsTheLastObject(t *testing.T) {
	h, logs := newHandler(t, `{"fields":{"last":".spec.items[-1]","list":"{range .spec.items[*]}{@};{end}"}}`)
	var got []any
	for _, items := range []string{"[1,2,3]", "[4]", "[]", "[5,6]"} {
		o := handlerstest.Object(t, `{"apiVersion":"v1","kind":"X","metadata":{"name":"x"},"spec":{"items":`+items+`}}`)
		if _, err := h.Handle(t.Context(), handlers.Request{Object: o}); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range logs.Entries() {
		got = append(got, e.Values["last"], e.Values["list"])
	}
	want := []any{int64(3), "1;2;3;", int64(4), "4;", nil, nil, int64(6), "5;6;"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// counting counts how often the whole object is asked for.
type counting struct {
	handlers.Object
	whole int
	err   error
}

func (c *counting) JSON() ([]byte, error) {
	c.whole++
	return c.Object.JSON()
}

func (c *counting) Into(into any) error {
	c.whole++
	if c.err != nil {
		return c.err
	}
	return c.Object.Into(into)
}

func TestDecodesNoMoreThanItNeeds(t *testing.T) {
	tests := map[string]struct {
		config string
		want   int
	}{
		"no fields":      {`{}`, 0},
		"metadata":       {`{"fields":{"a":".metadata.labels","b":"{.kind}: {.metadata.name}","c":"{.apiVersion}","d":".metadata.finalizers[1]"}}`, 0},
		"one other":      {`{"fields":{"a":".metadata.labels","b":".spec.nodeName"}}`, 1},
		"several others": {`{"fields":{"a":".spec","b":".spec.nodeName","c":".status"}}`, 1},
		"everything":     {`{"fields":{"a":"{}"}}`, 1},
		"recursive":      {`{"fields":{"a":"..name"}}`, 1},
		"root":           {`{"fields":{"a":"$.metadata.name"}}`, 1},
		"union":          {`{"fields":{"a":"{['metadata','spec']}"}}`, 1},
		"range":          {`{"fields":{"a":"{range .metadata.finalizers[*]}{@}{end}"}}`, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h, logs := newHandler(t, tc.config)
			o := &counting{Object: handlerstest.Object(t, pod)}
			if _, err := h.Handle(t.Context(), handlers.Request{Object: o}); err != nil {
				t.Fatal(err)
			}
			if o.whole != tc.want {
				t.Errorf("the object was decoded %d times, want %d", o.whole, tc.want)
			}
			var config struct {
				Fields map[string]string `json:"fields"`
			}
			if err := handlers.DecodeJSON([]byte(tc.config), &config); err != nil {
				t.Fatal(err)
			}
			values := logs.Entries()[0].Values
			for key := range config.Fields {
				if _, ok := values[key]; !ok && key != "c" {
					t.Errorf("the line has no %s: %v", key, values)
				}
			}
		})
	}
}

func TestDisabledLevelCostsNothing(t *testing.T) {
	for verbosity, want := range []int{0, 1} {
		var out bytes.Buffer
		logger, err := telemetry.NewLogger(&out, telemetry.FormatJSON, verbosity)
		if err != nil {
			t.Fatal(err)
		}
		h := handlerstest.New(t, log.Plugin, `{"level":"debug","fields":{"node":".spec.nodeName"}}`,
			func(env *handlers.Env) { env.Logger = logger })
		o := &counting{Object: handlerstest.Object(t, pod)}
		if _, err := h.Handle(t.Context(), handlers.Request{Object: o}); err != nil {
			t.Fatal(err)
		}
		if o.whole != want || strings.Count(out.String(), "\n") != want {
			t.Errorf("-v=%d: decoded %d times, logged %q; want %d of each", verbosity, o.whole, out.String(), want)
		}
	}
}

func TestUndecodableObjectIsTerminal(t *testing.T) {
	h, _ := newHandler(t, `{"fields":{"node":".spec.nodeName"}}`)
	cause := errors.New("no content")
	_, err := h.Handle(t.Context(), handlers.Request{Object: &counting{Object: handlerstest.Object(t, pod), err: cause}})
	if !handlers.IsTerminal(err) || err.Error() != "reading fields: no content" {
		t.Errorf("Handle = %v, want a terminal error", err)
	}
}

func TestLongValuesAreCut(t *testing.T) {
	h, logs := newHandler(t, `{"fields":{"text":".data.text","short":".data.short","map":".data","template":"{.data.text}!"}}`)
	long := strings.Repeat("ä", 2000)
	o := handlerstest.Object(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"text":"`+long+`","short":"é"}}`)
	if _, err := h.Handle(t.Context(), handlers.Request{Object: o}); err != nil {
		t.Fatal(err)
	}
	values := logs.Entries()[0].Values
	want := map[string]any{
		"text":     strings.Repeat("ä", 512) + "… (2976 more bytes)",
		"template": strings.Repeat("ä", 512) + "… (2977 more bytes)",
		"short":    "é",
		"map":      `{"short":"é","text":"` + strings.Repeat("ä", 501) + "… (3000 more bytes)",
	}
	for key, want := range want {
		if diff := cmp.Diff(want, values[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

func TestContextLoggerIsNotNeeded(t *testing.T) {
	h, logs := newHandler(t, `{}`)
	ctx := logr.NewContext(t.Context(), logs.Logger().WithValues("object", "shop/cart-0"))
	if _, err := h.Handle(ctx, handlers.Request{Object: handlerstest.Object(t, pod)}); err != nil {
		t.Fatal(err)
	}
	if _, ok := logs.Entries()[0].Values["object"]; ok {
		t.Error("the line says the object twice")
	}
}

func TestProblems(t *testing.T) {
	const hint = `write it as kubectl does: "{.spec.nodeName}" or ".spec.nodeName"`
	tests := map[string]struct {
		config string
		want   []handlers.Problem
	}{
		"message":      {`{"message":""}`, []handlers.Problem{{Path: "message", Message: "want a text"}}},
		"no path":      {`{"fields":{"a":"spec.nodeName"}}`, []handlers.Problem{{Path: "fields.a", Message: "want a JSONPath", Hint: hint}}},
		"empty":        {`{"fields":{"a":""}}`, []handlers.Problem{{Path: "fields.a", Message: "want a JSONPath", Hint: hint}}},
		"unclosed":     {`{"fields":{"a":"{.spec"}}`, []handlers.Problem{{Path: "fields.a", Message: "not a JSONPath: unclosed action", Hint: hint}}},
		"bad array":    {`{"fields":{"a":".spec[x]"}}`, []handlers.Problem{{Path: "fields.a", Message: "not a JSONPath: invalid array index x", Hint: hint}}},
		"unknown word": {`{"fields":{"a":"{spec}"}}`, []handlers.Problem{{Path: "fields.a", Message: `not a JSONPath: unknown name "spec"`, Hint: hint}}},
		"lone end":     {`{"fields":{"a":"{end}"}}`, []handlers.Problem{{Path: "fields.a", Message: "not a JSONPath: {end} without {range}", Hint: hint}}},
		"open range":   {`{"fields":{"a":"{range .x[*]}{@}"}}`, []handlers.Problem{{Path: "fields.a", Message: "not a JSONPath: {range} without {end}", Hint: hint}}},
		"taken key":    {`{"fields":{"name":".metadata.name"}}`, []handlers.Problem{{Path: "fields.name", Message: "every line has that key already", Hint: "choose another key"}}},
		"bad key": {`{"fields":{"node name":".spec.nodeName"}}`, []handlers.Problem{{
			Path: `fields["node name"]`, Message: "want a key of letters, digits and _, starting with a letter", Hint: `for example nodeName: ".spec.nodeName"`,
		}}},
		"all at once": {`{"message":"","fields":{"b":"x","a":"y"}}`, []handlers.Problem{
			{Path: "message", Message: "want a text"},
			{Path: "fields.a", Message: "want a JSONPath", Hint: hint},
			{Path: "fields.b", Message: "want a JSONPath", Hint: hint},
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, handlerstest.Problems(t, log.Plugin, tc.config)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzTemplate looks for templates and content that make the handler panic or hang.
func FuzzTemplate(f *testing.F) {
	for _, template := range []string{
		".spec.nodeName", "{range .a[*]}{[0]}{end}", "{.a[?(@.b==null)].c}", "{..}", "{.a[1:9:2]}", "{['a','b']}", "{.a[-1]}{end}", "{'x'}{1}{1.5}{true}",
	} {
		f.Add(template, `{"a":[null,{"b":null},[[1]]],"b":"text"}`)
	}
	registry, err := handlers.NewRegistry(log.Plugin)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, template, content string) {
		var object map[string]any
		if err := handlers.DecodeJSON([]byte(content), &object); err != nil || object == nil || len(template) > 200 || len(content) > 2000 {
			t.Skip()
		}
		object["apiVersion"], object["kind"] = "v1", "Fuzz"
		object["metadata"] = map[string]any{"name": "fuzz"}
		config, err := json.Marshal(map[string]any{"fields": map[string]string{"f": template}})
		if err != nil {
			t.Fatal(err)
		}
		bound, problems, err := registry.Bind("log", config)
		if err != nil {
			t.Fatal(err)
		}
		if len(problems) > 0 {
			t.Skip()
		}
		env := handlerstest.Env(t)
		env.Logger = logr.Discard().WithSink(enabled{})
		h, err := bound.New(t.Context(), env)
		if err != nil {
			t.Fatal(err)
		}
		o := handlerstest.Object(t, &unstructured.Unstructured{Object: object})
		if _, err := h.Handle(t.Context(), handlers.Request{Object: o}); err != nil {
			t.Fatal(err)
		}
	})
}

// enabled is a sink that takes every line and keeps none.
type enabled struct{}

func (enabled) Init(logr.RuntimeInfo)            {}
func (enabled) Enabled(int) bool                 { return true }
func (enabled) Info(int, string, ...any)         {}
func (enabled) Error(error, string, ...any)      {}
func (e enabled) WithValues(...any) logr.LogSink { return e }
func (e enabled) WithName(string) logr.LogSink   { return e }
