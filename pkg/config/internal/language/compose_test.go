package language

import (
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/format"
)

// TestPluginsDoNotMix has two plugins that declare and import the same names, one of which is that
// of the core, too.
func TestPluginsDoNotMix(t *testing.T) {
	c := &composer{taken: map[string]bool{}, imports: map[string]string{}}
	if err := c.addCore("core.cue", []byte("package v1alpha1\n\n#Duration: string\n#Handler: _\n#LogHeader: int\n")); err != nil {
		t.Fatal(err)
	}
	for plugin, schema := range map[string]string{
		"log":           "import \"strings\"\n#Config: {header: #Header, wait?: #Duration}\n#Header: strings.MinRunes(2)\n#Duration: \"log\"\n",
		"slack-message": "import \"list\"\n#Config: header: #Header & list.MinItems(1)\n#Header: [..._part]\n_part: size\nsize: int\n",
	} {
		name, err := c.addPlugin(plugin, schema)
		if want := map[string]string{"log": "#LogConfig", "slack-message": "#SlackMessageConfig"}[plugin]; err != nil || name != want {
			t.Fatalf("the config of %s is %q (%v), want %q", plugin, name, err, want)
		}
	}
	text, err := format.Node(c.file())
	if err != nil {
		t.Fatal(err)
	}
	ctx := cuecontext.New()
	v := ctx.CompileBytes(text)
	if err := v.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for config, want := range map[string]bool{
		`#LogConfig & {header: "ab", wait: "log"}`: true,
		`#LogConfig & {header: "a"}`:               false,
		`#LogConfig & {header: "ab", wait: "5s"}`:  false,
		`#SlackMessageConfig & {header: [1]}`:      true,
		`#SlackMessageConfig & {header: []}`:       false,
		`#LogHeader & 5`:                           true,
		`#Duration & "5s"`:                         true,
	} {
		if err := ctx.CompileString(config, cue.Scope(v)).Validate(cue.Concrete(true)); (err == nil) != want {
			t.Errorf("%s: %v, want valid: %t, in\n%s", config, err, want, text)
		}
	}
	if v.LookupPath(cue.MakePath(cue.Def("#Handler"))).Exists() {
		t.Error("the schema has the handler of the core, which is made of the plugins")
	}
	if it, err := v.Fields(); err != nil || it.Next() {
		t.Errorf("the schema has the plain field %s (%v), which every config would have", it.Selector(), err)
	}
}

func TestPluginSchemaMustDefine(t *testing.T) {
	c := &composer{taken: map[string]bool{}, imports: map[string]string{}}
	if _, err := c.addPlugin("log", "#Config: {}\nif true {x: 1}\n"); err == nil || !strings.Contains(err.Error(), "want definitions only") {
		t.Errorf("a comprehension at the top is taken (%v)", err)
	}
	declares := func(d ast.Decl) bool { _, ok := d.(*ast.Field); return ok }
	if slices.ContainsFunc(c.file().Decls, declares) {
		t.Error("what was refused is in the file")
	}
}
