package engine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// deleting checks how many deletions wait, and for how long.
func (r *rig) deleting(objects int, longest time.Duration) {
	r.t.Helper()
	synctest.Wait()
	if have := r.metric("kooperd_controller_deleting_objects", "d"); have != float64(objects) {
		r.t.Errorf("%v deletions wait, want %d", have, objects)
	}
	if have := r.metric("kooperd_controller_longest_deletion_seconds", "d"); have != longest.Seconds() {
		r.t.Errorf("the longest deletion takes %v s, want %s", have, longest)
	}
}

// Deletions whose Finalize asks for another call wait. One that fails is counted as such, and one
// that is done is gone.
func TestDeletionsThatWait(t *testing.T) {
	inFinalizerRig(t, 3, func(r *rig) {
		var answers sync.Map // by the object; done without one
		wait := func(i int, err error) { answers.Store(objectName(i), &err) }
		r.finalize = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			if err, waits := answers.Load(req.Object.Name()); waits {
				return handlers.Result{RequeueAfter: time.Minute}, *err.(*error)
			}
			return handlers.Result{}, nil
		}
		wait(0, nil)
		wait(1, nil)
		r.start(r.definition("d", "1", withFinalizer))
		r.deleting(0, 0)
		for i := range 3 {
			r.delete(i)
			time.Sleep(10 * time.Minute)
		}
		r.deleting(2, 30*time.Minute)
		wait(0, errTest)
		time.Sleep(10 * time.Minute)
		r.deleting(1, 30*time.Minute)
		wait(0, handlers.RetryAfter(errTest, time.Minute))
		time.Sleep(10 * time.Minute)
		r.deleting(2, 50*time.Minute)
		answers.Delete(objectName(0))
		time.Sleep(10 * time.Minute)
		r.deleting(1, 50*time.Minute)
		answers.Delete(objectName(1))
		time.Sleep(10 * time.Minute)
		r.deleting(0, 0)
	})
}

// A deletion waits no longer for the definition when the finalizer is gone, whoever has removed it
// and whatever else keeps the object.
func TestDeletionsThatWaitForOthers(t *testing.T) {
	for name, filtered := range map[string]bool{"without a filter": false, "with a filter": true} {
		t.Run(name, func(t *testing.T) {
			inFinalizerRig(t, 2, func(r *rig) {
				var done atomic.Bool
				r.finalize = func(context.Context, string, handlers.Request) (handlers.Result, error) {
					if done.Load() {
						return handlers.Result{}, nil
					}
					return handlers.Result{RequeueAfter: time.Hour}, nil
				}
				for i := range 2 {
					r.api.edit(podKind, key(i), func(m *metav1.ObjectMeta) { m.Finalizers = []string{others} })
				}
				r.start(r.definition("d", "1", withFinalizer, func(def *config.Definition) {
					if filtered {
						def.Filter = filterOf(t, podKind, nil, "true")
					}
				}))
				r.delete(0)
				r.delete(1)
				time.Sleep(time.Minute)
				r.deleting(2, time.Minute)
				r.api.edit(podKind, key(0), func(m *metav1.ObjectMeta) {
					m.Finalizers = slices.DeleteFunc(m.Finalizers, func(name string) bool { return name == ours })
				})
				time.Sleep(time.Minute)
				r.deleting(1, 2*time.Minute)
				done.Store(true)
				time.Sleep(time.Hour)
				if r.live(1) == nil {
					t.Error("the object is gone, and somebody else has a finalizer in it")
				}
				r.deleting(0, 0)
			})
		})
	}
}

// What waits is noted by the revision and the replica that work on it.
func TestDeletionsOfChangedDefinition(t *testing.T) {
	inFinalizerRig(t, 1, func(r *rig) {
		r.finalize = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{RequeueAfter: time.Hour}, nil
		}
		r.start(r.definition("d", "1", withFinalizer))
		r.delete(0)
		time.Sleep(time.Minute)
		r.apply(r.definition("d", "2", withFinalizer))
		time.Sleep(time.Minute)
		r.deleting(1, 2*time.Minute)
		r.endTerm()
		r.working.Wait()
		r.deleting(0, 0)
		r.lead()
		time.Sleep(time.Minute)
		r.deleting(1, 3*time.Minute)
		r.apply()
		time.Sleep(time.Hour)
		r.logged()
	})
}
