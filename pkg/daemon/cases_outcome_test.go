package daemon

import "testing"

// TestRefusalHidesNoFailure has a refused child, and a failure that is about another one.
func TestRefusalHidesNoFailure(t *testing.T) {
	b := outcomeBuilder{refused: map[string]any{"a": "it exists and is not ours"}}
	if !b.isRefusal("child a: it exists and is not ours") {
		t.Error("the refusal itself is taken for another failure")
	}
	if b.isRefusal("applying ConfigMap x/b: conflict") {
		t.Error("a failure is taken for the refusal of another child")
	}
}
