package config_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/exec"
)

// The plugins of these tests. They have what configs of real plugins have: required fields, enums,
// bounds, durations, secrets, lists, maps, nested and recursive structs.

type logConfig struct {
	Level string `json:"level"`
}

type execConfig struct {
	Argv    []string          `json:"argv"`
	Env     map[string]string `json:"env,omitempty"`
	Timeout handlers.Duration `json:"timeout"`
	Retries int               `json:"retries"`
	Token   *handlers.Secret  `json:"token,omitempty"`
	Shell   bool              `json:"shell"`
	Words   []string          `json:"words,omitempty"`
	Headers []header          `json:"headers,omitempty"`
	Limits  *limits           `json:"limits,omitempty"`
	Tree    *node             `json:"tree,omitempty"`
	Extra   map[string]any    `json:"extra,omitempty"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type limits struct {
	CPU float64 `json:"cpu,omitempty"`
}

type node struct {
	Name     string  `json:"name"`
	Children []*node `json:"children,omitempty"`
}

const execSchema = `
import "list"

// Config runs a program.
#Config: {
	// The program and its arguments.
	argv!: [string, ...string]
	// More environment variables.
	env?: [=~"^[A-Z_]+$"]: string
	// How long it may run. Default: 10s.
	timeout?: #Duration
	retries?: int & >=0 & <=5
	token?: #Secret
	words?: [...string] & list.UniqueItems()
	// Whether argv goes through a shell.
	shell?: bool
	headers?: [...#Header]
	limits?: {
		cpu?: number & >0
	}
	tree?: #Node
	extra?: {...}
}

#Header: {
	name!: string & =~"^[A-Za-z-]+$"
	value!: string
}

#Node: {
	name!: string
	children?: [...#Node]
}
`

func nothing[C any](context.Context, handlers.Env, C) (handlers.Handler, error) {
	return handlers.HandlerFunc(func(context.Context, handlers.Request) (handlers.Result, error) {
		return handlers.Result{}, nil
	}), nil
}

func testRegistry(t testing.TB) *handlers.Registry {
	t.Helper()
	return mustRegistry()
}

func mustRegistry() *handlers.Registry {
	r, err := handlers.NewRegistry(logPlugin, execPlugin)
	if err != nil {
		panic(err)
	}
	return r
}

var logPlugin = handlers.Plugin[logConfig]{
	Name: "log", Summary: "writes a line", New: nothing[logConfig],
	Schema:   "#Config: {\n\t// How loud.\n\tlevel?: \"debug\" | \"info\" | \"error\"\n}",
	Defaults: func() logConfig { return logConfig{Level: "info"} },
}

var execPlugin = handlers.Plugin[execConfig]{
	Name: "exec", Summary: "runs a program", Schema: execSchema, New: nothing[execConfig],
	Defaults:  func() execConfig { return execConfig{Timeout: handlers.Duration(10e9)} },
	Finalizes: func(c execConfig) bool { return c.Shell },
	Validate: func(c *execConfig) []handlers.Problem {
		var problems []handlers.Problem
		if c.Token != nil {
			problems = c.Token.Validate("token")
		}
		for i, a := range c.Argv {
			if a == "" {
				problems = append(problems, handlers.Problem{Path: fmt.Sprintf("argv[%d]", i), Message: "is empty", Hint: "leave it out"})
			}
		}
		return problems
	},
}

// TestPluginMistakes calls plugins whose code does not return an answer. The mistake is the
// plugin's, and is at the plugin's key.
func TestPluginMistakes(t *testing.T) {
	type settings struct{}
	bad := func(change func(*handlers.Plugin[settings])) handlers.Plugin[settings] {
		p := handlers.Plugin[settings]{Name: "bad", Summary: "fails", Schema: "#Config: {}", New: nothing[settings]}
		change(&p)
		return p
	}
	tests := map[string]struct {
		plugin handlers.Plugin[settings]
		want   string
	}{
		"Validate panics": {bad(func(p *handlers.Plugin[settings]) {
			p.Validate = func(*settings) []handlers.Problem { panic("boom") }
		}), "Validate panicked: boom"},
		"Validate exits": {bad(func(p *handlers.Plugin[settings]) {
			p.Validate = func(*settings) []handlers.Problem { runtime.Goexit(); return nil }
		}), "Validate called runtime.Goexit"},
		"Defaults panics": {bad(func(p *handlers.Plugin[settings]) {
			p.Defaults = func() settings { panic("boom") }
		}), "Defaults panicked: boom"},
		"Defaults exits": {bad(func(p *handlers.Plugin[settings]) {
			p.Defaults = func() settings { runtime.Goexit(); return settings{} }
		}), "Defaults called runtime.Goexit"},
		"Rules panics": {bad(func(p *handlers.Plugin[settings]) {
			p.Rules = func(settings) []rbacv1.PolicyRule { panic("boom") }
		}), "Rules panicked: boom"},
		"Rules exits": {bad(func(p *handlers.Plugin[settings]) {
			p.Rules = func(settings) []rbacv1.PolicyRule { runtime.Goexit(); return nil }
		}), "Rules called runtime.Goexit"},
		"MetadataOnly panics": {bad(func(p *handlers.Plugin[settings]) {
			p.MetadataOnly = func(settings) bool { panic("boom") }
		}), "MetadataOnly panicked: boom"},
		"Finalizes panics": {bad(func(p *handlers.Plugin[settings]) {
			p.Finalizes = func(settings) bool { panic("boom") }
		}), "Finalizes panicked: boom"},
	}
	file := write(t, "f.yaml", `apiVersion: kooperd.dev/v1alpha1
