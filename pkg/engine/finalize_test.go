package engine

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

const (
	ours   = "example.com/ours"
	others = "example.com/others"
)

// fakeFinalizers are the finalizers of a definition in the objects of a fakeServer.
type fakeFinalizers struct {
	server *fakeServer
	name   string
	kind   schema.GroupVersionKind
}

func (f *fakeFinalizers) add(_ context.Context, obj handlers.Object) (handlers.Object, bool, error) {
	if err := f.server.asked("add", obj); err != nil {
		return nil, false, err
	}
	key := kube.Key{Namespace: obj.Namespace(), Name: obj.Name()}
	now := f.server.edit(f.kind, key, func(m *metav1.ObjectMeta) {
		if m.DeletionTimestamp == nil {
			m.Finalizers = append(m.Finalizers, f.name)
		}
	})
	return now, now != nil && now.Metadata().DeletionTimestamp == nil, nil
}

func (f *fakeFinalizers) remove(_ context.Context, obj handlers.Object) error {
	if err := f.server.asked("remove", obj); err != nil {
		return err
	}
	key := kube.Key{Namespace: obj.Namespace(), Name: obj.Name()}
	f.server.edit(f.kind, key, func(m *metav1.ObjectMeta) {
		m.Finalizers = slices.DeleteFunc(m.Finalizers, func(name string) bool { return name == f.name })
	})
	return nil
}

// asked notes a write of finalizers, and returns what the test lets become of it.
func (f *fakeServer) asked(what string, obj handlers.Object) error {
	if f.onFinalizer == nil {
		return nil
	}
	return f.onFinalizer(what, obj)
}

// edit changes the metadata of an object and sends the event. One that is marked for deletion goes
// with its last finalizer. It returns the object as it is then; nil when it is not there.
func (f *fakeServer) edit(kind schema.GroupVersionKind, key kube.Key, change func(*metav1.ObjectMeta)) handlers.Object {
	f.mu.Lock()
	old, ok := f.objects[kind][key]
	if !ok {
		f.mu.Unlock()
		return nil
	}
	m := old.Metadata()
	change(m)
	f.version++
	m.ResourceVersion = strconv.Itoa(f.version)
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind.Kind}, ObjectMeta: *m}
	now, err := handlers.ObjectOf(pod)
	if err != nil {
		panic(err)
	}
	gone := m.DeletionTimestamp != nil && len(m.Finalizers) == 0
	if gone {
		delete(f.objects[kind], key)
	} else {
		f.objects[kind][key] = now
	}
	f.mu.Unlock()
	if gone {
		f.emit(kind, kube.Event{Key: key, Type: kube.Deleted})
	} else {
		f.emit(kind, kube.NewChange(old, now))
	}
	return now
}

// delete asks for the deletion of a pod.
func (r *rig) delete(i int) {
	r.api.edit(podKind, key(i), func(m *metav1.ObjectMeta) {
		now := metav1.Now()
		m.DeletionTimestamp = &now
	})
}

// live returns a pod as it is; nil when it is gone.
func (r *rig) live(i int) handlers.Object {
	obj, _ := (&fakeSource{server: r.api, watch: kube.Watch{Kind: podKind}}).Get(key(i).Namespace, key(i).Name)
	return obj
}

// relabel changes something of a pod that is not its finalizers.
func (r *rig) relabel(i int, label string) {
	r.api.edit(podKind, key(i), func(m *metav1.ObjectMeta) { m.Labels = map[string]string{"label": label} })
}

// inFinalizerRig runs a test whose definitions have a finalizer. Every write of finalizers is
// noted.
func inFinalizerRig(t *testing.T, pods int, test func(r *rig)) {
	t.Helper()
	inRig(t, pods, func(r *rig) {
		r.api.onFinalizer = func(what string, obj handlers.Object) error {
			r.note(what + " " + obj.Name())
			return nil
		}
		test(r)
		r.stop()
	})
}

func withFinalizer(def *config.Definition) { def.Finalizer = ours }

