package language

import (
	"fmt"
	"maps"
	stdpath "path"
	"slices"
	"strings"
	"unicode"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/schemas"
)

// composer collects the declarations of several CUE files for one.
type composer struct {
	doc     []*ast.CommentGroup // of the package clause
	decls   []ast.Decl
	taken   map[string]bool   // the names declared so far
	imports map[string]string // the name of each imported package, by its path
}

// addCore adds a file of package schemas. #Handler is left out, as it is made of the plugins.
func (c *composer) addCore(name string, text []byte) error {
	f, err := parser.ParseFile(name, text, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("parsing the embedded schema: %w", err)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.Package:
			c.doc = append(c.doc, ast.Comments(d)...)
		case *ast.Field:
			label, _, err := ast.LabelName(d.Label)
			if err != nil {
				return fmt.Errorf("reading the embedded schema: %w", err)
			}
			c.taken[label] = true
			if label != "#Handler" {
				c.decls = append(c.decls, d)
			}
		}
	}
	return nil
}

// addPlugin adds a plugin's schema under names of its own and returns the name of its #Config.
func (c *composer) addPlugin(plugin, source string) (string, error) {
	f, err := parser.ParseFile(plugin+".cue", source, parser.ParseComments)
	if err != nil {
		return "", err
	}
	r := &renamer{composer: c, prefix: camel(plugin), names: map[string]string{}}
	for _, d := range f.Decls {
		if err := r.declare(d); err != nil {
			return "", err
		}
	}
	for spec := range f.ImportSpecs() {
		if err := r.importPackage(spec); err != nil {
			return "", err
		}
	}
	for _, d := range f.Decls {
		switch d.(type) {
		case *ast.Package, *ast.ImportDecl, *ast.CommentGroup, *ast.Attribute:
			continue
		}
		r.rename(d, f)
		c.decls = append(c.decls, d)
	}
	return r.names["#Config"], nil
}

// camel turns the name of a plugin into a part of an identifier: slack-message is SlackMessage.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		for i, r := range word {
			if i == 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// renamer gives what one plugin declares at the top of its schema a name that no other has.
type renamer struct {
	*composer
	prefix string
	names  map[string]string // new names by old ones
}

// declare chooses the new names of a declaration at the top of the file.
func (r *renamer) declare(d ast.Decl) error {
	switch d := d.(type) {
	case *ast.Field:
		name, _, err := ast.LabelName(d.Label)
		if err != nil {
			return fmt.Errorf("reading the schema: %w", err)
		}
		r.fresh(name)
		if a, ok := d.Label.(*ast.Alias); ok {
			r.fresh(a.Ident.Name)
		}
		if d.Alias != nil {
			r.fresh(d.Alias.Field.Name)
		}
	case *ast.LetClause:
		r.fresh(d.Ident.Name)
	case *ast.Package, *ast.ImportDecl, *ast.CommentGroup, *ast.Attribute:
	default:
		return fmt.Errorf("reading the schema: want definitions only at the top, have a %T", d)
	}
	return nil
}

// fresh chooses a new name of the same sort: definitions stay definitions, what is hidden stays
// hidden, and plain fields become hidden, as they would be fields of every config otherwise.
func (r *renamer) fresh(name string) {
	if _, ok := r.names[name]; ok {
		return
	}
	sort, rest := "_", name
	for _, s := range []string{"_#", "#", "_"} {
		if cut, ok := strings.CutPrefix(name, s); ok {
			sort, rest = s, cut
			break
		}
	}
	full := sort + r.prefix + strings.ToUpper(rest[:min(1, len(rest))]) + rest[min(1, len(rest)):]
	for r.taken[full] {
		full += "_"
	}
	r.taken[full] = true
	r.names[name] = full
}

// importPackage gives an imported package one name in the whole file.
func (r *renamer) importPackage(spec *ast.ImportSpec) error {
	info, err := astutil.ParseImportSpec(spec)
	if err != nil {
		return fmt.Errorf("reading the imports of the schema: %w", err)
	}
	if _, ok := r.imports[info.ID]; !ok {
		local := info.Ident
		for r.taken[local] {
			local += "_"
		}
		r.taken[local] = true
		r.imports[info.ID] = local
	}
	r.names[info.Ident] = r.imports[info.ID]
	return nil
}

