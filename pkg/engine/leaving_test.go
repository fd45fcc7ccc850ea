package engine

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
)

// goneEvent is the event of a pod that the watch does not show any more.
func goneEvent(t *testing.T, meta metav1.ObjectMeta) kube.Event {
	t.Helper()
	meta.Namespace, meta.Name, meta.UID = key(0).Namespace, key(0).Name, "object-0"
	pod, err := handlers.ObjectOf(&corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: meta})
	if err != nil {
		t.Fatal(err)
	}
	e := kube.NewChange(pod, pod)
	e.Type = kube.Deleted
	return e
}

func selecting(def config.Definition, selector string) config.Definition {
	def.Watch.LabelSelector = labels.SelectorFromSet(labels.Set{selector: "yes"})
	def.Digest = digestOf(def)
	return def
}

// A parent that leaves at the moment of a change of its definition is known to the next revision.
func TestLeaversOutliveARevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		release := make(chan struct{})
		r.start(selecting(r.composing("pods", func() { <-release }), "a"))
		defer r.stop()
		r.api.emit(podKind, goneEvent(t, metav1.ObjectMeta{})) // The only worker is busy.
		synctest.Wait()
		before := r.controllers["pods"].rollout.current()
		r.apply(selecting(r.composing("pods", nil), "b"))
		now := r.controllers["pods"].rollout.current()
		if _, known := (leaving{now.composing}).leaver(key(0)); now == before || !known {
			t.Errorf("the leaver is known: %t, to another revision: %t", known, now != before)
		}
		close(release)
		synctest.Wait()
	})
}

// A parent that has left is looked at again although two conditions follow one another: the first
// one wants it, and its call takes the place of the next look; the second one takes that back.
func TestLeaversOutliveTwoConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		var busy atomic.Bool
		release := make(chan struct{})
		revision := func(selector, condition string) config.Definition {
			def := r.composing("pods", func() {
				if busy.Load() {
					<-release
				}
			})
			if condition != "" {
				def.Filter = filterOf(t, podKind, nil, condition)
			}
			return selecting(def, selector)
		}
		r.start(revision("a", ""))
		defer r.stop()
		isAsked := func(what string) {
			t.Helper()
			synctest.Wait()
			if isIdle(r.controllers["pods"].dispatcher.Load().queue, key(0)) {
				t.Errorf("%s: nothing calls for a parent that has left", what)
			}
		}
		r.api.emit(podKind, goneEvent(t, metav1.ObjectMeta{}))
		isAsked("it has left")
		busy.Store(true)
		r.change(1)
		synctest.Wait()
		r.apply(revision("b", "object.metadata.name != 'none'"))
		isAsked("it is wanted again")
		r.apply(revision("c", named(1)))
		isAsked("it is not wanted any more")

		d := r.controllers["pods"].dispatcher.Load()
		queue.Withdraw(d.queue, queue.Change)
		d.asking.inherit(key(0), queue.Initial) // as of a worker that did not come to begin its call
		isAsked("its call was not begun")
		r.startDrain()
		close(release)
	})
}

// What was being deleted is gone, unless it may have left with a finalizer of ours.
func TestDeletedParentIsNoLeaver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.start(selecting(r.composing("pods", nil), "a"))
		defer r.stop()
		now := metav1.Now()
		c := leaving{r.controllers["pods"].rollout.current().composing}
		for name, tc := range map[string]struct {
			meta metav1.ObjectMeta
			want bool
		}{
			"living":                   {want: true},
			"deleted":                  {meta: metav1.ObjectMeta{DeletionTimestamp: &now, Finalizers: []string{"foregroundDeletion"}}},
			"deleted with a finalizer": {meta: metav1.ObjectMeta{DeletionTimestamp: &now, Finalizers: []string{compose.FinalizerOf("", "pods")}}, want: true},
		} {
			if c.gone(goneEvent(t, tc.meta)) != tc.want {
				t.Errorf("one that was %s may have left: %t, want %t", name, !tc.want, tc.want)
			}
		}
	})
}

// What the filter refuses is handled nevertheless when it has left.
func TestFilterAdmitsWhatHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := func(handlers.Object) bool { return false }
		b := &bench{calls: true, changes: func(kube.Key) bool { return false }, others: no}
		end := begin(t, b)
		defer end()
		left, asked := false, []bool{}
		b.hasLeft = func(_ context.Context, _ handlers.Object, changed bool) bool {
			asked = append(asked, changed)
			return left
		}
		b.call(key(0), queue.Resync)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		left = true
		b.change(kube.Event{Key: key(0)})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		admitted := fmt.Sprintf("admitted object-0 as %d", queue.Change)
		if log := b.take(); log[len(log)-1] != admitted || !slices.Equal(asked, []bool{false, true}) {
			t.Errorf("log %v, asked with %v", log, asked)
		}
	})
}
