package syntax

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue/scanner"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// maxOperators bounds how many operators, selectors and calls may follow each other in one
// expression, as each makes the syntax tree one level deeper.
const maxOperators = 2000

// checkNesting refuses CUE or JSON whose syntax tree would be so deep that CUE's recursive parser
// or evaluator overflow the stack, which would end the process: a:a:a:… does it with one megabyte.
// It looks at tokens only, so it is not recursive itself.
func checkNesting(src *Source) (diagnostic.Diagnostic, bool) {
	file := token.NewFile(src.Abs, -1, len(src.Data))
	var s scanner.Scanner
	s.Init(file, src.Data, func(token.Pos, string, []any) {}, 0)
	n := nesting{frames: []nestingFrame{{}}, resume: s.ResumeInterpolation}
	for {
		pos, tok, _ := s.Scan()
		if tok == token.EOF {
			return diagnostic.Diagnostic{}, false
		}
		n.add(tok)
		var message string
		switch {
		case n.depth > maxNesting:
			message = fmt.Sprintf("nested more than %d levels deep", maxNesting)
		case n.frames[len(n.frames)-1].operators > maxOperators:
			message = fmt.Sprintf("more than %d operators follow each other in one expression", maxOperators)
		default:
			continue
		}
		return diagnostic.Diagnostic{Position: PositionAt(src.Name, src.Data, pos.Offset()), Message: message}, true
	}
}

// nesting follows the depth of the syntax tree through the tokens.
type nesting struct {
	frames        []nestingFrame // the file, and each open bracket in it
	depth         int            // the sum of the frames
	previous      token.Token
	interpolation bool          // the next "(" belongs to an interpolation
	resume        func() string // goes on in the string behind an interpolation
}

type nestingFrame struct {
	bracket       int // 1 for the bracket itself, 0 when the colon before it was counted
	chain         int // length of a: b: c: so far
	operators     int // since the last comma
	interpolation bool
}

func (n *nesting) add(tok token.Token) {
	top := &n.frames[len(n.frames)-1]
	switch tok {
	case token.INTERPOLATION:
		n.interpolation = true
	case token.LBRACE, token.LBRACK, token.LPAREN:
		top.operators++
		frame := nestingFrame{bracket: 1, interpolation: n.interpolation}
		if n.previous == token.COLON {
			frame.bracket = 0
		}
		n.interpolation = false
		n.depth += frame.bracket
		n.frames = append(n.frames, frame)
	case token.RBRACE, token.RBRACK, token.RPAREN:
		n.pop(tok)
	case token.COMMA:
		n.depth -= top.chain
		top.chain, top.operators = 0, 0
	case token.COLON:
		top.chain++
		n.depth++
	default:
		if tok.IsOperator() || tok == token.FOR || tok == token.IF || tok == token.LET {
			top.operators++
		}
	}
	n.previous = tok
}

func (n *nesting) pop(tok token.Token) {
	if len(n.frames) == 1 {
		return // an unbalanced bracket is the parser's to tell
	}
	top := n.frames[len(n.frames)-1]
	n.frames = n.frames[:len(n.frames)-1]
	n.depth -= top.bracket + top.chain
	if top.interpolation && tok == token.RPAREN {
		n.interpolation = strings.HasSuffix(n.resume(), "(")
	}
}
