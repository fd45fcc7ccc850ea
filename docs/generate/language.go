package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/schemas"
)

// language is the definitions of some CUE files by their names.
type language map[string]*ast.Field

// field is one field of a config as its page describes it.
type field struct {
	// Path is where it is: controllers.<name>.watch.kind.
	Path string
	// Doc is its description, without the default.
	Doc string
	// Type says which values it takes.
	Type string
	// Want is a restriction of them, in words. It may be empty.
	Want string
	// Default is the text behind "Default: " of the comment.
	Default  string
	Required bool
	// Of is the description of the type, when it is an object with one.
	Of     string
	Fields []*field
}

// readLanguage reads the core schema, and source in addition, which is a plugin's.
func readLanguage(source string) (language, error) {
	entries, err := schemas.FS.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	l := language{}
	for _, e := range entries {
		text, err := schemas.FS.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the schema: %w", err)
		}
		if err := l.add(e.Name(), text); err != nil {
			return nil, err
		}
	}
	if source == "" {
		return l, nil
	}
	return l, l.add("plugin.cue", []byte(source))
}

// add adds the definitions of a file, over those of the same name.
func (l language) add(name string, text []byte) error {
	file, err := parser.ParseFile(name, text, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("parsing the schema: %w", err)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.Field)
		if !ok {
			continue
		}
		label, _, err := ast.LabelName(f.Label)
		if err != nil {
			return fmt.Errorf("reading the schema: %w", err)
		}
		l[label] = f
	}
	return nil
}

// describe describes the fields of #Config, below path.
func (l language) describe(path string) ([]*field, error) {
	d, ok := l["#Config"]
	if !ok {
		return nil, errors.New("describing #Config: the schema does not define it")
	}
	return l.fields(d.Value, path)
}

// fields describes the fields of the object that an expression allows; none when it allows no
// object.
func (l language) fields(x ast.Expr, path string) ([]*field, error) {
	var all []*field
	for _, lit := range l.objects(x) {
		for _, e := range lit.Elts {
			f, ok := e.(*ast.Field)
			if !ok {
				continue
			}
			below, err := l.field(f, path)
			if err != nil {
				return nil, err
			}
			if below != nil {
				all = append(all, below)
			}
		}
	}
	return all, nil
}

// objects finds the struct literals that an expression allows.
func (l language) objects(x ast.Expr) []*ast.StructLit {
	switch x := x.(type) {
	case *ast.StructLit:
		return []*ast.StructLit{x}
	case *ast.BinaryExpr:
		return append(l.objects(x.X), l.objects(x.Y)...)
	case *ast.ParenExpr:
		return l.objects(x.X)
	case *ast.Ident:
		if d, ok := l[x.Name]; ok && x.Name != "#Secret" { // it has a section of its own
			return l.objects(d.Value)
		}
	case *ast.ListLit:
		if e := element(x); e != nil {
			return l.objects(e)
		}
	}
	return nil
}

// field describes one field, or nothing for the pattern of a map of scalars, which its type tells.
func (l language) field(f *ast.Field, path string) (*field, error) {
	out := &field{Want: l.want(f.Value, f)}
	if pattern, ok := f.Label.(*ast.ListLit); ok {
		if len(l.objects(f.Value)) == 0 {
			return nil, nil //nolint:nilnil // nothing to describe is no mistake
		}
		out.Path = join(path, "<name>")
		out.Want = attribute(f, "name")
		if out.Want == "" {
			return nil, fmt.Errorf("describing %s: a pattern %v without @name", path, pattern)
		}
	} else {
		label, _, err := ast.LabelName(f.Label)
		if err != nil {
			return nil, fmt.Errorf("describing %s: %w", path, err)
		}
		out.Path = join(path, label)
	}
	out.Required = f.Constraint == token.NOT
	out.Doc, out.Default = splitDefault(doc(f))
	out.Of = l.docOfType(f.Value)
	var err error
	if out.Type, err = l.typeOf(f.Value); err != nil {
		return nil, fmt.Errorf("describing %s: %w", out.Path, err)
	}
	below := out.Path
	if _, ok := f.Value.(*ast.ListLit); ok {
		below += "[]"
	}
	out.Fields, err = l.fields(f.Value, below)
	return out, err
}

// docOfType is the description of the definition of objects that an expression allows, or nothing.
func (l language) docOfType(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BinaryExpr:
		return l.docOfType(x.X) + l.docOfType(x.Y)
	case *ast.Ident:
		if d, ok := l[x.Name]; ok && len(l.objects(x)) > 0 {
			text, _ := splitDefault(doc(d))
			return text
		}
	}
	return ""
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// doc is the comment above a field as running text, paragraphs kept apart by an empty line.
func doc(f *ast.Field) string {
	var paragraphs []string
	for _, group := range ast.Comments(f) {
		if !group.Doc {
			continue
		}
		for p := range strings.SplitSeq(strings.TrimSpace(group.Text()), "\n\n") {
			paragraphs = append(paragraphs, strings.Join(strings.Fields(p), " "))
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// splitDefault cuts the default off the end of a comment.
func splitDefault(text string) (rest, value string) {
	rest, value, _ = strings.Cut(text, "Default: ")
	return strings.TrimSpace(rest), strings.TrimSuffix(value, ".")
}

// attribute is the text of the attribute of that name, or nothing.
func attribute(f *ast.Field, name string) string {
	for _, a := range f.Attrs {
		if key, body := a.Split(); key == name {
			if text, err := strconv.Unquote(body); err == nil {
				return text
			}
		}
	}
	return ""
}

// want is what the field itself or the definition of its values says of them.
func (l language) want(x ast.Expr, f *ast.Field) string {
	if text := attribute(f, "want"); text != "" {
		return text
	}
	switch x := x.(type) {
	case *ast.Ident:
		if d, ok := l[x.Name]; ok && x.Name != "#Duration" { // it has a section of its own
			return attribute(d, "want")
		}
	case *ast.ListLit:
		if e := element(x); e != nil {
			if text := l.want(e, &ast.Field{}); text != "" {
				return "each " + text
			}
		}
	}
	return ""
}