controllers:
  a:
    watch: {apiVersion: v1, kind: Pod}
    handler:
      bad: {}
`)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			registry, err := handlers.NewRegistry(tc.plugin)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
			if err == nil {
				t.Fatal("the config loads")
			}
			want := file + `:6:7: controllers.a.handler.bad: plugin "bad": ` + tc.want + "; this is a mistake in the plugin, not in the file"
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

var composerPlugin = handlers.Plugin[struct{}]{
	Name: "children", Summary: "makes children", Schema: "#Config: {}",
	Owns:      func(struct{}) []handlers.OwnedKind { return nil },
	Finalizes: func(struct{}) bool { return true },
	NewComposer: func(context.Context, handlers.Env, struct{}) (handlers.Composer, error) {
		return handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
			return handlers.Composition{}, nil
		}), nil
	},
}

// TestComposers has definitions of composers, and of another plugin, that cannot be.
func TestComposers(t *testing.T) {
	file := write(t, "f.yaml", `apiVersion: kooperd.dev/v1alpha1
controllers:
  a-site:
    watch: {apiVersion: example.com/v1, kind: Site}
    handler: {children: {}}
  b-site:
    watch: {apiVersion: example.com/v2, kind: Site, labelSelector: tier=web}
    handler: {children: {}}
  c-site:
    watch: {apiVersion: example.com/v1, kind: Site}
    status: none
    handler: {children: {}}
  every:
    watch: {apiVersion: v1, kind: Pod}
    leaderElection: disabled
    handler: {children: {}}
  handler:
    watch: {apiVersion: v1, kind: Pod}
    status: own
    onRemove: delete
    handler: {log: {}}
  pods-1:
    watch: {apiVersion: v1, kind: Pod}
    handler: {children: {}}
  pods-2:
    watch: {apiVersion: v1, kind: Pod}
    handler: {children: {}}
  red:
    watch: {apiVersion: example.com/v1, kind: Ball, labelSelector: color=red}
    handler: {children: {}}
  blue:
    watch: {apiVersion: example.com/v1, kind: Ball, labelSelector: "color=blue,size"}
    handler: {children: {}}
  with-prefix:
    watch: {apiVersion: example.com/v1, kind: Site}
    conditionPrefix: Backup
    handler: {children: {}}
  same-prefix:
    watch: {apiVersion: example.com/v1, kind: Site}
    conditionPrefix: Backup
    handler: {children: {}}
  prefix-of-a-handler:
    watch: {apiVersion: v1, kind: Pod}
    conditionPrefix: Backup
    handler: {log: {}}
  prefix-without-status:
    watch: {apiVersion: example.com/v1, kind: Ball}
    conditionPrefix: Backup
    status: none
    handler: {children: {}}
  prefix-built-in:
    watch: {apiVersion: v1, kind: Pod}
    conditionPrefix: Backup
    handler: {children: {}}
