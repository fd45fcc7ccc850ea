package handlers_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

type config struct {
	Text  string            `json:"text,omitempty"`
	Count int               `json:"count,omitempty"`
	Wait  handlers.Duration `json:"wait,omitempty"`
	Tags  map[string]string `json:"tags,omitempty"`
}

const configSchema = `
import "strings"

// Config of the plugin.
#Config: {
	text?:  strings.MaxRunes(10)
	count?: int & >=0
	wait?:  #Duration
	tags?: [string]: string
}
`

func makeNothing[C any](context.Context, handlers.Env, C) (handlers.Handler, error) {
	return handlers.HandlerFunc(func(context.Context, handlers.Request) (handlers.Result, error) {
		return handlers.Result{}, nil
	}), nil
}

func plugin(name string) handlers.Plugin[config] {
	return handlers.Plugin[config]{Name: name, Summary: "Does nothing", Schema: configSchema, New: makeNothing[config]}
}

func with(p handlers.Plugin[config], change func(*handlers.Plugin[config])) handlers.AnyPlugin {
	change(&p)
	return p
}

func TestNewRegistryRefuses(t *testing.T) {
	type empty struct{}
	tests := map[string]struct {
		plugins []handlers.AnyPlugin
		want    string
	}{
		"nil": {
			plugins: []handlers.AnyPlugin{nil},
			want:    "registering plugin: it is nil",
		},
		"no name": {
			plugins: []handlers.AnyPlugin{plugin("")},
			want:    "registering plugin of package kooperd.dev/kooperd/pkg/handlers_test: it has no name",
		},
		"malformed name": {
			plugins: []handlers.AnyPlugin{plugin("My_Plugin")},
			want:    `registering plugin "My_Plugin": want a name of lower-case letters, digits and '-', at most 63, starting with a letter`,
		},
		"name ending in a dash": {
			plugins: []handlers.AnyPlugin{plugin("a-")},
			want:    `registering plugin "a-": want a name of lower-case letters, digits and '-', at most 63, starting with a letter`,
		},
		"name of 64 letters": {
			plugins: []handlers.AnyPlugin{plugin("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")},
			want: `registering plugin "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": ` +
				`want a name of lower-case letters, digits and '-', at most 63, starting with a letter`,
		},
		"reserved name": {
			plugins: []handlers.AnyPlugin{plugin("timeout")},
			want:    `registering plugin "timeout": the name is reserved`,
		},
		"duplicate name": {
			plugins: []handlers.AnyPlugin{plugin("one"), plugin("two"), plugin("one")},
			want: `registering plugin "one" of package kooperd.dev/kooperd/pkg/handlers_test: ` +
				`package kooperd.dev/kooperd/pkg/handlers_test has registered that name`,
		},
		"no summary": {
			plugins: []handlers.AnyPlugin{with(plugin("p"), func(p *handlers.Plugin[config]) { p.Summary = "" })},
			want:    `registering plugin "p": it has no summary`,
		},
		"no constructor": {
			plugins: []handlers.AnyPlugin{with(plugin("p"), func(p *handlers.Plugin[config]) { p.New = nil })},
			want:    `registering plugin "p": it has no constructor (New or NewComposer)`,
		},
		"two constructors": {
			plugins: []handlers.AnyPlugin{with(composerPlugin("p"), func(p *handlers.Plugin[config]) { p.New = makeNothing[config] })},
			want:    `registering plugin "p": it has both New and NewComposer; want one of them, or Composes to choose by`,
		},
		"handler that owns": {
			plugins: []handlers.AnyPlugin{with(plugin("p"), func(p *handlers.Plugin[config]) { p.Owns = ownsConfigMaps })},
			want:    `registering plugin "p": Owns, Reads, Ordered, Patches, External, At and Marks are for composers, and it has New`,
		},
		"composer that does not say what it owns": {
			plugins: []handlers.AnyPlugin{with(composerPlugin("p"), func(p *handlers.Plugin[config]) { p.Owns = nil })},
			want:    `registering plugin "p": it makes composers and does not say what they own (Owns)`,
		},
		"config is not a struct": {
			plugins: []handlers.AnyPlugin{handlers.Plugin[int]{Name: "p", Summary: "s", Schema: configSchema, New: makeNothing[int]}},
			want:    `registering plugin "p": its config type int is not a struct`,
		},
		"no schema": {
			plugins: []handlers.AnyPlugin{handlers.Plugin[empty]{Name: "p", Summary: "s", New: makeNothing[empty]}},
			want:    `registering plugin "p": compiling the schema: it declares no #Config`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := handlers.NewRegistry(tc.plugins...)
			if err == nil {
				t.Fatalf("NewRegistry accepted the plugins, want %q", tc.want)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRegistryNamesAndDescribe(t *testing.T) {
	r, err := handlers.NewRegistry(plugin("zeta"), plugin("alpha"), plugin("a1-b"))
	if err != nil {
		t.Fatal(err)
	}
	names := r.Names()
	if diff := cmp.Diff([]string{"a1-b", "alpha", "zeta"}, names); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	names[0] = "changed"
	if got := r.Names()[0]; got != "a1-b" {
		t.Errorf("a caller's change shows in Names: %q", got)
	}
	got, ok := r.Describe("alpha")
	want := handlers.Description{
		Name: "alpha", Summary: "Does nothing", Schema: configSchema,
		Package: "kooperd.dev/kooperd/pkg/handlers_test",
	}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("Describe = %v (-want +got):\n%s", ok, diff)
	}
	if _, ok := r.Describe("beta"); ok {
		t.Error("Describe found a plugin that is not there")
	}
}
