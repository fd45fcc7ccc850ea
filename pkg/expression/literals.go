package expression

import (
	"regexp"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

const notExpression = "is not a regular expression"

// literals are mistakes in texts that stand for something else.
func (x *explainer) literals() Mistakes {
	var ms Mistakes
	for _, v := range []struct {
		cel.ASTValidator
		message, hint string
	}{
		{cel.ValidateRegexLiterals(), notExpression, ""},
		{cel.ValidateDurationLiterals(), "is not a duration", `write it as in duration("1h30m")`},
		{cel.ValidateTimestampLiterals(), "is not a point in time", `write it as in timestamp("2026-01-31T12:00:00Z")`},
	} {
		issues := cel.NewIssuesWithSourceInfo(common.NewErrors(x.source), x.tree.SourceInfo())
		v.Validate(x.language.env, nil, x.tree, issues)
		for _, e := range issues.Errors() {
			if _, ok := x.checked[e.ExprID].AsLiteral().(types.String); !ok {
				continue // The type check has said it.
			}
			ms = append(ms, &Mistake{
				Offset: offset(x.source, e.Location), Message: x.text(x.checked[e.ExprID]) + " " + v.message, Hint: v.hint,
			})
		}
	}
	for _, e := range x.checked {
		if m := (parsing{x}).mistake(e); m != nil {
			ms = append(ms, m)
		}
	}
	return ms
}

// parsing looks at the texts that functions of Kubernetes and of the extensions parse. For those of
// CEL itself, CEL does.
type parsing struct{ *explainer }

// parsers are the functions that parse a text, and what is said of one that they cannot parse.
var parsers = map[string]struct{ message, hint string }{
	"quantity": {"is not a quantity", `write it as in quantity("500m")`},
	"semver":   {"is not a semantic version", `write it as in semver("1.2.3")`},
	"ip":       {"is not an IP address", `write it as in ip("192.0.2.1")`},
	"cidr":     {"is not a network", `write it as in cidr("10.0.0.0/8")`},
	"url":      {"is not a URL", `write it as in url("https://example.com/")`},
}

// expressions are the functions with a regular expression, and which argument that is.
var expressions = map[string]int{"find": 0, "findAll": 0, "regex.extract": 1, "regex.extractAll": 1, "regex.replace": 1}

// mistake is where a function cannot parse the text that stands in a call of it; nil for anything
// else.
func (x parsing) mistake(e ast.Expr) *Mistake {
	if e.Kind() != ast.CallKind {
		return nil
	}
	call := e.AsCall()
	at, isExpression := expressions[call.FunctionName()]
	parser, isParser := parsers[call.FunctionName()]
	if !isExpression && (!isParser || len(call.Args()) != 1) || len(call.Args()) <= at {
		return nil
	}
	literal := call.Args()[at]
	text, ok := literal.AsLiteral().(types.String)
	if literal.Kind() != ast.LiteralKind || !ok {
		return nil
	}
	if isExpression {
		if _, err := regexp.Compile(string(text)); err == nil {
			return nil
		}
		parser.message = notExpression
	} else if x.language.parses(call.FunctionName(), text) {
		return nil
	}
	return &Mistake{
		Offset: offset(x.source, x.tree.SourceInfo().GetStartLocation(literal.ID())), Message: x.text(literal) + " " + parser.message, Hint: parser.hint,
	}
}

// parses reports whether a function takes a text.
func (l *Language) parses(function string, text ref.Val) bool {
	bindings, err := l.env.Functions()[function].Bindings()
	if err != nil {
		return true
	}
	for _, b := range bindings {
		switch {
		case b.Operator != function:
		case b.Unary != nil:
			return !types.IsError(b.Unary(text))
		case b.Function != nil:
			return !types.IsError(b.Function(text))
		}
	}
	return true
}
