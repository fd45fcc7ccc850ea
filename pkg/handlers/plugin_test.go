package handlers_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

func full() handlers.Plugin[config] {
	p := plugin("full")
	p.Defaults = func() config {
		return config{Text: "default", Wait: handlers.Duration(time.Minute), Tags: map[string]string{"a": "1"}}
	}
	p.Validate = func(c *config) []handlers.Problem {
		if c.Count > 9 {
			return []handlers.Problem{{Path: "count", Message: "too much", Hint: "at most 9"}}
		}
		return nil
	}
	p.Rules = func(c config) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{Verbs: []string{"get"}, ResourceNames: []string{c.Text}}}
	}
	return p
}

func bind(t *testing.T, p handlers.AnyPlugin, raw string) (handlers.Bound, []handlers.Problem, error) {
	t.Helper()
	r, err := handlers.NewRegistry(p)
	if err != nil {
		t.Fatal(err)
	}
	return r.Bind(p.Describe().Name, []byte(raw))
}

func TestBindLaysTheConfigOverTheDefaults(t *testing.T) {
	tests := map[string]struct{ raw, want string }{
		"nothing":     {``, `{"text":"default","wait":"1m0s","tags":{"a":"1"}}`},
		"null":        {`null`, `{"text":"default","wait":"1m0s","tags":{"a":"1"}}`},
		"empty":       {`{}`, `{"text":"default","wait":"1m0s","tags":{"a":"1"}}`},
		"one field":   {`{"text":"mine"}`, `{"text":"mine","wait":"1m0s","tags":{"a":"1"}}`},
		"maps merge":  {`{"tags":{"b":"2"}}`, `{"text":"default","wait":"1m0s","tags":{"a":"1","b":"2"}}`},
		"all of them": {`{"text":"t","count":3,"wait":"90s","tags":{"a":"0"}}`, `{"text":"t","count":3,"wait":"1m30s","tags":{"a":"0"}}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b, problems, err := bind(t, full(), tc.raw)
			if err != nil || problems != nil {
				t.Fatalf("Bind: %v, %v", problems, err)
			}
			if diff := cmp.Diff(tc.want, string(b.JSON())); diff != "" {
				t.Errorf("effective config (-want +got):\n%s", diff)
			}
			if b.Plugin() != "full" {
				t.Errorf("Plugin = %q", b.Plugin())
			}
		})
	}
}

func TestBindErrors(t *testing.T) {
	tests := map[string]struct{ raw, want string }{
		"unknown field": {`{"colour":"red"}`, `decoding the config of plugin "full": json: unknown field "colour"`},
		"two values":    {`{} {}`, `decoding the config of plugin "full": want one JSON value, have more`},
		"garbage after": {`{}]`, `decoding the config of plugin "full": want one JSON value, have more`},
		"duration":      {`{"wait":"soon"}`, `decoding the config of plugin "full": reading duration: time: invalid duration "soon"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, problems, err := bind(t, full(), tc.raw)
			if err == nil || problems != nil {
				t.Fatalf("Bind: %v, %v; want an error", problems, err)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	r, err := handlers.NewRegistry(full())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Bind("fool", nil); err == nil || err.Error() != `binding handler: no plugin named "fool"` {
		t.Errorf("Bind of an unknown name: %v", err)
	}
}

func TestBindReportsProblems(t *testing.T) {
	_, problems, err := bind(t, full(), `{"count":10}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []handlers.Problem{{Path: "count", Message: "too much", Hint: "at most 9"}}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestBoundMakesHandlers(t *testing.T) {
	wantErr := errors.New("no such program")
	tests := map[string]struct {
		handler handlers.Handler
		err     error
		want    string
	}{
		"handler": {handler: handlers.HandlerFunc(func(context.Context, handlers.Request) (handlers.Result, error) {
			return handlers.Result{RequeueAfter: time.Hour}, nil
		})},
		"error": {err: wantErr, want: "no such program"},
		"none":  {want: `making the handler: plugin "full" returned none`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := full()
			var gotConfig config
			p.New = func(_ context.Context, env handlers.Env, c config) (handlers.Handler, error) {
				gotConfig = c
				if env.Definition != "definition" {
					t.Errorf("definition = %q", env.Definition)
				}
				return tc.handler, tc.err
			}
			b, _, err := bind(t, p, `{"text":"mine"}`)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]rbacv1.PolicyRule{{Verbs: []string{"get"}, ResourceNames: []string{"mine"}}}, b.Rules()); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			h, err := b.New(t.Context(), handlers.Env{Definition: "definition"})
			if gotConfig.Text != "mine" || time.Duration(gotConfig.Wait) != time.Minute {
				t.Errorf("New got config %+v", gotConfig)
			}
			if tc.want != "" {
				if err == nil || err.Error() != tc.want {
					t.Errorf("New = %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.Handle(t.Context(), handlers.Request{}); err != nil || got.RequeueAfter != time.Hour {
				t.Errorf("Handle = %v, %v", got, err)
			}
		})
	}
}

func TestBindWithoutOptionalParts(t *testing.T) {
	b, problems, err := bind(t, plugin("bare"), ``)
	if err != nil || problems != nil {
		t.Fatalf("Bind: %v, %v", problems, err)
	}
	if got := b.JSON(); string(got) != `{}` {
		t.Errorf("effective config %s", got)
	}
	if rules := b.Rules(); rules != nil {
		t.Errorf("rules = %v, want none", rules)
	}
}

// brokenConfig is a config type whose encoding is as broken as the plugin of the test.
type brokenConfig struct {
	Text string `json:"text,omitempty"`
}

var encodeBroken func()

func (c brokenConfig) MarshalJSON() ([]byte, error) {
	if encodeBroken != nil {
		encodeBroken()
	}
	return []byte(`{}`), nil
}

func (c *brokenConfig) UnmarshalJSON(b []byte) error {
	if string(b) == `{"text":"broken"}` {
		encodeBroken()
	}
	return nil
}

func TestBindSurvivesTheCodeOfThePlugin(t *testing.T) {
	boom := errors.New("boom")
	for how, breaks := range map[string]func(){
		"panicked: boom":        func() { panic(boom) },
		"called runtime.Goexit": runtime.Goexit,
	} {
		tests := map[string]struct {
			raw    string
			change func(*handlers.Plugin[brokenConfig])
		}{
			"Defaults": {change: func(p *handlers.Plugin[brokenConfig]) {
				p.Defaults = func() brokenConfig { breaks(); return brokenConfig{} }
			}},
			"Validate": {change: func(p *handlers.Plugin[brokenConfig]) {
				p.Validate = func(*brokenConfig) []handlers.Problem { breaks(); return nil }
			}},
			"Rules": {change: func(p *handlers.Plugin[brokenConfig]) {
				p.Rules = func(brokenConfig) []rbacv1.PolicyRule { breaks(); return nil }
			}},
			"MetadataOnly": {change: func(p *handlers.Plugin[brokenConfig]) {
				p.MetadataOnly = func(brokenConfig) bool { breaks(); return false }
			}},
			"encoding its config": {change: func(*handlers.Plugin[brokenConfig]) { encodeBroken = breaks }},
			"decoding its config": {raw: `{"text":"broken"}`, change: func(*handlers.Plugin[brokenConfig]) { encodeBroken = breaks }},
		}
		for name, tc := range tests {
			t.Run(name+" "+how, func(t *testing.T) {
				defer func() { encodeBroken = nil }()
				p := handlers.Plugin[brokenConfig]{
					Name: "slack", Summary: "Broken", Schema: `#Config: text?: string`,
					New: func(context.Context, handlers.Env, brokenConfig) (handlers.Handler, error) { return nil, nil },
				}
				tc.change(&p)
				_, problems, err := bind(t, p, tc.raw)
				if want := `plugin "slack": ` + name + " " + how; err == nil || err.Error() != want || problems != nil {
					t.Fatalf("Bind = %v, %v, want %q", problems, err, want)
				}
				var mistake *handlers.PluginError
				if !errors.As(err, &mistake) || mistake.Plugin != "slack" || mistake.Func != name {
					t.Errorf("the error is %#v", err)
				}
				if panicked := how != "called runtime.Goexit"; errors.Is(err, boom) != panicked || (len(mistake.Stack) > 0) != panicked {
					t.Errorf("the error wraps %v, stack of %d bytes", mistake.Panic, len(mistake.Stack))
				}
			})
		}
	}
}

