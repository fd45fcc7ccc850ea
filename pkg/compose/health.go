package compose

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Health is how an object is doing, by its own status.
type Health string

// The states.
const (
	// HealthReady: it is as its kind wants it.
	HealthReady Health = "Ready"
	// HealthProgressing: it is not ready yet.
	HealthProgressing Health = "Progressing"
	// HealthDegraded: it is not ready, and says that something is wrong.
	HealthDegraded Health = "Degraded"
	// HealthDeleting: it is being deleted.
	HealthDeleting Health = "Deleting"
)

// healthOf returns how an object is doing, in the way that is usual for its kind, and why it is not
// ready. What a composer says of the readiness of its children is not known here.
func healthOf(kind schema.GroupKind, tree map[string]any) (Health, string) {
	if at, _, _ := unstructured.NestedString(tree, "metadata", "deletionTimestamp"); at != "" {
		finalizers, _, _ := unstructured.NestedStringSlice(tree, "metadata", "finalizers")
		return HealthDeleting, "it is being deleted" + waitingFor(finalizers)
	}
	ready, why := readyByKind(kind, tree)
	if wrong := complaint(kind, tree); wrong != "" {
		return HealthDegraded, wrong
	}
	if !ready {
		return HealthProgressing, why
	}
	return HealthReady, ""
}

// complaint is what an object says is wrong; empty for nothing.
func complaint(kind schema.GroupKind, tree map[string]any) string {
	for _, name := range []string{conditionDegraded, "Failed", "Stalled", "ReplicaFailure"} {
		if status, message := conditionOf(tree, name); status == "True" {
			return withMessage("its condition "+name+" is True", message)
		}
	}
	for _, c := range conditions(tree) {
		if c["type"] == "Progressing" && c["status"] == "False" && c["reason"] == "ProgressDeadlineExceeded" {
			message, _ := c["message"].(string)
			return withMessage("its rollout makes no progress", message)
		}
	}
	if phase, _, _ := unstructured.NestedString(tree, "status", "phase"); phase == "Failed" && kind == (schema.GroupKind{Kind: "Pod"}) {
		message, _, _ := unstructured.NestedString(tree, "status", "message")
		return withMessage("it has failed", message)
	}
	return ""
}

func withMessage(text, message string) string {
	if message == "" {
		return text
	}
	return fmt.Sprintf("%s: %s", text, message)
}
