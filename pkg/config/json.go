package config

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/encoding/json"
)

// parseJSON reads a JSON object as CUE syntax that keeps the file's positions.
func parseJSON(src *source) (*ast.File, Diagnostics) {
	fail := func(pos Position, at path, message, hint string, related ...Position) Diagnostics {
		return Diagnostics{{Position: pos, Path: at.String(), Message: message, Hint: hint, Related: related}}
	}
	if len(bytes.TrimSpace(src.data)) == 0 {
		return nil, fail(Position{File: src.name, Line: 1, Column: 1}, nil, "the file is empty", emptyHint)
	}
	if d, bad := checkNesting(src); bad {
		return nil, Diagnostics{d}
	}
	if d, bad := checkJSON(src); bad {
		return nil, Diagnostics{d}
	}
	expr, err := json.Extract(src.abs, src.data)
	if err != nil {
		return nil, fail(Position{File: src.name, Line: 1, Column: 1}, nil, "not JSON: "+err.Error(), "")
	}
	obj, ok := expr.(*ast.StructLit)
	if !ok {
		return nil, fail(positionAt(src.name, src.data, len(src.data)-len(bytes.TrimLeft(src.data, " \t\r\n"))), nil,
			"want an object with apiVersion and controllers", "")
	}
	dup := duplicateKeys{src: src}
	dup.find(obj, nil)
	if len(dup.diags) > 0 {
		return nil, dup.diags
	}
	return &ast.File{Filename: src.abs, Decls: withoutExtensions(obj.Elts)}, nil
}

// checkJSON finds the place where a file stops being JSON, and a second value behind the first.
func checkJSON(src *source) (Diagnostic, bool) {
	dec := stdjson.NewDecoder(bytes.NewReader(src.data))
	var first stdjson.RawMessage
	err := dec.Decode(&first)
	if err == nil {
		rest := src.data[dec.InputOffset():]
		if trimmed := bytes.TrimLeft(rest, " \t\r\n"); len(trimmed) > 0 {
			at := positionAt(src.name, src.data, len(src.data)-len(trimmed))
			return Diagnostic{Position: at, Message: "not JSON: something follows the object", Hint: "want one object in a file"}, true
		}
		return Diagnostic{}, false
	}
	offset, message := len(src.data), err.Error()
	var syntax *stdjson.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		message = "the file ends inside a value"
	case errors.As(err, &syntax):
		offset = int(syntax.Offset) - 1
	}
	return Diagnostic{Position: positionAt(src.name, src.data, offset), Message: "not JSON: " + message,
		Hint: jsonHint(src.data, offset, message)}, true
}

// jsonHint explains what JSON lacks that its readers expect.
func jsonHint(data []byte, offset int, message string) string {
	before := bytes.TrimRight(data[:min(max(offset, 0), len(data))], " \t\r\n")
	switch {
	case strings.Contains(message, "'/'") || strings.Contains(message, "'#'"):
		return "JSON has no comments"
	case bytes.HasSuffix(before, []byte(",")):
		return "JSON allows no comma behind the last entry"
	case strings.Contains(message, "looking for beginning of object key string") && offset < len(data) && startsWord(data[offset]):
		return "JSON wants keys in double quotes"
	case strings.Contains(message, `'\''`):
		return "JSON wants text in double quotes"
	}
	return ""
}

func startsWord(b byte) bool {
	return b == '\'' || b == '_' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// duplicateKeys finds keys that an object has twice, which CUE would unify.
type duplicateKeys struct {
	src   *source
	diags Diagnostics
}

func (d *duplicateKeys) find(x ast.Expr, at path) {
	switch x := x.(type) {
	case *ast.ListLit:
		for i, e := range x.Elts {
			d.find(e, at.with(indexStep(i)))
		}
	case *ast.StructLit:
		first := map[string]int{}
		for _, e := range x.Elts {
			f, ok := e.(*ast.Field)
			if !ok {
				continue
			}
			name, _, err := ast.LabelName(f.Label)
			if err != nil {
				continue
			}
			offset := f.Label.Pos().Offset()
			if other, ok := first[name]; ok && len(d.diags) < maxDiagnostics {
				p := positionAt(d.src.name, d.src.data, other)
				d.diags = append(d.diags, Diagnostic{Position: positionAt(d.src.name, d.src.data, offset),
					Path: at.with(name).String(), Related: []Position{p},
					Message: fmt.Sprintf("the key is there twice, first on line %d", p.Line)})
			} else {
				first[name] = offset
			}
			d.find(f.Value, at.with(name))
		}
	}
}