func TestFinalizerIsAddedBeforeTheFirstCall(t *testing.T) {
	inFinalizerRig(t, 2, func(r *rig) {
		r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			if !slices.Contains(req.Object.Metadata().Finalizers, ours) {
				t.Errorf("%s is handled with the finalizers %v", req.Object.Name(), req.Object.Metadata().Finalizers)
			}
			if live := r.live(0); req.Object.Name() == objectName(0) && live.ResourceVersion() != req.Object.ResourceVersion() {
				t.Errorf("handled is version %s, there is %s", req.Object.ResourceVersion(), live.ResourceVersion())
			}
			return handlers.Result{}, nil
		}
		r.api.edit(podKind, key(0), func(m *metav1.ObjectMeta) { m.Finalizers = []string{others} })
		r.api.edit(podKind, key(1), func(m *metav1.ObjectMeta) { m.Finalizers = []string{ours} })
		r.start(r.definition("d", "1", withFinalizer))
		// The event of the write itself calls nothing.
		r.expect("0s add object-0", "0s d1 object-0 initial#0", "0s d1 object-1 initial#0")
		if have := r.live(0).Metadata().Finalizers; !slices.Equal(have, []string{others, ours}) {
			t.Errorf("the finalizers are %v", have)
		}
		r.relabel(0, "a")
		r.expect("0s d1 object-0 change#0")
	})
}

func TestDeletionFinalizes(t *testing.T) {
	inFinalizerRig(t, 1, func(r *rig) {
		r.start(r.definition("d", "1", withFinalizer))
		r.expect("0s add object-0", "0s d1 object-0 initial#0")
		r.delete(0)
		r.expect("0s finalize d1 object-0 change#0", "0s remove object-0")
		if r.live(0) != nil {
			t.Error("the object is still there")
		}
		r.change(0) // Another one of its name.
		r.expect("0s add object-0", "0s d1 object-0 change#0")
		if n := r.metric("kooperd_controller_busy_workers", "d"); n != 0 {
			t.Errorf("%v calls are under way", n)
		}
	})
}

// What fails is finalized again: the handler, and the removal of the finalizer.
func TestFinalizeIsRetried(t *testing.T) {
	inFinalizerRig(t, 1, func(r *rig) {
		r.start(r.definition("d", "1", withFinalizer))
		r.expect("0s add object-0", "0s d1 object-0 initial#0")
		answers := []func() (handlers.Result, error){
			func() (handlers.Result, error) { return handlers.Result{}, errTest },
			func() (handlers.Result, error) { panic("as the test wants") },
			func() (handlers.Result, error) { return handlers.Result{RequeueAfter: time.Minute}, nil },
			func() (handlers.Result, error) {
				r.api.onFinalizer = func(string, handlers.Object) error { return errTest }
				return handlers.Result{}, nil
			},
			func() (handlers.Result, error) {
				r.api.onFinalizer = nil
				return handlers.Result{}, nil
			},
		}
		r.finalize = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			answer := answers[0]
			answers = answers[1:]
			return answer()
		}
		r.logged()
		r.delete(0)
		time.Sleep(3 * time.Second)
		r.expect("0s finalize d1 object-0 change#0", "1s finalize d1 object-0 retry#1", "3s finalize d1 object-0 retry#2")
		if r.live(0) == nil {
			t.Error("the object is gone before it was finalized")
		}
		log := r.logged()
		if strings.Count(log, `"function"="Finalize"`) < 3 || !strings.Contains(log, "handler panicked") {
			t.Errorf("the log does not name Finalize, or the panic:\n%s", log)
		}
		time.Sleep(2 * time.Minute)
		r.expect("1m3s finalize d1 object-0 requeue#0", "1m4s finalize d1 object-0 retry#1")
		if r.live(0) != nil {
			t.Error("the object is still there")
		}
		r.wantState("d", status.Running, "")
	})
}

// An object that is deleted without the finalizer is no concern of the definition.
func TestDeletionWithoutFinalizerCallsNothing(t *testing.T) {
	inFinalizerRig(t, 2, func(r *rig) {
		r.api.edit(podKind, key(0), func(m *metav1.ObjectMeta) { m.Finalizers = []string{others} })
		r.delete(0) // before the start
		r.start(r.definition("d", "1", withFinalizer, func(def *config.Definition) { def.Resync = time.Hour }))
		r.expect("0s add object-1", "0s d1 object-1 initial#0")
		r.api.edit(podKind, key(1), func(m *metav1.ObjectMeta) { m.Finalizers = append(m.Finalizers, others) })
		r.expect("0s d1 object-1 change#0")
		r.delete(1)
		r.expect("0s finalize d1 object-1 change#0", "0s remove object-1")
		r.relabel(0, "a")
		r.relabel(1, "a")
		time.Sleep(3 * time.Hour)
		r.expect()
	})
}

// An object that has failed is no failure any more when it is deleted without the finalizer.
func TestDeletionWithoutFinalizerEndsFailures(t *testing.T) {
	inFinalizerRig(t, 1, func(r *rig) {
		r.api.onFinalizer = func(string, handlers.Object) error { return errTest }
		r.api.edit(podKind, key(0), func(m *metav1.ObjectMeta) { m.Finalizers = []string{others} })
		r.start(r.definition("d", "1", withFinalizer))
		time.Sleep(10 * time.Second)
		r.expect() // The handler is not called without the finalizer.
		r.wantState("d", status.Degraded, "as the test wants")
		r.delete(0)
		time.Sleep(time.Hour)
		r.expect()
		r.wantState("d", status.Running, "")
	})
}

