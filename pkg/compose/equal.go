package compose

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"
)

// equalValues reports whether a live value is what is wanted, with the equalities of Kubernetes: an
// empty map or list is the same as none, an object may have more fields than are wanted, and two
// quantities are the same when they stand for the same amount. Items of a list are compared in
// their order. Neither value is null inside.
func equalValues(want, live any, quantities bool) bool {
	switch want := want.(type) {
	case map[string]any:
		have, isObject := live.(map[string]any)
		if !isObject {
			return len(want) == 0 && isEmpty(live)
		}
		for name, v := range want {
			if !equalValues(v, have[name], quantities) {
				return false
			}
		}
		return true
	case []any:
		have, isList := live.([]any)
		if !isList {
			return len(want) == 0 && isEmpty(live)
		}
		if len(want) != len(have) {
			return false
		}
		for i := range want {
			if !equalValues(want[i], have[i], quantities) {
				return false
			}
		}
		return true
	default:
		return equalScalars(want, live, quantities)
	}
}

// hasMore reports whether a live value, which has all that is wanted, has something besides.
func hasMore(want, live any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, _ := live.(map[string]any)
		for name, v := range have {
			if wanted, ok := want[name]; len(want) > 0 && (!ok && !isEmpty(v) || ok && hasMore(wanted, v)) {
				return true
			}
		}
	case []any:
		have, _ := live.([]any)
		for i, v := range have {
			if len(want) > 0 && (i >= len(want) || hasMore(want[i], v)) {
				return true
			}
		}
	}
	return false
}

// isEmpty reports whether a value is the same as none.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	default:
		return false
	}
}

func equalScalars(want, live any, quantities bool) bool {
	if want == live {
		return true
	}
	_, isWhole := want.(int64)
	if _, alsoWhole := live.(int64); isWhole && alsoWhole {
		return false // As floats they could be the same.
	}
	a, isNumber := number(want)
	b, alsoNumber := number(live)
	if isNumber && alsoNumber {
		return a == b // They may be written in two ways, as 1 and 1.0.
	}
	return quantities && equalQuantities(want, live)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	default:
		return 0, false
	}
}

// equalQuantities reports whether both are quantities of the same amount: 1000m is 1. A live text
// counts as one only in the form in which the API server stores quantities, or the version 1.2
// would be the same as the version 1.20.
func equalQuantities(want, live any) bool {
	a, ok := quantity(want)
	if !ok {
		return false
	}
	b, ok := quantity(live)
	if text, isText := live.(string); !ok || isText && b.String() != text {
		return false
	}
	return a.Cmp(b) == 0
}

func quantity(v any) (resource.Quantity, bool) {
	var q resource.Quantity
	var err error
	switch v := v.(type) {
	case string:
		q, err = resource.ParseQuantity(v)
	case int64:
		q = *resource.NewQuantity(v, resource.DecimalSI)
	case float64:
		err = q.UnmarshalJSON([]byte(formatFloat(v)))
	default:
		return q, false
	}
	return q, err == nil
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
