package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// running lists the Pods that t selects, the oldest first. Those that are going already do not
// count.
func (h *handler) running(ctx context.Context, t *PodTerminator) ([]Pod, error) {
	list, err := h.client.CoreV1().Pods(t.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set(t.Spec.Selector).String(), FieldSelector: "status.phase=" + string(corev1.PodRunning),
	})
	if err != nil {
		return nil, fmt.Errorf("listing the running pods: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	var pods []Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			pods = append(pods, Pod{Name: pod.Name, UID: pod.UID})
		}
	}
	return pods, nil
}

// terminate deletes the Pods.
func (h *handler) terminate(ctx context.Context, t *PodTerminator, pods []Pod) error {
	for _, pod := range pods {
		opts := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}}
		if err := h.client.CoreV1().Pods(t.Namespace).Delete(ctx, pod.Name, opts); err != nil && !isGone(err) {
			return fmt.Errorf("deleting pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

// label sees to it that the announced Pods have the label, and no others from t.
func (h *handler) label(ctx context.Context, t *PodTerminator, announced []Pod) error {
	list, err := h.client.CoreV1().Pods(t.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set{Label: t.Name}.String()})
	if err != nil {
		return fmt.Errorf("listing the labeled pods: %w", err)
	}
	var labeled []Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			labeled = append(labeled, Pod{Name: pod.Name, UID: pod.UID})
		}
	}
	for _, pod := range without(labeled, announced) {
		if err := h.setLabel(ctx, t, pod, nil); err != nil {
			return err
		}
	}
	for _, pod := range without(announced, labeled) {
		if err := h.setLabel(ctx, t, pod, t.Name); err != nil {
			return err
		}
	}
	return nil
}

// setLabel sets the label of a Pod to a value, or removes it for nil.
func (h *handler) setLabel(ctx context.Context, t *PodTerminator, pod Pod, value any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "labels": map[string]any{Label: value}}})
	if err != nil {
		return fmt.Errorf("encoding the label: %w", err)
	}
	_, err = h.client.CoreV1().Pods(t.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !isGone(err) {
		return fmt.Errorf("labeling pod %s: %w", pod.Name, err)
	}
	return nil
}

// isGone reports whether an error says that there is no Pod of that name, or another one.
func isGone(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) }

// writeStatus writes the status, if the object has not changed since it was read.
func (h *handler) writeStatus(ctx context.Context, t *PodTerminator) error {
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&t.Status)
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	object.SetAPIVersion(t.APIVersion)
	object.SetKind(t.Kind)
	object.SetName(t.Name)
	object.SetUID(t.UID)
	object.SetResourceVersion(t.ResourceVersion)
	_, err = h.env.Clients.Dynamic.Resource(resource).Namespace(t.Namespace).UpdateStatus(ctx, object, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}

// report says what a round was, in an event of t and in the log.
func (h *handler) report(ctx context.Context, t *PodTerminator, round Round) {
	reason := "Terminated"
	if round.DryRun {
		reason = "WouldTerminate"
	}
	regarding := &corev1.ObjectReference{
		APIVersion: t.APIVersion, Kind: t.Kind, Namespace: t.Namespace, Name: t.Name, UID: t.UID, ResourceVersion: t.ResourceVersion,
	}
	h.env.Events.Eventf(regarding, nil, corev1.EventTypeNormal, reason, "Terminate", "%s", strings.Join(names(round.Pods), ", "))
	logr.FromContextOrDiscard(ctx).Info("round ended", "reason", reason, "pods", names(round.Pods))
}
