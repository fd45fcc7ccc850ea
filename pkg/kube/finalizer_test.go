package kube

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestEventOnlyAddsFinalizer(t *testing.T) {
	const ours, other = "example.com/ours", "example.com/other"
	deleted := metav1.NewTime(time.Unix(1, 0))
	tests := map[string]struct {
		change func(old, now *corev1.Pod)
		want   bool
	}{
		"the first":      {change: func(_, now *corev1.Pod) { now.Finalizers = []string{ours} }, want: true},
		"behind another": {change: func(old, now *corev1.Pod) { old.Finalizers, now.Finalizers = []string{other}, []string{other, ours} }, want: true},
		"another":        {change: func(_, now *corev1.Pod) { now.Finalizers = []string{other} }},
		"both at once":   {change: func(_, now *corev1.Pod) { now.Finalizers = []string{other, ours} }},
		"in place of another": {change: func(old, now *corev1.Pod) {
			old.Finalizers, now.Finalizers = []string{other}, []string{ours}
		}},
		"it was there":   {change: func(old, now *corev1.Pod) { old.Finalizers, now.Finalizers = []string{ours}, []string{ours} }},
		"removed":        {change: func(old, _ *corev1.Pod) { old.Finalizers = []string{ours} }},
		"and the spec":   {change: func(_, now *corev1.Pod) { now.Finalizers, now.Spec.NodeName = []string{ours}, "n" }},
		"and a label":    {change: func(_, now *corev1.Pod) { now.Finalizers, now.Labels["x"] = []string{ours}, "y" }},
		"and a deletion": {change: func(_, now *corev1.Pod) { now.Finalizers, now.DeletionTimestamp = []string{ours}, &deleted }},
		"a new object":   {change: func(_, now *corev1.Pod) { now.Finalizers, now.UID = []string{ours}, "another" }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			old, now := pod("a@1"), pod("a@2")
			tc.change(old, now)
			for encoding, e := range map[string]Event{
				"JSON":     {Type: Changed, old: arrival(t, podKind, old), now: arrival(t, podKind, now)},
				"protobuf": {Type: Changed, old: encoded(t, old), now: encoded(t, now)},
			} {
				if have := e.OnlyAddsFinalizer(ours); have != tc.want {
					t.Errorf("%s: %t, want %t", encoding, have, tc.want)
				}
			}
		})
	}
	created := pod("a@1")
	created.Finalizers = []string{ours}
	if (Event{now: arrival(t, podKind, created)}).OnlyAddsFinalizer(ours) {
		t.Error("an object that is created with the finalizer is only a change")
	}
}
