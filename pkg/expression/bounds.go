package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// bounded returns the environment with the calls bound to costLimit whose time or memory can be far
// more than the size of what they are given. CEL charges for a call when it is over, and nothing
// interrupts one.
func bounded(env *cel.Env) (*cel.Env, error) {
	var again []cel.EnvOption
	for _, name := range []string{"indexOf", "lastIndexOf", "replace", "join", "format"} {
		f, ok := env.Functions()[name]
		if !ok {
			return nil, fmt.Errorf("bounding the cost of %s: there is no such function", name)
		}
		bindings, err := f.Bindings()
		if err != nil {
			return nil, fmt.Errorf("bounding the cost of %s: %w", name, err)
		}
		for _, o := range f.OverloadDecls() {
			i := slices.IndexFunc(bindings, func(b *functions.Overload) bool { return b.Operator == o.ID() })
			if i < 0 {
				return nil, fmt.Errorf("bounding the cost of %s: %s has no code", name, o.ID())
			}
			again = append(again, cel.Function(name, cel.MemberOverload(o.ID(), o.ArgTypes(), o.ResultType(), within(name, bindings[i]))))
		}
	}
	return env.Extend(again...)
}

// within binds a function such that it is called only where that is not too dear.
func within(name string, b *functions.Overload) cel.OverloadOpt {
	call := func(f functions.FunctionOp, args ...ref.Val) ref.Val {
		if charge(name, args) > costLimit {
			return types.NewErr("%s() would take too much: actual cost limit exceeded", name)
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

// charge estimates what a call costs, in CEL's measure: a tenth for a character that is looked at,
// and one for a character of the result. The arguments are of the types that the function is
// declared with.
func charge(name string, args []ref.Val) int {
	switch name {
	case "indexOf", "lastIndexOf": // looks for all of the second at each place of the first
		return length(args[0]) * max(1, length(args[1])) / 10
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
	default: // format
		return length(args[0]) + total(args[1], 0)
	}
}

// total is the length of all entries of a list together, with so many characters between them, as
// far as it matters.
func total(list ref.Val, between int) int {
	entries, ok := list.(traits.Lister)
	if !ok {
		return 0
	}
	sum := 0
	for it := entries.Iterator(); it.HasNext() == types.True && sum <= costLimit; {
		sum += length(it.Next()) + between
	}
	return sum
}

// length is that of a text in bytes, and 1 for anything else.
func length(v ref.Val) int {
	if text, ok := v.(types.String); ok {
		return len(text)
	}
	return 1
}

// charges is what calls of operators cost whose operands have no type before they are evaluated, as
// all that is read of an object: CEL itself charges by type, and else 1.
type charges struct{}

// CallCost returns nothing for the calls that CEL charges for rightly.
func (charges) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case operators.Add:
		cost += uint64(length(result) / 10)
	case operators.In:
		if list, ok := args[1].(traits.Lister); ok {
			if n, ok := list.Size().(types.Int); ok && n > 0 {
				cost += uint64(n)
			}
		}
	default:
		return nil
	}
	return &cost
}
