package order_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/bench/order"
)

func TestChildData(t *testing.T) {
	spec := order.Spec{Text: "x", Note: "n"}
	tests := map[string]struct {
		order order.Order
		part  string
		want  map[string]string
	}{
		"a part":                  {order.Order{}, "head", map[string]string{"text": "head of x"}},
		"the part with the note":  {order.Order{}, "foot", map[string]string{"text": "foot of x", "note": "n"}},
		"a changed definition":    {order.Order{Extra: "e"}, "body", map[string]string{"text": "body of x", "extra": "e"}},
		"a definition for a note": {order.Order{Extra: "e"}, "foot", map[string]string{"text": "foot of x", "note": "n", "extra": "e"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.order.ChildData(spec, tt.part)); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
		})
	}
}
