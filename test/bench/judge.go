package main

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/bench/order"
)

// level is how much of a parent is right: what a level says, and what those before it say.
type level int

// The levels.
const (
	nothingRight  level = iota
	childrenRight       // all children are there, belong to the parent, and say what they should
	statusRight         // the field of the status as well
	allRight            // the condition Ready is true, of the present generation
	levels
)

// ownerLabel has the UID of the parent of a child of kro, which uses no owner references.
const ownerLabel = "kro.run/instance-id"

// ownerOf returns the UID of the parent that a child says it has.
func ownerOf(object *corev1.ConfigMap) types.UID {
	if owner := metav1.GetControllerOf(object); owner != nil {
		return owner.UID
	}
	return types.UID(object.Labels[ownerLabel])
}

// judged returns how much of a parent is right.
func (s *site) judged(o order.Order) level {
	var children, field bool
	switch o.Graph {
	case order.Chain:
		children, field = s.judgedChain(o)
	case order.Answer:
		children, field = s.judgedAnswer()
	default:
		children, field = s.judgedParts(o)
	}
	ready := meta.FindStatusCondition(s.Status.Conditions, order.Ready)
	switch {
	case s.Metadata.UID == "" || !children:
		return nothingRight
	case !field:
		return childrenRight
	case ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != s.Metadata.Generation:
		return statusRight
	default:
		return allRight
	}
}

// own returns a child that belongs to the parent.
func (s *site) own(part string) (child, bool) {
	have, exists := s.children[part]
	return have, exists && have.owner == s.Metadata.UID
}

// judgedParts reports what is right of a parent whose children are made of what it says.
func (s *site) judgedParts(o order.Order) (children, field bool) {
	for _, part := range o.Children() {
		if have, is := s.own(part); !is || !maps.Equal(have.data, o.ChildData(s.Spec, part)) {
			return false, false
		}
	}
	return true, s.Status.Observed == o.Observed(s.Spec)
}

// judgedChain reports what is right of a parent of whose children each knows the one before.
func (s *site) judgedChain(o order.Order) (children, field bool) {
	want := map[string]string{order.TextKey: s.Spec.Text}
	var last types.UID
	for _, part := range o.Children() {
		have, is := s.own(part)
		if !is || !maps.Equal(have.data, want) {
			return false, false
		}
		last = have.uid
		want = map[string]string{order.BeforeKey: string(last)}
	}
	return true, s.Status.Observed == string(last)
}

// judgedAnswer reports what is right of a parent whose second child has to come when the first one
// has an answer.
func (s *site) judgedAnswer() (children, field bool) {
	asked, is := s.own(order.Asked)
	answer, given := asked.data[order.AnswerKey]
	if answered, exists := s.own(order.Answered); !is || exists != given || answered.data[order.AnswerKey] != answer {
		return false, false
	}
	return true, s.Status.Observed == answer
}