`)
	registry, err := handlers.NewRegistry(composerPlugin, logPlugin)
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
	want := file + `:7:12: controllers.b-site.watch: controller "a-site" writes the status of the same Site objects: ` +
		`each would undo what the other has written; write status: "none" in one of them, or a conditionPrefix that no other one has` + "\n" +
		file + `:15:21: controllers.every.leaderElection: the children plugin cannot run on every replica: ` +
		`all of them would write the same children; leave it out` + "\n" +
		file + `:19:13: controllers.handler.status: the log plugin makes no composers, whose parents' status kooperd keeps; leave it out` + "\n" +
		file + `:20:15: controllers.handler.onRemove: the log plugin makes no composers, whose children kooperd keeps; leave it out` + "\n" +
		file + `:35:12: controllers.with-prefix.watch: controller "same-prefix" writes the status of the same Site objects: ` +
		`each would undo what the other has written; write status: "none" in one of them, or a conditionPrefix that no other one has` + "\n" +
		file + `:44:22: controllers.prefix-of-a-handler.conditionPrefix: the log plugin makes no composers, whose parents' conditions kooperd keeps; leave it out` + "\n" +
		file + `:48:22: controllers.prefix-without-status.conditionPrefix: the definition says status: "none", so no condition is written; leave one of both out` + "\n" +
		file + `:53:22: controllers.prefix-built-in.conditionPrefix: the status of a Pod is that of Kubernetes itself, so no condition is written; leave it out`
	if err == nil || err.Error() != want {
		t.Errorf("Load: %v\nwant:\n%s", err, want)
	}
}

// TestChoiceOfPlugins has a plugin that makes composers of some configs alone.
func TestChoiceOfPlugins(t *testing.T) {
	file := write(t, "f.yaml", `apiVersion: kooperd.dev/v1alpha1
controllers:
  composing:
    watch: {apiVersion: example.com/v1, kind: Site}
    status: own
    handler: {exec: {command: ["true"], compose: true}}
  handling:
    watch: {apiVersion: example.com/v1, kind: Site}
    id: other
    status: none
    handler: {exec: {command: ["true"]}}
`)
	registry, err := handlers.NewRegistry(exec.Plugin)
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
	const hint = "leave it out; with another config, the exec plugin makes composers"
	want := file + `:9:9: controllers.handling.id: the exec plugin makes no children, which it is for; ` + hint + "\n" +
		file + `:10:13: controllers.handling.status: the exec plugin makes no composers, whose parents' status kooperd keeps; ` + hint
	if err == nil || err.Error() != want {
		t.Errorf("Load: %v\nwant:\n%s", err, want)
	}
}

