package main

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// element is the expression of a list's elements, or nil.
func element(list *ast.ListLit) ast.Expr {
	for _, e := range list.Elts {
		if rest, ok := e.(*ast.Ellipsis); ok {
			return rest.Type
		}
	}
	return nil
}

// typeOf says in words which values an expression allows.
func (l language) typeOf(x ast.Expr) (string, error) {
	switch x := x.(type) {
	case *ast.Ident:
		return l.typeOfName(x.Name)
	case *ast.BasicLit:
		return "`" + x.Value + "`", nil
	case *ast.ParenExpr:
		return l.typeOf(x.X)
	case *ast.StructLit:
		return l.typeOfStruct(x)
	case *ast.ListLit:
		return l.typeOfList(x)
	case *ast.BinaryExpr:
		return l.typeOfBinary(x)
	case *ast.UnaryExpr:
		if x.Op == token.MAT {
			return "string", nil
		}
	}
	return "", fmt.Errorf("no words for %T", x)
}

func (l language) typeOfName(name string) (string, error) {
	switch name {
	case "string":
		return "string", nil
	case "int":
		return "whole number", nil
	case "number":
		return "number", nil
	case "bool":
		return "`true` or `false`", nil
	case "_":
		return "any value of CUE", nil
	case "#Duration":
		return "[duration](#duration)", nil
	case "#Secret":
		return "[secret](#secret)", nil
	}
	d, ok := l[name]
	if !ok {
		return "", fmt.Errorf("%s is not defined", name)
	}
	return l.typeOf(d.Value)
}

// typeOfStruct tells maps of scalars from objects.
func (l language) typeOfStruct(x *ast.StructLit) (string, error) {
	if len(x.Elts) != 1 {
		return "object", nil
	}
	f, ok := x.Elts[0].(*ast.Field)
	if !ok {
		return "object", nil
	}
	if _, ok := f.Label.(*ast.ListLit); !ok {
		return "object", nil
	}
	of, err := l.typeOf(f.Value)
	if err != nil {
		return "", err
	}
	return "map of names to " + plural(of), nil
}

func (l language) typeOfList(x *ast.ListLit) (string, error) {
	e := element(x)
	if e == nil {
		return "", fmt.Errorf("no words for a list without an ellipsis")
	}
	of, err := l.typeOf(e)
	if err != nil {
		return "", err
	}
	text := "list of " + plural(of)
	if len(x.Elts) > 1 {
		text += fmt.Sprintf(", at least %d", len(x.Elts)-1)
	}
	return text, nil
}

// typeOfBinary says alternatives with "or", and bounds behind the type they are of. What a regular
// expression allows is said by the attribute @want.
func (l language) typeOfBinary(x *ast.BinaryExpr) (string, error) {
	if x.Op == token.OR {
		a, err := l.typeOf(x.X)
		if err != nil {
			return "", err
		}
		b, err := l.typeOf(x.Y)
		return a + " or " + b, err
	}
	if x.Op != token.AND {
		return "", fmt.Errorf("no words for %s", x.Op)
	}
	base, err := l.typeOf(x.X)
	if err != nil {
		return "", err
	}
	bound, ok := x.Y.(*ast.UnaryExpr)
	if !ok {
		return "", fmt.Errorf("no words for %T as a restriction", x.Y)
	}
	limit, _ := bound.X.(*ast.BasicLit)
	if bound.Op == token.MAT || limit == nil {
		return base, nil
	}
	switch bound.Op {
	case token.GEQ:
		return base + " from " + limit.Value, nil
	case token.LEQ:
		return base + " to " + limit.Value, nil
	}
	return "", fmt.Errorf("no words for %s", bound.Op)
}

// plural is the plural of what typeOf says.
func plural(text string) string {
	for _, one := range []string{"string", "object", "whole number", "number", "[duration", "[secret"} {
		if rest, ok := strings.CutPrefix(text, one); ok {
			return one + "s" + rest
		}
	}
	return text
}
