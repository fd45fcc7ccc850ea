package main

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"kooperd.dev/kooperd/test/bench/order"
)

// observed notes events one second after the other.
type observed struct {
	*observer
	t     *testing.T
	clock time.Time
}

func (o *observed) note(event watch.EventType, object any) {
	o.t.Helper()
	o.clock = o.clock.Add(time.Second)
	var err error
	switch object := object.(type) {
	case *unstructured.Unstructured:
		err = o.observer.note(watch.Event{Type: event, Object: object}, o.clock)
	case *corev1.ConfigMap:
		err = o.observer.note(watch.Event{Type: event, Object: object}, o.clock)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// state fails the test unless the children, and all of the parent, are as right as wanted.
func (o *observed) state(when string, want state) {
	o.t.Helper()
	if got := o.known["site-000001"].state; got != want {
		o.t.Errorf("%s: have %+v, want %+v", when, got, want)
	}
	if (o.right == 1) != want.all {
		o.t.Errorf("%s: %d parents are right, want one: %t", when, o.right, want.all)
	}
}

func observedParent(generation int64, text, observed string, observedGeneration int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "site-000001", "uid": "u", "generation": generation},
		"spec":     map[string]any{"text": text},
		"status": map[string]any{"observed": observed, "conditions": []any{
			map[string]any{"type": order.Ready, "status": "True", "observedGeneration": observedGeneration},
		}},
	}}
}

func observedChild(part, text string, owner types.UID) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "site-000001-" + part, OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: new(true)}}},
		Data:       order.Order{}.ChildData(order.Spec{Text: text}, part),
	}
}

func TestObserver(t *testing.T) {
	o := &observed{observer: newObserver(order.Order{}), t: t, clock: time.Unix(1000, 0)}
	o.note(watch.Added, observedChild("head", "x", "u")) // The watch of children may be ahead.
	o.note(watch.Added, observedParent(1, "x", "", 0))
	o.note(watch.Added, observedChild("body", "x", "u"))
	o.note(watch.Added, observedChild("foot", "x", "another"))
	o.note(watch.Added, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}})
	o.state("a child of another owner", state{})
	o.note(watch.Modified, observedChild("foot", "x", "u"))
	o.state("no status", state{children: true})
	o.note(watch.Modified, observedParent(1, "x", "x", 1))
	o.state("everything is there", state{children: true, all: true})
	done := o.clock

	o.note(watch.Modified, observedChild("head", "spoiled", "u"))
	o.state("a child has changed", state{})
	o.note(watch.Modified, observedChild("head", "x", "u"))
	o.state("the child is right again", state{children: true, all: true})
	o.note(watch.Deleted, observedChild("head", "x", "u"))
	o.state("a child is gone", state{})
	begin := o.clock
	o.note(watch.Added, observedChild("head", "x", "u"))
	took, err := o.awaitMended(t.Context(), "site-000001", begin)
	if err != nil || took != time.Second {
		t.Errorf("the child was away for %v, error %v; want 1s", took, err)
	}
	last, err := o.awaitRight(t.Context(), 1)
	if err != nil || !last.Equal(o.clock) || last.Equal(done) {
		t.Errorf("everything was right at %v, error %v; want %v", last, err, o.clock)
	}

	o.note(watch.Modified, observedParent(2, "x", "x", 1))
	o.state("the status is of another generation", state{children: true})
	o.want(order.Order{Extra: "more"})
	o.state("children have to say more", state{})
}
