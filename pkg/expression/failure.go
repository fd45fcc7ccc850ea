package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/parser"
)

// failure adds to the error of an evaluation which operator or function has failed, and where.
// CEL's own errors say neither.
func (e *Expression) failure(err error) error {
	failed := (*types.Err)(nil)
	// One error of CEL is a global variable, whose place is that of the first evaluation to fail.
	if !errors.As(err, &failed) || ref.Val(failed) == types.NoSuchOverloadErr() {
		return err
	}
	node, ok := nodesByID(e.written)[failed.NodeID()]
	if !ok {
		return err
	}
	text, unparseErr := parser.Unparse(node, e.written.SourceInfo())
	if unparseErr != nil {
		text = "the expression"
	}
	at := e.written.SourceInfo().GetStartLocation(node.ID())
	place := fmt.Sprintf("%s at %d:%d", shortened(text), at.Line(), at.Column()+1)
	if node.Kind() == ast.CallKind {
		name := node.AsCall().FunctionName()
		if sign, ok := operators.FindReverse(name); ok {
			name = sign
		}
		if name != "" { // Brackets have none that people know, and show in the text.
			place = name + " in " + place
		}
	}
	return fmt.Errorf("%s: %w", place, err)
}

// maxText is how many characters of an expression a message repeats.
const maxText = 80

// shortened cuts a text when it is long.
func shortened(text string) string {
	if runes := []rune(text); len(runes) > maxText {
		return string(runes[:maxText-1]) + "…"
	}
	return text
}

// The beginnings of the messages of CEL about what is not there. It has no codes for them.
const (
	noSuchKey   = "no such key: "
	noSuchEntry = "index out of bounds"
)

// IsAbsent reports whether an evaluation has failed because a field, a key or an entry is not
// there.
func IsAbsent(err error) bool {
	failed := (*types.Err)(nil)
	if !errors.As(err, &failed) {
		return false
	}
	return strings.HasPrefix(failed.String(), noSuchKey) || strings.HasPrefix(failed.String(), noSuchEntry)
}

// Missing returns what was to be read of a variable where an evaluation has failed because a field
// or key of it is not there, up to that name. It returns false where that is not known, as in a
// macro over a list.
func (e *Expression) Missing(err error) (Read, bool) {
	failed := (*types.Err)(nil)
	if !errors.As(err, &failed) {
		return Read{}, false
	}
	key, ok := strings.CutPrefix(failed.String(), noSuchKey)
	node, known := nodesByID(e.written)[failed.NodeID()]
	if !ok || !known {
		return Read{}, false
	}
	x := reader{text: []rune(e.text), info: e.written.SourceInfo(), variables: e.variables}
	r, ok := x.path(node, nil)
	if !ok {
		return Read{}, false
	}
	at := slices.Index(r.path, key)
	if at < 0 || slices.Contains(r.path[at+1:], key) {
		return Read{}, false // It may be either of the two.
	}
	return Read{Variable: r.variable, Path: r.path[:at+1]}, true
}
