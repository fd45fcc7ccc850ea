package explain

import (
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/config/internal/syntax"
)

// document makes a document of one file.
func document(t *testing.T, ctx *cue.Context, in syntax.Language, text string) *Document {
	t.Helper()
	name := map[syntax.Language]string{syntax.CUE: "f.cue", syntax.YAML: "f.yaml", syntax.JSON: "f.json"}[in]
	src := &syntax.Source{Name: name, Abs: "/" + name, Language: in, Data: []byte(text)}
	var tree *ast.File
	var diags diagnostic.Diagnostics
	var err error
	switch in {
	case syntax.YAML:
		tree, diags = syntax.ParseYAML(src)
	case syntax.JSON:
		tree, diags = syntax.ParseJSON(src)
	default:
		tree, err = parser.ParseFile(src.Abs, src.Data)
	}
	if err != nil || len(diags) > 0 {
		t.Fatalf("parsing %s: %v %v", text, err, diags)
	}
	doc := NewDocument(src)
	doc.Files[src.Abs] = src
	doc.Index(tree)
	doc.Value = ctx.BuildFile(tree)
	return doc
}

// checker makes a checker of a document with the real core schema and two plugins.
func checker(t *testing.T, in syntax.Language, text string) *Checker {
	t.Helper()
	ctx := cuecontext.New()
	core, err := language.Core(ctx)
	if err != nil {
		t.Fatal(err)
	}
	schemas := ctx.CompileString(`
exec: close({argv!: [...string], shell?: bool, timeout?: string})
log: close({level?: "info" | "debug", format?: string})
`)
	nodes := map[string]*SchemaNode{}
	for _, name := range []string{"exec", "log"} {
		nodes[name] = NewSchemaNode(schemas.LookupPath(cue.ParsePath(name)))
	}
	plugins := Plugins{Names: []string{"exec", "log"}, Node: func(name string) *SchemaNode { return nodes[name] }}
	return NewChecker(document(t, ctx, in, text), NewReport(), plugins, NewSchemaNode(core))
}
