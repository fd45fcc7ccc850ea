package handlers_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

func register[C any](schema string) error {
	_, err := handlers.NewRegistry(handlers.Plugin[C]{Name: "p", Summary: "s", Schema: schema, New: makeNothing[C]})
	return err
}

type (
	one       struct{ X int }
	text      struct{ X string }
	secrets   struct{ Tokens map[string]handlers.Secret }
	selector  struct{ Selector *metav1.LabelSelector }
	raw       struct{ Body json.RawMessage }
	base64    struct{ Body []byte }
	named     struct{ inner } // promoted
	inner     struct{ X int }
	nested    struct{ Inner } // not promoted: it has a name of its own
	Inner     struct{ Y int }
	recursive struct {
		X     int
		Child *recursive `json:"child,omitempty"`
	}
	hidden struct {
		X    int
		Skip func() `json:"-"`
		own  int
	}
	list     struct{ Items []inner }
	template struct{ Template map[string]any }
)

func TestSchemaAndStructAgree(t *testing.T) {
	type withName struct {
		Inner `json:"inner"`
	}
	_ = hidden{own: 1}.own
	tests := map[string]func() error{
		"plain":            func() error { return register[one](`#Config: {X?: int}`) },
		"required":         func() error { return register[one](`#Config: {X!: int & >0}`) },
		"no fields":        func() error { return register[struct{}](`#Config: {}`) },
		"package clause":   func() error { return register[one]("package anything\n#Config: {X?: int}") },
		"own definitions":  func() error { return register[one]("#Config: {X?: #N}\n#N: int") },
		"duration":         func() error { return register[struct{ D handlers.Duration }](`#Config: {D?: #Duration}`) },
		"map of secrets":   func() error { return register[secrets](`#Config: {Tokens?: [string]: #Secret}`) },
		"raw message":      func() error { return register[raw](`#Config: {Body?: {...}}`) },
		"base64":           func() error { return register[base64](`#Config: {Body?: string}`) },
		"any":              func() error { return register[template](`#Config: {Template?: {...}}`) },
		"embedded":         func() error { return register[named](`#Config: {X?: int}`) },
		"embedded by type": func() error { return register[nested](`#Config: {Y?: int}`) },
		"embedded, named":  func() error { return register[withName](`#Config: {inner?: {Y?: int}}`) },
		"recursive":        func() error { return register[recursive](`#Config: {X?: int, child?: #Config}`) },
		"hidden fields":    func() error { return register[hidden](`#Config: {X?: int}`) },
		"list of structs":  func() error { return register[list](`#Config: {Items?: [...{X?: int}]}`) },
		"enum":             func() error { return register[text](`#Config: {X?: "a" | "b"}`) },
	}
	for name, register := range tests {
		t.Run(name, func(t *testing.T) {
			if err := register(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSchemaAndStructDiffer(t *testing.T) {
	const pkg = "handlers_test."
	tests := map[string]struct {
		err  error
		want string
	}{
		"no syntax": {
			err:  register[one](`#Config: {`),
			want: "compiling the schema: plugin.cue:1:11: expected '}', found 'EOF'",
		},
		"unknown reference": {
			err:  register[one]("#Config: {\n\tX?: #Number\n}"),
			want: `compiling the schema: plugin.cue:2:6: #Config.X: reference "#Number" not found`,
		},
		"foreign import": {
			err:  register[one]("import \"example.com/foo\"\n#Config: {X?: foo.X}"),
			want: `compiling the schema: plugin.cue:1:8: package "example.com/foo" imported but not defined in `,
		},
		"no struct": {
			err:  register[one](`#Config: int`),
			want: "compiling the schema: #Config is a int, want a struct",
		},
		"impossible": {
			err:  register[one](`#Config: {X?: int & string}`),
			want: "compiling the schema: no value can meet #Config.X: #Config.X: conflicting values int and string (mismatched types int and string)",
		},
		"field missing in the struct": {
			err:  register[one](`#Config: {X?: int, Y?: int}`),
			want: "schema and struct differ: the schema has #Config.Y, " + pkg + "one has no such JSON field",
		},
		"field missing in the schema": {
			err:  register[one](`#Config: {}`),
			want: "schema and struct differ: " + pkg + `one has the JSON field "X", the schema has no #Config.X`,
		},
		"kind": {
			err:  register[one](`#Config: {X?: string}`),
			want: "schema and struct differ: #Config.X is string in the schema, int in the struct",
		},
		"wider kind": {
			err:  register[one](`#Config: {X?: number}`),
			want: "schema and struct differ: #Config.X is number in the schema, int in the struct",
		},
		"kind in a list": {
			err:  register[list](`#Config: {Items?: [...{X?: bool}]}`),
			want: "schema and struct differ: #Config.Items[].X is bool in the schema, int in the struct",
		},
		"kind in a map": {
			err:  register[secrets](`#Config: {Tokens?: [string]: {env?: string}}`),
			want: `schema and struct differ: handlers.Secret has the JSON field "file", the schema has no #Config.Tokens[string].file`,
		},
		"field inside a pointer": {
			err:  register[selector](`#Config: {Selector?: {matchLabels?: [string]: string}}`),
			want: `schema and struct differ: v1.LabelSelector has the JSON field "matchExpressions", the schema has no #Config.Selector.matchExpressions`,
		},
		"open schema": {
			err:  register[one](`#Config: {X?: int, ...}`),
			want: "schema and struct differ: #Config takes any field in the schema, " + pkg + "one only its own",
		},
		"pattern": {
			err:  register[one](`#Config: {[string]: int}`),
			want: "schema and struct differ: #Config takes any field in the schema, " + pkg + "one only its own",
		},
		"default": {
			err:  register[one](`#Config: {X?: int | *3}`),
			want: "reading the schema: #Config.X has a default, which belongs into the plugin's Defaults",
		},
		"neither optional nor required": {
			err:  register[one](`#Config: {X: int}`),
			want: "reading the schema: #Config.X is neither optional (X?) nor required (X!)",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.err == nil {
				t.Fatalf("NewRegistry accepted the plugin, want %q", tc.want)
			}
			// CUE appends how many mistakes there are beside the first one.
			got, _, _ := strings.Cut(tc.err.Error(), " (and ")
			if diff := cmp.Diff(`registering plugin "p": `+tc.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompileSchemaTakesCommonDefinitions(t *testing.T) {
	ctx := cuecontext.New()
	config, err := handlers.CompileSchema(ctx, `#Config: {wait?: #Duration, token?: #Secret}`)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{
		`{wait: "1m30s", token: env: "TOKEN"}`: true,
		`{wait: "soon"}`:                       false,
		`{token: file: "relative"}`:            false,
		`{token: path: "/x"}`:                  false,
	}
	for source, want := range tests {
		err := config.Unify(ctx.CompileString(source)).Validate(cue.Concrete(true))
		if got := err == nil; got != want {
			t.Errorf("%s: valid = %v, want %v (%v)", source, got, want, err)
		}
	}
}
