package expression

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/cel/library"
)

// boundedFunctions are those whose time or memory can be far more than the size of what they are
// given, or that look at all that is in a value, which may be in it many times.
var boundedFunctions = []string{
	"indexOf", "lastIndexOf", "replace", "join", "format",
	"distinct", "flatten", "includes", "isSorted", "lists.range", "max", "min", "sum",
	"sets.contains", "sets.equivalent", "sets.intersects",
	"find", "findAll", "regex.extract", "regex.extractAll", "regex.replace",
	"isQuantity", "quantity",
}

// bounded returns the environment with the calls bound to costLimit of all boundedFunctions. CEL
// charges for a call when it is over, and nothing interrupts one.
func bounded(env *cel.Env) (*cel.Env, error) {
	var again []cel.EnvOption
	for _, name := range boundedFunctions {
		f, ok := env.Functions()[name]
		if !ok {
			return nil, fmt.Errorf("bounding the cost of %s: there is no such function", name)
		}
		bindings, err := f.Bindings()
		if err != nil {
			return nil, fmt.Errorf("bounding the cost of %s: %w", name, err)
		}
		var overloads []cel.FunctionOpt
		for _, o := range f.OverloadDecls() {
			i := slices.IndexFunc(bindings, func(b *functions.Overload) bool { return b.Operator == o.ID() })
			if i < 0 {
				return nil, fmt.Errorf("bounding the cost of %s: %s has no code", name, o.ID())
			}
			declare := cel.Overload
			if o.IsMemberFunction() {
				declare = cel.MemberOverload
			}
			overloads = append(overloads, declare(o.ID(), o.ArgTypes(), o.ResultType(), within(name, bindings[i])))
		}
		if name == "flatten" { // It takes lists whose entries are no lists.
			overloads = append(overloads, decls.DisableTypeGuards(true))
		}
		again = append(again, cel.Function(name, overloads...))
	}
	return env.Extend(again...)
}

// within binds a function such that it is called only where that is not too dear.
func within(name string, b *functions.Overload) cel.OverloadOpt {
	call := func(f functions.FunctionOp, args ...ref.Val) ref.Val {
		if charge(name, args) > costLimit {
			return tooDear(name)
		}
		return f(args...)
	}
	switch {
	case b.Unary != nil:
		f := func(args ...ref.Val) ref.Val { return b.Unary(args[0]) }
		return cel.UnaryBinding(func(arg ref.Val) ref.Val { return call(f, arg) })
	case b.Binary != nil:
		f := func(args ...ref.Val) ref.Val { return b.Binary(args[0], args[1]) }
		return cel.BinaryBinding(func(x, y ref.Val) ref.Val { return call(f, x, y) })
	default:
		return cel.FunctionBinding(func(args ...ref.Val) ref.Val { return call(b.Function, args...) })
	}
}

// tooDear is the error of a call that is not made.
func tooDear(name string) ref.Val {
	return types.NewErr("%s() would take too much: actual cost limit exceeded", name)
}

// charge estimates what a call costs, in CEL's measure: a tenth for a character that is looked at,
// one for a character of the result, and for a value; a tenth for a comparison. The arguments are
// of the types that the function is declared with.
func charge(name string, args []ref.Val) int {
	switch name {
	case "indexOf", "lastIndexOf":
		if _, ok := args[0].(traits.Lister); ok {
			return weight(args[0])
		}
		return length(args[0]) * max(1, length(args[1])) / 10 // It looks for all of the second at each place of the first.
	case "replace":
		text, _ := args[0].(types.String)
		found, _ := args[1].(types.String)
		return len(text)/10 + strings.Count(string(text), string(found))*length(args[2])
	case "join":
		separator := 0
		if len(args) == 2 {
			separator = length(args[1])
		}
		return total(args[0], separator)
	case "format":
		return length(args[0]) + weightBy(args[1], 1)
	case "distinct":
		return weight(args[0]) * entries(args[0]) / 10
	case "sets.contains", "sets.intersects":
		return weight(args[0]) * entries(args[1])
	case "sets.equivalent":
		return 2 * weight(args[0]) * entries(args[1])
	case "lists.range":
		n, _ := args[0].(types.Int)
		return int(min(n, costLimit+1))
	case "find", "findAll", "regex.extract", "regex.extractAll":
		return matching(args[0], args[1])
	case "regex.replace":
		return matching(args[0], args[1]) + (length(args[0])+1)*length(args[2])/10
	case "isQuantity", "quantity":
		return exponent(args[0])
	default: // flatten, includes, isSorted, max, min, sum
		return weight(args[0])
	}
}

// longestExponent is how many digits the decimal exponent of a quantity may have: those of use have
// two.
const longestExponent = 2

// exponent is what a quantity costs. Calculating with one of a large exponent takes a number with
// as many digits.
func exponent(quantity ref.Val) int {
	text, _ := quantity.(types.String)
	i := strings.IndexAny(string(text), "eE")
	if i < 0 {
		return len(text)
	}
	digits := strings.TrimLeft(string(text[i+1:]), "+-0")
	if len(digits) > longestExponent && strings.Trim(digits, "0123456789") == "" {
		return costLimit + 1
	}
	return len(text)
}

// charges is what calls cost where CEL's own account is not enough. That is so for functions of
// libraries without an account. It is also so for operators on what is read of an object: their
// operands have no type before they are evaluated, and CEL charges 1 for them.
type charges struct{ library.CostEstimator }

// CallCost returns nothing for the calls that CEL charges for rightly.
func (c charges) CallCost(function, overload string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case operators.Add:
		cost += uint64(length(result) / 10)
	case operators.In:
		if list, ok := args[1].(traits.Lister); ok {
			cost += uint64(max(0, entries(list)))
		}
	case "distinct", "flatten", "includes", "indexOf", "isSorted", "lastIndexOf", "lists.range", "max", "min", "sum":
		cost += uint64(max(0, charge(function, args))) // Kubernetes would look at all of it, however much that is.
	case "reverse", "slice":
		cost += uint64(entries(result))
	case "sort", "@sortByAssociatedKeys":
		n := entries(args[0])
		cost += uint64(n * bits.Len(uint(n)))
	case "find", "findAll", "matches":
		cost += uint64(matching(args[0], args[1]))
	case "base64.decode", "base64.encode":
		cost += uint64(entries(args[0]) / 10)
	case "json.encode":
		cost += uint64(length(result) / 10)
	default:
		return c.CostEstimator.CallCost(function, overload, args, result)
	}
	return &cost
}
