package compose

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// readyByKind reports whether an object is ready in the way that is usual for its kind, and if not,
// why. Kinds that have no state are ready when they exist. Any other kind is, when its controller
// has seen its present generation and no condition says that it is not.
func readyByKind(kind schema.GroupKind, tree map[string]any) (bool, string) {
	generation, _, _ := unstructured.NestedInt64(tree, "metadata", "generation")
	observed, seen, _ := unstructured.NestedInt64(tree, "status", "observedGeneration")
	if seen && observed < generation {
		return false, fmt.Sprintf("its controller has seen generation %d and not yet %d", observed, generation)
	}
	switch kind {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		return replicasReady(tree, seen, "updatedReplicas", "availableReplicas")
	case schema.GroupKind{Group: "apps", Kind: "StatefulSet"}:
		return replicasReady(tree, seen, "updatedReplicas", "readyReplicas")
	case schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, schema.GroupKind{Kind: "ReplicationController"}:
		return replicasReady(tree, seen, "replicas", "readyReplicas")
	case schema.GroupKind{Group: "apps", Kind: "DaemonSet"}:
		return daemonsReady(tree, seen)
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		return jobReady(tree)
	case schema.GroupKind{Kind: "Pod"}:
		return podReady(tree)
	case schema.GroupKind{Kind: "PersistentVolumeClaim"}:
		return phaseIs(tree, "Bound")
	case schema.GroupKind{Kind: "Namespace"}:
		return phaseIs(tree, "Active")
	case schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:
		return conditionTrue(tree, "Established")
	case schema.GroupKind{Kind: "Service"}:
		return serviceReady(tree)
	default:
		return conditionsAllow(tree)
	}
}

func replicasReady(tree map[string]any, seen bool, fields ...string) (bool, string) {
	if !seen {
		return false, "its controller has not seen it yet"
	}
	want := int64(1)
	if n, ok, _ := unstructured.NestedInt64(tree, "spec", "replicas"); ok {
		want = n
	}
	for _, field := range fields {
		if n, _, _ := unstructured.NestedInt64(tree, "status", field); n < want {
			return false, fmt.Sprintf("%d of %d %s", n, want, field)
		}
	}
	return true, ""
}

func daemonsReady(tree map[string]any, seen bool) (bool, string) {
	if !seen {
		return false, "its controller has not seen it yet"
	}
	want, _, _ := unstructured.NestedInt64(tree, "status", "desiredNumberScheduled")
	for _, field := range []string{"updatedNumberScheduled", "numberAvailable"} {
		if n, _, _ := unstructured.NestedInt64(tree, "status", field); n < want {
			return false, fmt.Sprintf("%d of %d %s", n, want, field)
		}
	}
	return true, ""
}

func jobReady(tree map[string]any) (bool, string) {
	if status, message := conditionOf(tree, "Failed"); status == "True" {
		return false, "it has failed: " + message
	}
	return conditionTrue(tree, "Complete")
}

func podReady(tree map[string]any) (bool, string) {
	phase, _, _ := unstructured.NestedString(tree, "status", "phase")
	if phase == "Succeeded" {
		return true, ""
	}
	return conditionTrue(tree, "Ready")
}

func phaseIs(tree map[string]any, want string) (bool, string) {
	if phase, _, _ := unstructured.NestedString(tree, "status", "phase"); phase != want {
		return false, fmt.Sprintf("its phase is %q and not %s", phase, want)
	}
	return true, ""
}

func serviceReady(tree map[string]any) (bool, string) {
	if kind, _, _ := unstructured.NestedString(tree, "spec", "type"); kind != "LoadBalancer" {
		return true, ""
	}
	if ingress, _, _ := unstructured.NestedSlice(tree, "status", "loadBalancer", "ingress"); len(ingress) == 0 {
		return false, "it has no address yet"
	}
	return true, ""
}

// conditionTrue reports whether a condition is there and True.
func conditionTrue(tree map[string]any, name string) (bool, string) {
	status, message := conditionOf(tree, name)
	switch {
	case status == "True":
		return true, ""
	case status == "":
		return false, fmt.Sprintf("it has no condition %s yet", name)
	case message != "":
		return false, fmt.Sprintf("its condition %s is %s: %s", name, status, message)
	default:
		return false, fmt.Sprintf("its condition %s is %s", name, status)
	}
}

// conditionsAllow reports whether the condition Ready, if there is one, is True, and was made for
// the present generation.
func conditionsAllow(tree map[string]any) (bool, string) {
	if status, _ := conditionOf(tree, "Ready"); status == "" {
		return true, ""
	}
	generation, _, _ := unstructured.NestedInt64(tree, "metadata", "generation")
	for _, c := range conditions(tree) {
		observed, ok, _ := unstructured.NestedInt64(c, "observedGeneration")
		if c["type"] == "Ready" && ok && observed < generation {
			return false, fmt.Sprintf("its condition Ready is about generation %d and not yet %d", observed, generation)
		}
	}
	return conditionTrue(tree, "Ready")
}

func conditionOf(tree map[string]any, name string) (status, message string) {
	for _, c := range conditions(tree) {
		if c["type"] == name {
			status, _ = c["status"].(string)
			message, _ = c["message"].(string)
		}
	}
	return status, message
}

func conditions(tree map[string]any) []map[string]any {
	items, _, _ := unstructured.NestedFieldNoCopy(tree, "status", "conditions")
	list, _ := items.([]any)
	var found []map[string]any
	for _, item := range list {
		if c, ok := item.(map[string]any); ok {
			found = append(found, c)
		}
	}
	return found
}
