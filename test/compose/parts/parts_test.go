package parts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
)

func objectOf(t *testing.T, content map[string]any) handlers.Object {
	t.Helper()
	object, err := handlers.ObjectOf(&unstructured.Unstructured{Object: content})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// The plugin registers, its texts are filled in, and what cannot be filled in yet is pending.
func TestParts(t *testing.T) {
	record, err := OpenRecord(filepath.Join(t.TempDir(), "calls"))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := handlers.NewRegistry(Plugin(record))
	if err != nil {
		t.Fatal(err)
	}
	bound, problems, err := registry.Bind("parts", []byte(`{
		"children": [
			{"name": "a", "object": {"metadata": {"name": "{name}-{text}", "labels": {"{uid}": "{related all}"}}, "data": null, "n": 3}},
			{"name": "b", "object": {"metadata": {"name": "{child a metadata.name}"}}},
			{"name": "c", "object": {"metadata": {"name": "{child b metadata.name}"}}}
		],
		"status": {"text": "{namespace}"}
	}`))
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	composer, err := bound.NewComposer(t.Context(), handlers.Env{Definition: "d"})
	if err != nil {
		t.Fatal(err)
	}
	parent := objectOf(t, map[string]any{
		"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing",
		"metadata": map[string]any{"name": "p", "namespace": "ns", "uid": "u"}, "spec": map[string]any{"text": "x"},
	})
	related := objectOf(t, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "r"}})
	made := objectOf(t, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "made"}})
	composition, err := composer.Compose(t.Context(), handlers.ComposeRequest{
		Object: parent, Related: map[string][]handlers.Object{"all": {related}},
		Children: handlers.Children{{Name: "a", Object: made}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := handlers.Composition{
		Children: []handlers.Child{
			{Name: "a", Object: &unstructured.Unstructured{Object: map[string]any{
				"metadata": map[string]any{"name": "p-x", "labels": map[string]any{"u": "r"}}, "data": nil, "n": int64(3),
			}}},
			{Name: "b", Object: &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "made"}}}},
		},
		Status:  map[string]any{"text": "ns"},
		Pending: []handlers.Pending{{Name: "c", On: "child b"}},
	}
	if diff := gocmp.Diff(want, composition); diff != "" {
		t.Errorf("composition (-want +got):\n%s", diff)
	}
	data, err := os.ReadFile(record.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	var call Call
	if err := json.Unmarshal(data, &call); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(Call{Process: os.Getpid(), Definition: "d", Object: "p", Observed: []string{"a"}}, call); diff != "" {
		t.Errorf("recorded call (-want +got):\n%s", diff)
	}
}
