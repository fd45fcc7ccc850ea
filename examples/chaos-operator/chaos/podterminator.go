package chaos

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PodTerminator terminates some of the running Pods of its namespace, again and again. crd.yaml
// describes its fields, and has their defaults and limits.
type PodTerminator struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              Spec   `json:"spec"`
	Status            Status `json:"status"`
}

// Spec is what the user wants.
type Spec struct {
	Selector           map[string]string `json:"selector"`
	TerminationPercent int               `json:"terminationPercent"`
	MinimumInstances   int               `json:"minimumInstances"`
	PeriodSeconds      int               `json:"periodSeconds"`
	DryRun             bool              `json:"dryRun"`
}

// Status is all that is remembered from one call to the next one, in whatever process that is.
type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Next               *Round             `json:"next,omitempty"`
	Last               *Round             `json:"last,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// Round is one termination: the one that is announced, or the last one.
type Round struct {
	Time   metav1.Time `json:"time"`
	DryRun bool        `json:"dryRun,omitempty"`
	Pods   []Pod       `json:"pods,omitempty"`
}

// Pod is a Pod and no other one of that name.
type Pod struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid"`
}

// isAnnounced reports whether a round for the present spec is announced.
func (t *PodTerminator) isAnnounced() bool {
	return t.Status.Next != nil && t.Status.ObservedGeneration == t.Generation
}

// isDue reports whether the time of the announced round has come.
func (t *PodTerminator) isDue(now metav1.Time) bool {
	return t.isAnnounced() && !now.Before(&t.Status.Next.Time)
}

// victims are the announced Pods that still run, as many as may go. The others are spared.
func (t *PodTerminator) victims(running []Pod) (victims, spared []Pod) {
	left := without(t.Status.Next.Pods, without(t.Status.Next.Pods, running))
	n := max(0, min(len(left), len(running)-t.Spec.MinimumInstances))
	return left[:n], left[n:]
}

// announce chooses the Pods of the next round, which are the oldest ones, and sets its time.
func (t *PodTerminator) announce(now metav1.Time, running []Pod, maxPods int, dryRun bool) {
	n := (len(running)*t.Spec.TerminationPercent + 99) / 100
	n = max(0, min(n, len(running)-t.Spec.MinimumInstances, maxPods))
	at := metav1.Unix(now.Unix()+int64(t.Spec.PeriodSeconds)+1, 0) // in whole seconds, and rather too late than too early
	t.Status.ObservedGeneration = t.Generation
	t.Status.Next = &Round{Time: at, DryRun: dryRun, Pods: running[:n]}

	condition := metav1.Condition{
		Type: "Announced", Status: metav1.ConditionTrue, Reason: "PeriodBegins", ObservedGeneration: t.Generation,
		Message: fmt.Sprintf("%d of %d running Pods", n, len(running)),
	}
	switch {
	case n == 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, "TooFewPods"
		condition.Message = fmt.Sprintf("%d Pods run, and %d have to stay", len(running), t.Spec.MinimumInstances)
	case dryRun:
		condition.Reason = "DryRun"
	}
	meta.SetStatusCondition(&t.Status.Conditions, condition)
}

// without returns the Pods that are not among others.
func without(pods, others []Pod) []Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p Pod) bool { return slices.Contains(others, p) })
}

// names are the names of the Pods, for people.
func names(pods []Pod) []string {
	all := make([]string, 0, len(pods))
	for _, p := range pods {
		all = append(all, p.Name)
	}
	return all
}
