package expression

import (
	"strings"

	"github.com/google/cel-go/common/ast"
)

// Calls returns where the expression calls functions of a namespace, as generate.uuid() is one of
// generate: in characters from its start.
func (e *Expression) Calls(namespace string) (offsets []int) {
	ast.PreOrderVisit(e.written.Expr(), ast.NewExprVisitor(func(node ast.Expr) {
		if node.Kind() != ast.CallKind || !node.AsCall().IsMemberFunction() {
			return
		}
		target := node.AsCall().Target()
		if target.Kind() != ast.IdentKind || strings.TrimPrefix(target.AsIdent(), ".") != namespace {
			return
		}
		at, _ := e.written.SourceInfo().GetOffsetRange(target.ID())
		offsets = append(offsets, int(at.Start))
	}))
	return offsets
}
