package compose

import (
	"maps"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestMakeRefusesMetadataOfAnotherType(t *testing.T) {
	for name, tc := range map[string]struct {
		metadata any
		want     string
	}{
		"a namespace that is a number":  {map[string]any{"namespace": int64(42)}, "metadata.namespace is a number, want a string"},
		"a namespace that is a boolean": {map[string]any{"namespace": true}, "metadata.namespace is a boolean, want a string"},
		"a name that is a number":       {map[string]any{"name": 4.2}, "metadata.name is a number, want a string"},
		"a name that is an object":      {map[string]any{"name": map[string]any{}}, "metadata.name is an object, want a string"},
		"labels that are a list":        {map[string]any{"labels": []any{"a"}}, "metadata.labels is a list, want an object"},
		"labels that are a text":        {map[string]any{"labels": "a=b"}, "metadata.labels is a string, want an object"},
		"a label that is a number": {
			map[string]any{"labels": map[string]any{"app": "web", "example.com/size": int64(1)}}, `metadata.labels["example.com/size"] is a number, want a string`,
		},
		"annotations that are a text": {map[string]any{"annotations": ""}, "metadata.annotations is a string, want an object"},
		"an annotation that is a boolean": {
			map[string]any{"annotations": map[string]any{"on": false}}, `metadata.annotations["on"] is a boolean, want a string`,
		},
		"metadata that are a list": {[]any{}, "metadata is a list, want an object"},
	} {
		child := untyped(configMapKind, "", "a", nil)
		if metadata, ok := tc.metadata.(map[string]any); ok {
			maps.Copy(object(child.Object, "metadata"), metadata)
		} else {
			child.Object["metadata"] = tc.metadata
		}
		_, err := makerFor(website).make(handlers.Child{Name: "a", Object: child})
		if want := "child a: ConfigMap: " + tc.want; err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
}

func TestMakeTakesNullForAbsent(t *testing.T) {
	child := untyped(configMapKind, "", "a", nil)
	metadata := object(child.Object, "metadata")
	metadata["namespace"], metadata["labels"], metadata["annotations"] = nil, map[string]any{"app": nil}, nil
	d, _ := made(t, website, handlers.Child{Name: "a", Object: child})
	if d.ID != idOf(configMapKind, "team-a", "a") {
		t.Errorf("the child is %s", d.ID)
	}
}
