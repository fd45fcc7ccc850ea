package handlers

import (
	"errors"
	"fmt"
	"slices"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"

	"kooperd.dev/kooperd/schemas"
)

// CompileSchema compiles a plugin's schema together with the common definitions in ctx and returns
// its #Config. The standard library of CUE may be imported, nothing else. Positions of the result
// name file "plugin.cue".
func CompileSchema(ctx *cue.Context, source string) (cue.Value, error) {
	inst := build.NewContext().NewInstance("", nil)
	common, err := parser.ParseFile("common.cue", schemas.Common)
	if err != nil {
		return cue.Value{}, fmt.Errorf("parsing the common definitions: %w", err)
	}
	file, err := parser.ParseFile("plugin.cue", source, parser.ParseComments)
	if err != nil {
		return cue.Value{}, compileError(err)
	}
	for _, f := range []*ast.File{common, file} {
		setPackage(f, "plugin")
		if err := inst.AddSyntax(f); err != nil {
			return cue.Value{}, compileError(err)
		}
	}
	v := ctx.BuildInstance(inst)
	if err := v.Err(); err != nil {
		return cue.Value{}, compileError(err)
	}
	config := v.LookupPath(cue.MakePath(cue.Def("#Config")))
	if !config.Exists() {
		return cue.Value{}, errors.New("compiling the schema: it declares no #Config")
	}
	if config.IncompleteKind() != cue.StructKind {
		return cue.Value{}, fmt.Errorf("compiling the schema: #Config is a %s, want a struct", config.IncompleteKind())
	}
	return config, nil
}

// setPackage makes f a file of the package of that name, whatever it was: files see each other's
// definitions only within one package.
func setPackage(f *ast.File, name string) {
	f.Decls = slices.DeleteFunc(f.Decls, func(d ast.Decl) bool { _, ok := d.(*ast.Package); return ok })
	f.Decls = slices.Insert(f.Decls, 0, ast.Decl(&ast.Package{Name: ast.NewIdent(name)}))
}

// compileError puts the position of the first mistake in front, as the text of CUE's errors leaves
// it out.
func compileError(err error) error {
	if at := cueerrors.Positions(err); len(at) > 0 && at[0].IsValid() {
		return fmt.Errorf("compiling the schema: %s: %w", at[0], err)
	}
	return fmt.Errorf("compiling the schema: %w", err)
}
