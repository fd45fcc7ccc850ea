package expression

import (
	"fmt"
	"math"
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// What a result may have at most. An expression can have a large value many times in its result,
// and costs no more for that. An object of the API server has 1.5 MiB at most.
const (
	mostValues = 200_000
	mostBytes  = 4 << 20
)

// Value returns a result as decoded JSON: nil, bool, int64, float64, string, []any or
// map[string]any, which is the caller's own. present is false for the optional value that is none;
// within lists and maps it leaves the entry out. An error says that the result is no JSON, or too
// large.
func Value(result ref.Val) (value any, present bool, err error) {
	c := conversion{values: mostValues, bytes: mostBytes}
	return c.value(result)
}

// conversion is that of one result. It has what is left of the limits.
type conversion struct{ values, bytes int }

// charge counts a value, and the bytes that it has.
func (c *conversion) charge(bytes int) error {
	c.values, c.bytes = c.values-1, c.bytes-bytes
	if c.values < 0 || c.bytes < 0 {
		return fmt.Errorf("the result is too large: it may have %d values and %d MiB", mostValues, mostBytes>>20)
	}
	return nil
}

func (c *conversion) value(result ref.Val) (value any, present bool, err error) {
	if err := c.charge(0); err != nil {
		return nil, false, err
	}
	switch v := result.(type) {
	case *types.Optional:
		if !v.HasValue() {
			return nil, false, nil
		}
		return c.value(v.GetValue())
	case types.Null:
		return nil, true, nil
	case types.Bool:
		return bool(v), true, nil
	case types.Int:
		return int64(v), true, nil
	case types.Uint:
		if v > math.MaxInt64 {
			return nil, false, fmt.Errorf("%d is too large a number", uint64(v))
		}
		return int64(v), true, nil
	case types.Double:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, false, fmt.Errorf("%v is no number of JSON", f)
		}
		return float64(v), true, nil
	case types.String:
		return string(v), true, c.charge(len(v))
	case traits.Mapper:
		return c.object(v)
	case traits.Lister:
		return c.list(v)
	default:
		if of, ok := ofKubernetes[result.Type().TypeName()]; ok {
			return nil, false, fmt.Errorf("%s is no JSON: make a text of it with string()", of.what)
		}
		return nil, false, fmt.Errorf("a %s is no JSON", result.Type().TypeName())
	}
}

func (c *conversion) object(m traits.Mapper) (any, bool, error) {
	all := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, false, fmt.Errorf("a map with the key %v is no JSON: keys are strings", key.Value())
		}
		if err := c.charge(len(name)); err != nil {
			return nil, false, err
		}
		value, present, err := c.value(m.Get(key))
		switch {
		case err != nil:
			return nil, false, err
		case present:
			all[string(name)] = value
		}
	}
	return all, true, nil
}

func (c *conversion) list(l traits.Lister) (any, bool, error) {
	all := []any{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		value, present, err := c.value(it.Next())
		switch {
		case err != nil:
			return nil, false, err
		case present:
			all = append(all, value)
		}
	}
	return all, true, nil
}

// Text returns a result as a part of a text. An error says that it cannot be one.
func Text(result ref.Val) (string, error) {
	if v, ok := result.(*types.Optional); ok && v.HasValue() {
		return Text(v.GetValue())
	}
	what := "a value of type " + result.Type().TypeName()
	if of, ok := ofKubernetes[result.Type().TypeName()]; ok {
		what = of.what
	}
	switch v := result.(type) {
	case types.String:
		return string(v), nil
	case types.Bool:
		return strconv.FormatBool(bool(v)), nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), nil
	case types.Double:
		return strconv.FormatFloat(float64(v), 'f', -1, 64), nil
	case types.Null:
		what = "null"
	case *types.Optional:
		what = "no value"
	case traits.Mapper:
		what = "a map"
	case traits.Lister:
		what = "a list"
	}
	return "", fmt.Errorf("%s cannot stand within a text", what)
}
