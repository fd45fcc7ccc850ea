package daemon

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/compose"
)

// changedMarks are the labels and annotations that differ, but for those of kooperd itself.
func changedMarks(before, now *unstructured.Unstructured) map[string]any {
	changed := map[string]any{}
	for member, of := range map[string]func(*unstructured.Unstructured) map[string]string{
		"labels": (*unstructured.Unstructured).GetLabels, "annotations": (*unstructured.Unstructured).GetAnnotations,
	} {
		old, next, values := of(before), of(now), map[string]any{}
		for name := range old {
			if _, there := next[name]; !there && !compose.IsOwnName(name) {
				values[name] = nil
			}
		}
		for name, value := range next {
			if had, there := old[name]; (!there || had != value) && !compose.IsOwnName(name) {
				values[name] = value
			}
		}
		if len(values) > 0 {
			changed[member] = values
		}
	}
	return changed
}
