package handlers

import "k8s.io/apimachinery/pkg/runtime/schema"

// WhenGone says what follows when a Job or Pod that has finished is gone.
type WhenGone string

// What may follow.
const (
	// WhenGoneDone leaves it: it is done, and is made again when what it should be changes.
	WhenGoneDone WhenGone = "done"
	// WhenGoneRecreate makes it again.
	WhenGoneRecreate WhenGone = "recreate"
)

// Finishes reports whether objects of a kind finish, so that WhenGone counts for them.
func Finishes(kind schema.GroupKind) bool {
	return kind == schema.GroupKind{Group: "batch", Kind: "Job"} || kind == schema.GroupKind{Kind: "Pod"}
}
