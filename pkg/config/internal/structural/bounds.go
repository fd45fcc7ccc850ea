package structural

import (
	"fmt"
	"math"
	"strings"

	"cuelang.org/go/cue"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// bound adds one bound; false after a mistake.
func (w *walker) bound(v cue.Value, op cue.Op, bound any, s map[string]any, at diagnostic.Path) bool {
	_, isText := bound.(string)
	switch {
	case op == cue.RegexMatchOp && s["pattern"] == nil:
		s["pattern"] = bound
	case op == cue.RegexMatchOp:
		s["allOf"] = append(listOf(s["allOf"]), map[string]any{"pattern": bound})
	case op == cue.NotRegexMatchOp:
		s["allOf"] = append(listOf(s["allOf"]), map[string]any{"not": map[string]any{"pattern": bound}})
	case op == cue.NotEqualOp && bound == nil:
	case op == cue.NotEqualOp:
		s["allOf"] = append(listOf(s["allOf"]), map[string]any{"not": map[string]any{"enum": []any{bound}}})
	case isText:
		w.refuse(v, at, "bounds the order of texts", "write a pattern, or a rule in validations")
		return false
	case op == cue.GreaterThanEqualOp || op == cue.GreaterThanOp:
		limit(s, "minimum", "exclusiveMinimum", bound, op == cue.GreaterThanOp, 1)
	case op == cue.LessThanEqualOp || op == cue.LessThanOp:
		limit(s, "maximum", "exclusiveMaximum", bound, op == cue.LessThanOp, -1)
	default:
		w.refuse(v, at, fmt.Sprintf("the operator %v has no place in a structural schema", op), ruleHint)
		return false
	}
	return true
}

// limit sets a bound of numbers, unless there is a tighter one. sign is 1 for lower bounds.
func limit(s map[string]any, word, exclusive string, bound any, excludes bool, sign float64) {
	if before, ok := s[word]; ok {
		was, is := float(before)*sign, float(bound)*sign
		if was > is || was == is && !excludes {
			return
		}
	}
	s[word] = bound
	delete(s, exclusive)
	if excludes {
		s[exclusive] = true
	}
}

func float(n any) float64 {
	switch n := n.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	default:
		return math.NaN()
	}
}

func listOf(value any) []any {
	l, _ := value.([]any)
	return l
}

// numberFormat writes the bounds of int32 and int64 as the format that stands for them.
func numberFormat(s map[string]any) {
	if s["type"] != "integer" {
		return
	}
	for format, size := range map[string][2]int64{"int32": {math.MinInt32, math.MaxInt32}, "int64": {math.MinInt64, math.MaxInt64}} {
		if s["minimum"] == size[0] && s["maximum"] == size[1] {
			delete(s, "minimum")
			delete(s, "maximum")
			s["format"] = format
		}
	}
}

// functionName is how a function of CUE is written.
func functionName(f cue.Value) string {
	return strings.TrimSuffix(fmt.Sprint(f), "()")
}

// call adds what a function of CUE says of a value without parts; false after a mistake.
func (w *walker) call(v cue.Value, args []cue.Value, s map[string]any, at diagnostic.Path) bool {
	name := functionName(args[0])
	words := map[string]string{"strings.MinRunes": "minLength", "strings.MaxRunes": "maxLength", "math.MultipleOf": "multipleOf"}
	formats := map[string]string{"time.Time": "date-time", "time.Duration": "duration"}
	switch {
	case words[name] != "" && len(args) == 2:
		n, ok := argument(w, v, args[1], at)
		if ok && words[name] == "multipleOf" {
			multiple(s, n)
		} else if ok {
			return count(w, v, s, words[name], n, at)
		}
		return ok
	case formats[name] != "":
		s["format"] = formats[name]
	default:
		w.refuse(v, at, fmt.Sprintf("the function %s has no place in a structural schema", name), "write a pattern, or a rule in validations")
		return false
	}
	return true
}

// argument returns the number that a function bounds a value by; false after a mistake.
func argument(w *walker, v, bound cue.Value, at diagnostic.Path) (any, bool) {
	n, ok := concrete(bound.Eval())
	if !ok {
		w.refuse(v, at, "is bounded by another field", ruleHint)
	}
	return n, ok
}

// multiple adds what a number is a multiple of. A schema has one multipleOf, so others stand in
// allOf.
func multiple(s map[string]any, of any) {
	switch before := s["multipleOf"]; before {
	case nil:
		s["multipleOf"] = of
	case of:
	default:
		s["allOf"] = append(listOf(s["allOf"]), map[string]any{"multipleOf": of})
	}
}
