package apply

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Digits beside expressions are none of what stands for these.
func TestSelectorsWithDigitsBesideExpressions(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"app=${object.a},tier=${object.b}1${object.c}":   {"app": "<object.a>", "tier": "<object.b>1<object.c>"},
		"a=1${object.a}E1F${object.b}3E,b=E1${object.c}": {"a": "1<object.a>E1F<object.b>3E", "b": "E1<object.c>"},
	} {
		selector, m := parseSelector(text)
		if m != nil {
			t.Errorf("%s: %s", text, m.Message)
			continue
		}
		have := map[string]string{}
		for key, value := range selector.written.MatchLabels {
			for _, part := range selector.values[value] {
				if part.isExpression {
					have[key] += "<" + part.expression + ">"
				} else {
					have[key] += part.literal
				}
			}
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +have):\n%s", text, diff)
		}
	}
}
