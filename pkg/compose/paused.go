package compose

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

// PausedAnnotation is "true" on a parent that is to be left alone: nothing of it is made, changed
// or deleted until the annotation is gone, or the parent is deleted.
const PausedAnnotation = "kooperd.dev/paused"

const (
	// conditionPaused is there while a parent is paused, and else not at all.
	conditionPaused = "Paused"
	// reasonAnnotation is its reason, and pausedMessage its message.
	reasonAnnotation = "Annotation"
	pausedMessage    = "the annotation " + PausedAnnotation + " is true: nothing is made, changed or deleted"
)

// isPaused reports whether a parent is to be left alone.
func isPaused(parent *metav1.ObjectMeta) bool {
	return parent.DeletionTimestamp == nil && parent.Annotations[PausedAnnotation] == "true"
}

// pause says on the parent that it is left alone. All else that its status says stays.
func (c *current) pause(ctx context.Context) (handlers.Result, error) {
	c.countPaused(1)
	c.paused = true
	c.Memory.Brake.release(c.parent.UID) // Nothing of it is to be deleted, so it is no concern of others.
	err := c.putStatus(ctx, statusChange{own: []condition{{kind: conditionPaused, status: true, reason: reasonAnnotation, message: pausedMessage}}})
	return handlers.Result{}, err
}

// countPaused counts the parent as paused, or as not paused.
func (c *current) countPaused(paused int) {
	by := recount(c.Memory, c.parent.UID, func(now *counts) { now.paused = paused })
	if by != (counts{}) {
		c.count(by)
	}
}

// withoutPaused returns conditions without that of a pause that is over.
func withoutPaused(existing []any, prefix string) []any {
	kept := make([]any, 0, len(existing))
	for _, item := range existing {
		c, _ := item.(map[string]any)
		if c["type"] != prefix+conditionPaused || c["reason"] != reasonAnnotation {
			kept = append(kept, item)
		}
	}
	return kept
}
