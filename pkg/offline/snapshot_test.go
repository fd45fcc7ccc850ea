package offline

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestSnapshotOfTwoVersions has one object that was read in two versions, and one of them twice.
func TestSnapshotOfTwoVersions(t *testing.T) {
	object := func(version string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "autoscaling/" + version, "kind": "HorizontalPodAutoscaler",
			"metadata": map[string]any{"name": "web", "namespace": "a", "labels": map[string]any{"parent": "1"}},
		}}
	}
	first := object("v2")
	s := NewSnapshot("parent", []*unstructured.Unstructured{first, object("v1"), object("v2")})
	for _, version := range []string{"v1", "v2"} {
		kind := schema.GroupVersionKind{Group: "autoscaling", Version: version, Kind: "HorizontalPodAutoscaler"}
		if found := s.List(kind); len(found) != 1 || found[0].GroupVersionKind() != kind {
			t.Errorf("of version %s, there are %v", version, found)
		}
	}
	if s.object(KeyOf(first)) != first {
		t.Error("the first one does not count")
	}
}