// TestBoundAsksThePluginOnce also changes what the Bound hands out.
func TestBoundAsksThePluginOnce(t *testing.T) {
	asked := 0
	p := full()
	p.Rules = func(config) []rbacv1.PolicyRule {
		asked++
		return []rbacv1.PolicyRule{{Verbs: []string{"get"}}}
	}
	b, _, err := bind(t, p, `{"text":"mine"}`)
	if err != nil {
		t.Fatal(err)
	}
	b.Rules()[0].Verbs[0] = "changed"
	b.JSON()[0] = 'x'
	if rules := b.Rules(); asked != 1 || rules[0].Verbs[0] != "get" || b.JSON()[0] != '{' {
		t.Errorf("asked %d times, rules %v, config %s", asked, rules, b.JSON())
	}
}

func TestBoundEqual(t *testing.T) {
	p, other := full(), full()
	other.Name = "other"
	one, _, _ := bind(t, p, `{"text":"mine"}`)
	for name, tc := range map[string]struct {
		plugin handlers.AnyPlugin
		raw    string
		want   bool
	}{
		"the same":                    {p, `{"text":"mine"}`, true},
		"the same, written otherwise": {p, `{ "wait": "60s", "text": "mine" }`, true},
		"another config":              {p, `{"text":"yours"}`, false},
		"another plugin":              {other, `{"text":"mine"}`, false},
	} {
		b, _, err := bind(t, tc.plugin, tc.raw)
		if err != nil {
			t.Fatal(err)
		}
		if one.Equal(b) != tc.want || b.Equal(one) != tc.want {
			t.Errorf("%s: Equal = %t, want %t", name, !tc.want, tc.want)
		}
	}
}

