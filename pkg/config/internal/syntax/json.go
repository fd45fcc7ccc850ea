package syntax

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/encoding/json"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// ParseJSON reads a JSON object as CUE syntax that keeps the file's positions.
func ParseJSON(src *Source) (*ast.File, diagnostic.Diagnostics) {
	fail := func(pos diagnostic.Position, at diagnostic.Path, message, hint string, related ...diagnostic.Position) diagnostic.Diagnostics {
		return diagnostic.Diagnostics{{Position: pos, Path: at.String(), Message: message, Hint: hint, Related: related}}
	}
	if len(bytes.TrimSpace(src.Data)) == 0 {
		return nil, fail(diagnostic.Position{File: src.Name, Line: 1, Column: 1}, nil, "the file is empty", emptyHint)
	}
	if d, bad := checkNesting(src); bad {
		return nil, diagnostic.Diagnostics{d}
	}
	if d, bad := checkJSON(src); bad {
		return nil, diagnostic.Diagnostics{d}
	}
	expr, err := json.Extract(src.Abs, src.Data)
	if err != nil {
		return nil, fail(diagnostic.Position{File: src.Name, Line: 1, Column: 1}, nil, "not JSON: "+err.Error(), "")
	}
	obj, ok := expr.(*ast.StructLit)
	if !ok {
		return nil, fail(PositionAt(src.Name, src.Data, len(src.Data)-len(bytes.TrimLeft(src.Data, " \t\r\n"))), nil,
			"want an object with apiVersion and controllers", "")
	}
	dup := duplicateKeys{src: src}
	dup.find(obj, nil)
	if len(dup.diags) > 0 {
		return nil, dup.diags
	}
	return &ast.File{Filename: src.Abs, Decls: withoutExtensions(obj.Elts)}, nil
}

// checkJSON finds the place where a file stops being JSON, and a second value behind the first.
func checkJSON(src *Source) (diagnostic.Diagnostic, bool) {
	dec := stdjson.NewDecoder(bytes.NewReader(src.Data))
	var first stdjson.RawMessage
	err := dec.Decode(&first)
	if err == nil {
		rest := src.Data[dec.InputOffset():]
		if trimmed := bytes.TrimLeft(rest, " \t\r\n"); len(trimmed) > 0 {
			at := PositionAt(src.Name, src.Data, len(src.Data)-len(trimmed))
			return diagnostic.Diagnostic{Position: at, Message: "not JSON: something follows the object", Hint: "want one object in a file"}, true
		}
		return diagnostic.Diagnostic{}, false
	}
	offset, message := len(src.Data), err.Error()
	var syntax *stdjson.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		message = "the file ends inside a value"
	case errors.As(err, &syntax):
		offset = int(syntax.Offset) - 1
	}
	return diagnostic.Diagnostic{Position: PositionAt(src.Name, src.Data, offset), Message: "not JSON: " + message,
		Hint: jsonHint(src.Data, offset, message)}, true
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
	src   *Source
	diags diagnostic.Diagnostics
}

func (d *duplicateKeys) find(x ast.Expr, at diagnostic.Path) {
	switch x := x.(type) {
	case *ast.ListLit:
		for i, e := range x.Elts {
			d.find(e, at.With(diagnostic.IndexStep(i)))
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
			if other, ok := first[name]; ok && len(d.diags) < diagnostic.MaxDiagnostics {
				p := PositionAt(d.src.Name, d.src.Data, other)
				d.diags = append(d.diags, diagnostic.Diagnostic{Position: PositionAt(d.src.Name, d.src.Data, offset),
					Path: at.With(name).String(), Related: []diagnostic.Position{p},
					Message: fmt.Sprintf("the key is there twice, first on line %d", p.Line)})
			} else {
				first[name] = offset
			}
			d.find(f.Value, at.With(name))
		}
	}
}
