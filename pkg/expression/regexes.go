package expression

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// boundedMatches makes calls of matches() bound to costLimit. CEL's own functions cannot be bound
// anew, and CEL compiles a pattern that is known once: so the calls themselves are replaced, where
// the pattern is known as it is known then, in place of CEL's own replacement.
func boundedMatches() []cel.ProgramOption {
	known := func(overload string) *interpreter.RegexOptimization {
		return &interpreter.RegexOptimization{Function: overloads.Matches, OverloadID: overload, RegexIndex: 1, Factory: matchesKnown}
	}
	return []cel.ProgramOption{
		cel.CustomDecoratorV2(matchesUnknown),
		cel.OptimizeRegex(known(overloads.Matches), known(overloads.MatchesString)),
	}
}

// matchesKnown returns a call with a pattern that is known.
func matchesKnown(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err //nolint:wrapcheck // CEL adds to it.
	}
	size := sizeOfPattern(pattern)
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		text, ok := args[0].(types.String)
		switch {
		case !ok:
			return types.MaybeNoSuchOverloadErr(args[0])
		case matchingSize(len(text), size) > costLimit:
			return tooDear(overloads.Matches)
		}
		return types.Bool(compiled.MatchString(string(text)))
	}), nil
}

// matchesUnknown replaces a call with a pattern that is not known.
func matchesUnknown(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok || call.Function() != overloads.Matches || len(call.Args()) != 2 {
		return i, nil
	}
	if _, known := call.Args()[1].(interpreter.InterpretableConst); known {
		return i, nil
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
		text, ok := args[0].(types.String)
		switch {
		case !ok:
			return types.MaybeNoSuchOverloadErr(args[0])
		case matching(text, args[1]) > costLimit:
			return tooDear(overloads.Matches)
		}
		return text.Match(args[1])
	}), nil
}

// matching is what looking for a regular expression in a text costs: as CEL itself charges, but
// with repetitions as they are carried out.
func matching(text, expression ref.Val) int {
	pattern, ok := expression.(types.String)
	if !ok {
		return 1
	}
	if cost := matchingSize(length(text), len(pattern)); cost > costLimit {
		return cost // Reading it would take long, too.
	}
	return matchingSize(length(text), sizeOfPattern(string(pattern)))
}

// matchingSize is matching for a text and a pattern of some lengths. Compiling the pattern takes
// longer than looking at as much of a text.
func matchingSize(text, pattern int) int { return (text/10+1)*(pattern/4+1) + pattern/10 }

// sizeOfPattern is how long a pattern is when its repetitions are written out.
func sizeOfPattern(pattern string) int {
	if !strings.Contains(pattern, "{") {
		return len(pattern)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return len(pattern) // It is an error before it looks for anything.
	}
	return len(pattern) + repeated(parsed)
}

// repeated is how many steps a pattern is when its repetitions are written out.
func repeated(e *syntax.Regexp) int {
	size := 1 + len(e.Rune)/2 // single characters, or ranges of them
	for _, part := range e.Sub {
		size += repeated(part)
	}
	if e.Op == syntax.OpRepeat {
		size *= max(1, e.Min, e.Max)
	}
	return size
}