func TestFinalizes(t *testing.T) {
	p := full()
	p.Finalizes = func(c config) bool { return c.Count > 0 }
	p.New = func(_ context.Context, _ handlers.Env, c config) (handlers.Handler, error) {
		h := handlers.Func(func(context.Context, *corev1.Pod) error { return nil })
		if c.Count < 2 {
			return h, nil
		}
		return handlers.FuncFinalizer(
			func(context.Context, *corev1.Pod) (handlers.Result, error) { return handlers.Result{}, nil },
			func(context.Context, *corev1.Pod) (handlers.Result, error) { return handlers.Result{}, nil },
		), nil
	}
	const missing = `making the handler: the definition has the finalizer example.com/f, but the handler of plugin "full" is no Finalizer`
	tests := map[string]struct {
		raw       string
		finalizes bool
		finalizer string
		want      string // the error of New
	}{
		"not with this config": {raw: `{}`},
		"no finalizer":         {raw: `{"count":1}`, finalizes: true},
		"not implemented":      {raw: `{"count":1}`, finalizes: true, finalizer: "example.com/f", want: missing},
		"implemented":          {raw: `{"count":2}`, finalizes: true, finalizer: "example.com/f"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b, _, err := bind(t, p, tc.raw)
			if err != nil || b.Finalizes() != tc.finalizes {
				t.Fatalf("Bind: %v; Finalizes = %v, want %v", err, b.Finalizes(), tc.finalizes)
			}
			if _, err := b.New(t.Context(), handlers.Env{Finalizer: tc.finalizer}); errorText(err) != tc.want {
				t.Errorf("New = %v, want %q", err, tc.want)
			}
		})
	}
	if !p.Describe().Finalizes || full().Describe().Finalizes {
		t.Error("Describe does not say which plugin finalizes")
	}
}
