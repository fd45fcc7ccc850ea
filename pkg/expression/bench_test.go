package expression_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// BenchmarkHolds is what an expression alone costs; decoding the objects for it is in pkg/kube. The
// last one runs into the limit of the cost.
func BenchmarkHolds(b *testing.B) {
	object := map[string]any{"metadata": map[string]any{"generation": int64(2)}, "spec": map[string]any{"replicas": int64(3)}, "list": slices.Repeat([]any{int64(1)}, 1000)}
	old := map[string]any{"metadata": map[string]any{"generation": int64(1)}, "spec": map[string]any{"replicas": int64(3)}}
	for name, text := range map[string]string{
		"field":  "object.spec.replicas != oldObject.spec.replicas",
		"guard":  "oldObject == null || object.metadata.generation != oldObject.metadata.generation",
		"spec":   "object.spec != oldObject.spec",
		"costly": "object.list.all(x, object.list.all(y, x >= 0))",
	} {
		b.Run(name, func(b *testing.B) {
			c, err := language(b).Condition(text, schema.GroupVersionKind{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				_, err = c.Holds(b.Context(), object, old)
			}
			if (err != nil) != (name == "costly") {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	l := language(b)
	for b.Loop() {
		if _, err := l.Condition("oldObject == null || object.spec.replicas != oldObject.spec.replicas", schema.GroupVersionKind{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewLanguage(b *testing.B) {
	for b.Loop() {
		language(b)
	}
}
