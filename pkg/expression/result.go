package expression

import (
	"fmt"
	"math"
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Value returns a result as decoded JSON: nil, bool, int64, float64, string, []any or
// map[string]any, which is the caller's own. present is false for the optional value that is none;
// within lists and maps it leaves the entry out. An error says that the result is no JSON.
func Value(result ref.Val) (value any, present bool, err error) {
	switch v := result.(type) {
	case *types.Optional:
		if !v.HasValue() {
			return nil, false, nil
		}
		return Value(v.GetValue())
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
		return string(v), true, nil
	case traits.Mapper:
		return valueOfMap(v)
	case traits.Lister:
		return valueOfList(v)
	default:
		return nil, false, fmt.Errorf("a %s is no JSON", result.Type().TypeName())
	}
}

func valueOfMap(m traits.Mapper) (any, bool, error) {
	all := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, false, fmt.Errorf("a map with the key %v is no JSON: keys are strings", key.Value())
		}
		value, present, err := Value(m.Get(key))
		switch {
		case err != nil:
			return nil, false, err
		case present:
			all[string(name)] = value
		}
	}
	return all, true, nil
}

func valueOfList(l traits.Lister) (any, bool, error) {
	all := []any{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		value, present, err := Value(it.Next())
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
	value, present, err := Value(result)
	if err != nil {
		return "", err
	}
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	what := "null"
	switch value.(type) {
	case map[string]any:
		what = "a map"
	case []any:
		what = "a list"
	}
	if !present {
		what = "no value"
	}
	return "", fmt.Errorf("%s cannot stand within a text", what)
}