// The object is gone, or being deleted, when its finalizer is to be added.
func TestFinalizerComesTooLate(t *testing.T) {
	tests := map[string]func(r *rig){
		"gone":    func(r *rig) { r.api.remove(podKind, key(0)) },
		"deleted": func(r *rig) { r.delete(0) },
	}
	for name, meanwhile := range tests {
		t.Run(name, func(t *testing.T) {
			inFinalizerRig(t, 1, func(r *rig) {
				r.api.edit(podKind, key(0), func(m *metav1.ObjectMeta) { m.Finalizers = []string{others} })
				r.api.onFinalizer = func(what string, _ handlers.Object) error {
					r.note(what)
					meanwhile(r)
					return nil
				}
				r.start(r.definition("d", "1", withFinalizer))
				time.Sleep(time.Hour)
				r.expect("0s add")
				r.wantState("d", status.Running, "")
			})
		})
	}
}

// A first call that fails is retried after its backoff: the event of the finalizer does not cut it
// short. One of another change does.
func TestFinalizerDoesNotCutBackoffShort(t *testing.T) {
	inFinalizerRig(t, 1, func(r *rig) {
		fail := errTest
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, fail
		}
		r.start(r.definition("d", "1", withFinalizer))
		r.expect("0s add object-0", "0s d1 object-0 initial#0")
		time.Sleep(time.Second)
		r.expect("1s d1 object-0 retry#1")
		fail = nil
		r.relabel(0, "a")
		r.expect("1s d1 object-0 change#0")
	})
}

// A condition chooses which objects are handled and get the finalizer, but one that has it is
// finalized.
func TestFinalizerAndFilter(t *testing.T) {
	inFinalizerRig(t, 2, func(r *rig) {
		filter := filterOf(t, podKind, []string{"status"}, `has(object.metadata.labels) && object.metadata.labels.label == "yes"`)
		r.relabel(0, "yes")
		r.relabel(1, "no")
		r.start(r.definition("d", "1", withFinalizer, func(def *config.Definition) { def.Filter = filter }))
		r.expect("0s add object-0", "0s d1 object-0 initial#0")
		r.relabel(0, "no")
		r.expect()
		r.delete(0)
		r.delete(1)
		r.expect("0s finalize d1 object-0 change#0", "0s remove object-0")
	})
}

// The same for one that was deleted, and excluded, before the start.
func TestFinalizerAndFilterAtTheStart(t *testing.T) {
	inFinalizerRig(t, 1, func(r *rig) {
		filter := filterOf(t, podKind, nil, "false")
		r.api.edit(podKind, key(0), func(m *metav1.ObjectMeta) { m.Finalizers = []string{ours} })
		r.delete(0)
		r.start(r.definition("d", "1", withFinalizer, func(def *config.Definition) { def.Filter = filter }))
		r.expect("0s finalize d1 object-0 initial#0", "0s remove object-0")
	})
}

// A call of Finalize that ignores its deadline is named as what it is.
func TestFinalizeIsNamed(t *testing.T) {
	inFinalizerRig(t, 1, func(r *rig) {
		release := make(chan struct{})
		r.finalize = func(ctx context.Context, _ string, _ handlers.Request) (handlers.Result, error) {
			<-release
			return handlers.Result{}, errors.Join(ctx.Err())
		}
		r.start(r.definition("d", "1", withFinalizer))
		r.delete(0)
		time.Sleep(2 * time.Minute)
		r.wantState("d", status.Degraded, "1 call(s) ignore the deadline")
		if have, want := r.Unreturned(), "d: the test handler's Finalize for ns/"+objectName(0); !slices.Contains(have, want) {
			t.Errorf("under way is %q, want %q", have, want)
		}
		r.finalize = nil
		close(release)
		time.Sleep(time.Minute)
		if r.live(0) != nil {
			t.Error("the object is still there")
		}
		if n := r.metric("kooperd_controller_timeouts_total", "d"); n != 1 {
			t.Errorf("%v timeouts are counted, want 1", n)
		}
	})
}

// The handler of a definition with a finalizer is closed like any other.
func TestFinalizingHandlerIsClosed(t *testing.T) {
	inFinalizerRig(t, 0, func(r *rig) {
		r.start(r.definition("d", "1", withFinalizer))
		r.apply()
		r.expect("0s close d1")
	})
}