// TestIdentities has ids and former ids that cannot be.
func TestIdentities(t *testing.T) {
	file := write(t, "f.yaml", `apiVersion: kooperd.dev/v1alpha1
controllers:
  a:
    watch: {apiVersion: example.com/v1, kind: A}
    handler: {children: {}}
  b:
    watch: {apiVersion: example.com/v1, kind: B}
    handler: {children: {}}
    id: a
  c:
    watch: {apiVersion: example.com/v1, kind: C}
    handler: {children: {}}
    id: x
    formerly: [x, a, old, old]
  d:
    watch: {apiVersion: example.com/v1, kind: D}
    handler: {children: {}}
    formerly: [old, x]
  e:
    watch: {apiVersion: example.com/v1, kind: E}
    handler: {log: {}}
    id: y
    formerly: [z]
`)
	registry, err := handlers.NewRegistry(composerPlugin, logPlugin)
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
	want := []string{
		`:9:9: controllers.b.id: controller "a" has the same id "a", which is its name if it says nothing else; give each its own`,
		`:14:16: controllers.c.formerly[0]: "x" is its id now; leave it out`,
		`:14:19: controllers.c.formerly[1]: "a" is the id of controller "a", which handles A objects: their children cannot become those of a C; leave it out`,
		`:14:27: controllers.c.formerly[3]: "old" is there twice; leave it out`,
		`:18:16: controllers.d.formerly[0]: controller "c" goes on for "old" already; say it in one of them`,
		`:18:21: controllers.d.formerly[1]: "x" is the id of controller "c", which handles C objects: their children cannot become those of a D; leave it out`,
		`:22:9: controllers.e.id: the log plugin makes no children, which it is for; leave it out`,
		`:23:15: controllers.e.formerly: the log plugin makes no children, which it is for; leave it out`,
	}
	if err == nil || err.Error() != file+strings.Join(want, "\n"+file) {
		t.Errorf("Load: %v\nwant:\n%s", err, file+strings.Join(want, "\n"+file))
	}
}

// TestDonorsAndChanges has conditions about changes where children may move: such a definition is
// not called to say what it wants.
func TestDonorsAndChanges(t *testing.T) {
	registry, err := handlers.NewRegistry(composerPlugin)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"donor", "heir", "nobody"} {
		where := map[string]string{}
		where[who] = "    where: object.metadata.name != oldObject.metadata.name\n"
		file := write(t, "f.yaml", "apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n"+
			"  donor:\n    watch: {apiVersion: example.com/v1, kind: A}\n    handler: {children: {}}\n    status: none\n"+where["donor"]+
			"  heir:\n    watch: {apiVersion: example.com/v1, kind: A}\n    handler: {children: {}}\n    status: none\n    formerly: [donor]\n"+where["heir"])
		_, err := config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
		refused := err != nil && strings.Contains(err.Error(), `controllers.heir.formerly[0]: "donor" is the id of controller "donor", `+
			`and one of the two has a where that names oldObject: it never says what it wants of an object that has not changed; `+
			`write a where that goes by object alone`)
		if refused != (who != "nobody") {
			t.Errorf("%s has a condition about changes: %v", who, err)
		}
	}
}

// TestIdentity has a definition whose name has changed twice: its id stays, or is among the former
// ones. Where it is the name, it makes no difference to the digest.
func TestIdentity(t *testing.T) {
	registry, err := handlers.NewRegistry(composerPlugin)
	if err != nil {
		t.Fatal(err)
	}
	load := func(name, more string) config.Definition {
		t.Helper()
		cfg, err := config.Load(t.Context(), []string{write(t, "f.yaml", "apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n  "+name+
			":\n    watch: {apiVersion: example.com/v1, kind: A}\n    handler: {children: {}}\n"+more)}, config.Options{Registry: registry})
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Definitions[0]
	}
	a, b, kept, renamed := load("a", ""), load("b", ""), load("b", "    id: a\n"), load("b", "    formerly: [a]\n")
	ids := [][]string{a.IDs(), kept.IDs(), renamed.IDs()}
	if diff := cmp.Diff([][]string{{"a"}, {"a"}, {"b", "a"}}, ids); diff != "" {
		t.Errorf("IDs (-want +got):\n%s", diff)
	}
	if a.Digest != b.Digest || kept.Digest == b.Digest || renamed.Digest == b.Digest {
		t.Error("the digests do not say whose children they are about")
	}
	if same := load("a", "    id: a\n"); same.Digest != a.Digest {
		t.Error("an id that is the name makes a difference")
	}
}