// rename gives a declaration at the top of a file its new name, and all that refers to the file's
// other declarations theirs.
func (r *renamer) rename(d ast.Decl, file *ast.File) {
	if f, ok := d.(*ast.Field); ok {
		switch label := f.Label.(type) {
		case *ast.Alias:
			label.Ident.Name = r.names[label.Ident.Name]
			label.Expr = r.renamedLabel(label.Expr)
			ast.SetRelPos(label.Expr, token.NoSpace)
		default:
			if renamed, ok := r.renamedLabel(label).(ast.Label); ok {
				f.Label = renamed
			}
		}
		if f.Alias != nil {
			f.Alias.Field.Name = r.names[f.Alias.Field.Name]
		}
	}
	if l, ok := d.(*ast.LetClause); ok {
		l.Ident.Name = r.names[l.Ident.Name]
	}
	ast.Walk(d, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		_, imported := id.Node.(*ast.ImportSpec)
		if renamed, ok := r.names[id.Name]; ok && (imported || id.Scope == file) {
			id.Name = renamed
		}
		return true
	}, nil)
}

func (r *renamer) renamedLabel(label ast.Node) ast.Expr {
	if l, ok := label.(ast.Label); ok {
		if name, _, err := ast.LabelName(l); err == nil {
			id := ast.NewIdent(r.names[name])
			ast.SetComments(id, ast.Comments(label))
			ast.SetRelPos(id, token.NewSection)
			return id
		}
	}
	expr, _ := label.(ast.Expr)
	return expr
}

// addHandler declares #Handler: one field for each plugin, exactly one of which is there.
func (c *composer) addHandler(fields *ast.StructLit, arms []ast.Expr) {
	var value ast.Expr = fields
	if len(arms) > 0 {
		one := ast.NewCall(ast.NewIdent("matchN"), ast.NewLit(token.INT, "1"), ast.NewList(arms...))
		value = ast.NewBinExpr(token.AND, one, fields)
	}
	def := &ast.Field{Label: ast.NewIdent("#Handler"), Value: value}
	ast.AddComment(def, docComment("Handler is the plugin to call, with its configuration: exactly one key."))
	ast.SetRelPos(def, token.NewSection)
	c.decls = append(c.decls, def)
}

// file returns everything as one file.
func (c *composer) file() *ast.File {
	clause := &ast.Package{Name: ast.NewIdent("v1alpha1")}
	ast.SetComments(clause, c.doc)
	f := &ast.File{Filename: "schema.cue", Decls: []ast.Decl{clause}}
	imports := &ast.ImportDecl{}
	for _, importPath := range slices.Sorted(maps.Keys(c.imports)) {
		var name *ast.Ident
		if local := c.imports[importPath]; local != stdpath.Base(importPath) {
			name = ast.NewIdent(local)
		}
		imports.Specs = append(imports.Specs, ast.NewImport(name, importPath))
	}
	if len(imports.Specs) > 0 {
		f.Decls = append(f.Decls, imports)
	}
	f.Decls = append(f.Decls, c.decls...)
	return f
}

func docComment(text string) *ast.CommentGroup {
	return &ast.CommentGroup{Doc: true, List: []*ast.Comment{{Text: "// " + diagnostic.OneLine(text)}}}
}

// Compose puts the core and all plugins into one file. What the plugins declare gets the plugin's
// name in front:
// #Config of exec is #ExecConfig.
func Compose(registry *handlers.Registry) (*ast.File, error) {
	c := &composer{taken: map[string]bool{}, imports: map[string]string{}}
	entries, err := schemas.FS.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded schema: %w", err)
	}
	for _, e := range entries {
		text, err := schemas.FS.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the embedded schema: %w", err)
		}
		if err := c.addCore(e.Name(), text); err != nil {
			return nil, err
		}
	}
	handler := &ast.StructLit{}
	var arms []ast.Expr
	for _, name := range registry.Names() {
		d, _ := registry.Describe(name)
		def, err := c.addPlugin(name, d.Schema)
		if err != nil {
			return nil, fmt.Errorf("composing the schema of plugin %q: %w", name, err)
		}
		field := &ast.Field{Label: ast.NewString(name), Constraint: token.OPTION, Value: ast.NewIdent(def)}
		ast.AddComment(field, docComment(d.Summary))
		handler.Elts = append(handler.Elts, field)
		arms = append(arms, ast.NewStruct(&ast.Field{Label: ast.NewString(name), Constraint: token.NOT, Value: ast.NewIdent("_")}))
	}
	c.addHandler(handler, arms)
	return c.file(), nil
}
