package syntax

import (
	"slices"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// checkAttributes reports the attributes of CUE that kooperd gives no meaning, so that none is
// ignored in silence. @embed would read files that are neither hashed nor bounded. Tags exist on
// the command line of CUE alone; CUE ignores @tag in imported files, and so does this.
func checkAttributes(src *Source, f *ast.File) diagnostic.Diagnostics {
	var diags diagnostic.Diagnostics
	report := func(attr *ast.Attribute, message, hint string) {
		pos := PositionAt(src.Name, src.Data, attr.Pos().Offset())
		diags = append(diags, diagnostic.Diagnostic{Position: pos, Message: message, Hint: hint})
	}
	ast.Walk(f, func(n ast.Node) bool {
		attr, ok := n.(*ast.Attribute)
		if !ok {
			return true
		}
		switch name, _ := attr.Split(); {
		case name == "embed":
			report(attr, "@embed is not supported", "name the file on the command line, or import a package")
		case name == "tag" && !src.imported:
			report(attr, attr.Text+" has no effect: kooperd sets no tags", "write the value itself, or put it into another file")
		}
		return true
	}, nil)
	if attr := exclusion(f); attr != nil && !src.imported {
		hint := "remove the attribute, or do not name the file"
		if name, _ := attr.Split(); name == "if" {
			hint = "kooperd sets no tags: " + hint
		}
		report(attr, attr.Text+" leaves the whole file out", hint)
	}
	return diags
}

// exclusion returns the attribute before the package clause by which CUE ignores the file, or nil.
func exclusion(f *ast.File) *ast.Attribute {
	attributes := f.Decls[:max(0, slices.IndexFunc(f.Decls, func(d ast.Decl) bool {
		_, isAttribute := d.(*ast.Attribute)
		_, isComment := d.(*ast.CommentGroup)
		return !isAttribute && !isComment
	}))]
	for _, d := range attributes {
		attr, ok := d.(*ast.Attribute)
		if !ok {
			continue
		}
		switch name, body := attr.Split(); name {
		case "ignore":
			return attr
		case "if":
			if x, err := parser.ParseExpr("", body); err == nil && !holdsWithoutTags(x) {
				return attr
			}
		}
	}
	return nil
}

// holdsWithoutTags evaluates the condition of an @if when no tag is set.
func holdsWithoutTags(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return holdsWithoutTags(x.X)
	case *ast.UnaryExpr:
		return x.Op == token.NOT && !holdsWithoutTags(x.X)
	case *ast.BinaryExpr:
		if x.Op == token.LAND {
			return holdsWithoutTags(x.X) && holdsWithoutTags(x.Y)
		}
		return holdsWithoutTags(x.X) || holdsWithoutTags(x.Y)
	default:
		return false
	}
}