// TestDonors has former ids that other definitions have: those of the same kind are legal, also
// where two definitions name each other, and several the same one. When the other one is gone, it
// is another definition, and another process that is given the config sees the same.
func TestDonors(t *testing.T) {
	registry, err := handlers.NewRegistry(composerPlugin)
	if err != nil {
		t.Fatal(err)
	}
	const of = ": {watch: {apiVersion: example.com/v1, kind: A}, handler: {children: {}}, status: none"
	load := func(lines ...string) *config.Config {
		t.Helper()
		file := "apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n"
		for _, line := range lines {
			file += "  " + line + "\n"
		}
		cfg, err := config.Load(t.Context(), []string{write(t, "f.yaml", file)}, config.Options{Registry: registry})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	heir := "heir" + of + ", formerly: [site, gone]}"
	both := load("donor"+of+", id: site, formerly: [heir]}", heir, "other"+of+", formerly: [site]}")
	var have [][]string
	for _, def := range both.Definitions {
		have = append(have, def.IDs(), def.Donors)
	}
	want := [][]string{{"site"}, {"heir"}, {"heir", "gone"}, {"site"}, {"other"}, {"site"}}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("ids and donors (-want +got):\n%s", diff)
	}
	alone := load(heir).Definitions[0]
	if diff := cmp.Diff([]string{"heir", "site", "gone"}, alone.IDs()); diff != "" {
		t.Errorf("ids without the donor (-want +got):\n%s", diff)
	}
	if alone.Digest == both.Definitions[1].Digest {
		t.Error("the end of the donor makes no difference to the heir")
	}
	text, err := config.Encode(both)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := config.Decode(text, registry)
	if err != nil {
		t.Fatal(err)
	}
	for i, def := range decoded.Definitions {
		if def.Digest != both.Definitions[i].Digest || !slices.Equal(def.Donors, both.Definitions[i].Donors) {
			t.Errorf("%s is another one when it is decoded: %+v", def.Name, def.Children)
		}
	}
}

// TestLeaseOfComposers has a lease whose name is too long for the ConfigMap beside it.
func TestLeaseOfComposers(t *testing.T) {
	registry, err := handlers.NewRegistry(composerPlugin, logPlugin)
	if err != nil {
		t.Fatal(err)
	}
	load := func(handler string, length int) (file string, err error) {
		file = write(t, "f.yaml", fmt.Sprintf(`apiVersion: kooperd.dev/v1alpha1
leaderElection: {name: %s}
controllers:
  a:
    watch: {apiVersion: v1, kind: Pod}
    handler: {%s}
`, strings.Repeat("n", length), handler))
		_, err = config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
		return file, err
	}
	if _, err := load("children: {}", 241); err != nil {
		t.Errorf("with 241 characters: %v", err)
	}
	if _, err := load("log: {}", 253); err != nil {
		t.Errorf("without a composer: %v", err)
	}
	file, err := load("children: {}", 242)
	want := file + ":2:24: leaderElection.name: has 242 characters: the ConfigMap " + strings.Repeat("n", 242) +
		"-definitions, in which is noted what composers own, would have a name that is too long; want at most 241"
	if err == nil || err.Error() != want {
		t.Errorf("Load: %v\nwant:\n%s", err, want)
	}
}

// TestFinalizerOfComposer gives a finalizer to a definition that has its own.
func TestFinalizerOfComposer(t *testing.T) {
	file := write(t, "f.yaml", `apiVersion: kooperd.dev/v1alpha1
controllers:
  a:
    watch: {apiVersion: v1, kind: Pod}
    finalizer: example.com/cleanup
    handler: {children: {}}
  b:
    watch: {apiVersion: v1, kind: Pod}
    finalizer: example.com/other
    handler: {log: {}}
`)
	registry, err := handlers.NewRegistry(composerPlugin, logPlugin)
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
	want := file + ":5:16: controllers.a.finalizer: the children plugin has a finalizer where it needs one; leave it out\n" +
		file + ":9:16: controllers.b.finalizer: the log plugin cannot finalize; leave it out"
	if err == nil || err.Error() != want {
		t.Errorf("Load: %v\nwant:\n%s", err, want)
	}
}
