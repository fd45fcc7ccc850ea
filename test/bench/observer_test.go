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

// at fails the test unless as much of the parent is right as wanted.
func (o *observed) at(when string, want level) {
	o.t.Helper()
	if got := o.known["site-000001"].level; got != want {
		o.t.Errorf("%s: have level %d, want %d", when, got, want)
	}
	for l := nothingRight + 1; l < levels; l++ {
		if (o.right[l] == 1) != (want >= l) {
			o.t.Errorf("%s: %d parents are at level %d, want one: %t", when, o.right[l], l, want >= l)
		}
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
	o.at("a child of another owner", nothingRight)
	o.note(watch.Modified, observedChild("foot", "x", "u"))
	o.at("no status", childrenRight)
	o.note(watch.Modified, observedParent(1, "x", "x", 1))
	o.at("everything is there", allRight)
	done := o.clock

	o.note(watch.Modified, observedChild("head", "spoiled", "u"))
	o.at("a child has changed", nothingRight)
	o.note(watch.Modified, observedChild("head", "x", "u"))
	o.at("the child is right again", allRight)
	o.note(watch.Deleted, observedChild("head", "x", "u"))
	o.at("a child is gone", nothingRight)
	begin := o.clock
	o.note(watch.Added, observedChild("head", "x", "u"))
	took, err := o.awaitMended(t.Context(), "site-000001", begin)
	if err != nil || took != time.Second {
		t.Errorf("the child was away for %v, error %v; want 1s", took, err)
	}
	last, err := o.awaitAll(t.Context(), 1, allRight)
	if err != nil || !last.Equal(o.clock) || last.Equal(done) {
		t.Errorf("everything was right at %v, error %v; want %v", last, err, o.clock)
	}

	o.note(watch.Modified, observedParent(2, "x", "x", 1))
	o.at("the status is of another generation", statusRight)
	o.want(order.Order{Extra: "more"})
	o.at("children have to say more", nothingRight)
}

// madeChild is a child of kro, which has no owner reference.
func madeChild(part string, uid types.UID, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "site-000001-" + part, UID: uid, Labels: map[string]string{ownerLabel: "u"}}, Data: data,
	}
}

func TestObserverOfChain(t *testing.T) {
	o := &observed{observer: newObserver(order.Order{Graph: order.Chain}), t: t, clock: time.Unix(1000, 0)}
	o.note(watch.Added, observedParent(1, "x", "", 1))
	links := o.order.Children()
	o.note(watch.Added, madeChild(links[0], "0", map[string]string{order.TextKey: "x"}))
	for i, link := range links[1:] {
		o.at("before the "+link+" child", nothingRight)
		o.note(watch.Added, madeChild(link, types.UID(link), map[string]string{order.BeforeKey: string(o.known["site-000001"].children[links[i]].uid)}))
	}
	o.at("no status", childrenRight)
	last := links[len(links)-1]
	o.note(watch.Modified, observedParent(1, "x", last, 1))
	o.at("everything is there", allRight)
	o.note(watch.Modified, madeChild(last, "1", map[string]string{order.BeforeKey: links[len(links)-2]}))
	o.at("the last child has another UID", childrenRight)
}

func TestObserverOfAnswer(t *testing.T) {
	o := &observed{observer: newObserver(order.Order{Graph: order.Answer}), t: t, clock: time.Unix(1000, 0)}
	o.note(watch.Added, observedParent(1, "x", "", 0))
	o.note(watch.Added, madeChild(order.Asked, "0", map[string]string{order.TextKey: "x"}))
	o.at("no answer", statusRight)
	o.note(watch.Modified, madeChild(order.Asked, "0", map[string]string{order.TextKey: "x", order.AnswerKey: "a"}))
	o.at("an answer that nothing is made of", nothingRight)
	given := o.clock
	o.note(watch.Added, madeChild(order.Answered, "1", map[string]string{order.AnswerKey: "a"}))
	o.at("what is made of it", childrenRight)
	o.note(watch.Modified, observedParent(1, "x", "a", 1))
	took, err := o.awaitAfter(t.Context(), "site-000001", given, statusRight)
	if err != nil || took != 2*time.Second {
		t.Errorf("the status came after %v, error %v; want 2s", took, err)
	}
}
