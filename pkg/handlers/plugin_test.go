package handlers_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
			got, err := b.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
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
	if got, err := b.JSON(); err != nil || string(got) != `{}` {
		t.Errorf("effective config %s, %v", got, err)
	}
	if rules := b.Rules(); rules != nil {
		t.Errorf("rules = %v, want none", rules)
	}
}
