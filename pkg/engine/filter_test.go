package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// bench is an event filter with what it asks and what it admits. Every decision takes a second.
type bench struct {
	*eventFilter
	calls    bool                         // calls that are not for a change are decided on
	changes  func(kube.Key) bool          // wanted
	others   func(handlers.Object) bool   // wanted
	existing map[kube.Key]handlers.Object // in the cache

	t   *testing.T
	mu  sync.Mutex
	log []string
}

func (b *bench) matchesCalls() bool { return b.calls }

func (b *bench) selects() bool { return b.calls }

func (b *bench) matchesChange(ctx context.Context, e kube.Event) bool {
	b.note("change of " + e.Key.Name)
	doze(ctx)
	return b.changes(e.Key)
}

func (b *bench) matches(ctx context.Context, key kube.Key, now, old handlers.Object) bool {
	b.note(fmt.Sprintf("call for %s, old %v", key.Name, old))
	doze(ctx)
	return b.others(now)
}

func (b *bench) Get(namespace, name string) (handlers.Object, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	obj, ok := b.existing[kube.Key{Namespace: namespace, Name: name}]
	return obj, ok
}

// put changes an object in the cache.
func (b *bench) put(k kube.Key, version string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.existing[k] = podAt(b.t, k, version)
}

func (b *bench) List(string, labels.Selector) []handlers.Object { return nil }

func (b *bench) ListOwned(types.UID) []handlers.Object { return nil }

func doze(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}

func (b *bench) note(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, line)
}

func (b *bench) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := b.log
	b.log = nil
	return log
}

func podNamed(t testing.TB, k kube.Key) handlers.Object {
	t.Helper()
	return podAt(t, k, "1")
}

func podAt(t testing.TB, k kube.Key, version string) handlers.Object {
	t.Helper()
	obj, err := handlers.ObjectOf(&corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Name, ResourceVersion: version},
	})
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

// begin runs an event filter until the returned function is called.
func begin(t *testing.T, b *bench) (end func()) {
	t.Helper()
	b.t, b.existing = t, map[kube.Key]handlers.Object{}
	for i := range 10 {
		b.existing[key(i)] = podNamed(t, key(i))
	}
	metrics := telemetry.NewMetrics(prometheus.NewRegistry()).Controller("test")
	b.eventFilter = newEventFilter(b, b, metrics, func(k kube.Key, p queue.Priority) { b.note(fmt.Sprintf("admitted %s as %d", k.Name, p)) })
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { b.run(ctx, acceptance{ctx}) })
	return func() {
		cancel()
		running.Wait()
	}
}

func always(kube.Key) bool { return true }

func TestEventFilter(t *testing.T) {
	const change, resync, initial = queue.Change, queue.Resync, queue.Initial
	tests := map[string]struct {
		calls   bool
		changes func(kube.Key) bool
		others  func(handlers.Object) bool
		ask     func(b *bench)
		want    []string
	}{
		"a wanted change": {changes: always,
			ask:  func(b *bench) { b.change(kube.Event{Key: key(1)}) },
			want: []string{"change of object-1", fmt.Sprintf("admitted object-1 as %d", change)}},
		"an unwanted change": {changes: func(kube.Key) bool { return false },
			ask:  func(b *bench) { b.change(kube.Event{Key: key(1)}) },
			want: []string{"change of object-1"}},
		"the handler is given what is there": {changes: always,
			ask:  func(b *bench) { b.handled(b.existing[key(1)]) },
			want: nil},
		"the handler is given what has changed meanwhile": {changes: always,
			ask: func(b *bench) {
				old := b.existing[key(1)]
				b.put(key(1), "2")
				b.handled(old)
			},
			want: []string{"change of object-1", fmt.Sprintf("admitted object-1 as %d", change)}},
		"a call that nothing can refuse": {
			ask:  func(b *bench) { b.call(key(1), resync) },
			want: []string{fmt.Sprintf("admitted object-1 as %d", resync)}},
		"a wanted call": {calls: true, others: func(o handlers.Object) bool { return o.Name() == "object-1" },
			ask:  func(b *bench) { b.call(key(1), initial) },
			want: []string{"call for object-1, old <nil>", fmt.Sprintf("admitted object-1 as %d", initial)}},
		"an unwanted call": {calls: true, others: func(handlers.Object) bool { return false },
			ask:  func(b *bench) { b.call(key(1), initial) },
			want: []string{"call for object-1, old <nil>"}},
		"the more urgent of two calls": {calls: true, others: func(handlers.Object) bool { return true },
			ask:  func(b *bench) { b.call(key(1), initial); b.call(key(1), resync); b.call(key(1), initial) },
			want: []string{"call for object-1, old <nil>", fmt.Sprintf("admitted object-1 as %d", resync)}},
		"a call after an unwanted change": {calls: true, changes: func(kube.Key) bool { return false }, others: func(handlers.Object) bool { return true },
			ask:  func(b *bench) { b.call(key(1), initial); b.change(kube.Event{Key: key(1)}) },
			want: []string{"change of object-1", "call for object-1, old <nil>", fmt.Sprintf("admitted object-1 as %d", initial)}},
		"one call for both": {calls: true, changes: always,
			ask:  func(b *bench) { b.call(key(1), initial); b.change(kube.Event{Key: key(1)}) },
			want: []string{"change of object-1", fmt.Sprintf("admitted object-1 as %d", change)}},
		"changes before calls": {calls: true, changes: always, others: func(handlers.Object) bool { return true },
			ask: func(b *bench) { b.call(key(1), initial); b.call(key(2), resync); b.change(kube.Event{Key: key(3)}) },
			want: []string{"change of object-3", fmt.Sprintf("admitted object-3 as %d", change), "call for object-2, old <nil>",
				fmt.Sprintf("admitted object-2 as %d", resync), "call for object-1, old <nil>", fmt.Sprintf("admitted object-1 as %d", initial)}},
		"many changes are one": {changes: always,
			ask: func(b *bench) {
				for range 100 {
					b.change(kube.Event{Key: key(1)})
				}
			},
			want: []string{"change of object-1", fmt.Sprintf("admitted object-1 as %d", change)}},
		"gone": {changes: always,
			ask: func(b *bench) { b.change(kube.Event{Key: key(1)}); b.forget(key(1)) }},
		"gone from the cache": {calls: true, others: func(handlers.Object) bool { return true },
			ask: func(b *bench) { b.call(key(99), initial) }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bench{calls: tc.calls, others: tc.others, changes: func(k kube.Key) bool { return k != key(0) && tc.changes(k) }}
				end := begin(t, b)
				defer end()
				b.change(kube.Event{Key: key(0)}) // The filter is busy while the case asks, so that all of it waits to be decided.
				synctest.Wait()
				begun := time.Now()
				tc.ask(b)
				if took := time.Since(begun); took > 0 {
					t.Errorf("asking took %s: it waits for the decisions", took)
				}
				time.Sleep(time.Minute)
				have := slices.DeleteFunc(b.take(), func(line string) bool { return line == "change of object-0" })
				if diff := cmp.Diff(tc.want, have, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
					t.Errorf("(-want +have):\n%s", diff)
				}
			})
		})
	}
}

// journal is a predicate that notes which change it is asked for.
type journal struct{ asked []string }

func (j *journal) matchesCalls() bool { return false }

func (j *journal) selects() bool { return false }

func (j *journal) matchesChange(_ context.Context, e kube.Event) bool {
	version := func(o handlers.Object) string {
		if o == nil {
			return "none"
		}
		return o.ResourceVersion()
	}
	j.asked = append(j.asked, version(e.Old())+" to "+version(e.Now()))
	return false
}

func (j *journal) matches(context.Context, kube.Key, handlers.Object, handlers.Object) bool {
	return true
}

// The handler has seen what it was given: what is decided is the change from there.
func TestEventFilterHandled(t *testing.T) {
	const first, second = "first", "second" // UIDs
	state := func(version, uid string) handlers.Object {
		obj, err := handlers.ObjectOf(&corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "object-1", ResourceVersion: version, UID: types.UID(uid)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return obj
	}
	tests := map[string]struct {
		cached handlers.Object
		do     func(j *eventFilter)
		want   []string
	}{
		"nothing": {state("2", first), func(j *eventFilter) { j.handled(state("2", first)) }, nil},
		"what is to be decided": {state("2", first), func(j *eventFilter) {
			j.change(kube.NewChange(state("1", first), state("2", first)))
			j.handled(state("2", first))
		}, nil},
		"less than what is to be decided": {state("3", first), func(j *eventFilter) {
			j.change(kube.NewChange(state("1", first), state("2", first)))
			j.change(kube.NewChange(state("2", first), state("3", first)))
			j.handled(state("2", first))
		}, []string{"2 to 3"}},
		"less than what is in the cache": {state("3", first), func(j *eventFilter) {
			j.handled(state("2", first))
			j.change(kube.NewChange(state("2", first), state("3", first)))
		}, []string{"2 to 3"}},
		"nothing, of two changes": {state("3", first), func(j *eventFilter) {
			j.change(kube.NewChange(state("1", first), state("2", first)))
			j.change(kube.NewChange(state("2", first), state("3", first)))
		}, []string{"1 to 3"}},
		"another object of that name": {state("4", second), func(j *eventFilter) {
			j.change(kube.NewChange(nil, state("4", second)))
			j.handled(state("2", first))
		}, []string{"none to 4"}},
		"another object, before its event": {state("4", second), func(j *eventFilter) {
			j.handled(state("2", first))
			j.change(kube.NewChange(nil, state("4", second)))
		}, []string{"none to 4"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			log := &journal{}
			view := &bench{existing: map[kube.Key]handlers.Object{{Namespace: "a", Name: "object-1"}: tc.cached}}
			j := newEventFilter(log, view, telemetry.NewMetrics(prometheus.NewRegistry()).Controller("test"), func(kube.Key, queue.Priority) {})
			tc.do(j)
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for item, ok := j.keys.Get(ctx); ok; item, ok = j.keys.Get(ctx) {
					j.decide(ctx, item.Key)
					j.keys.Done(item.Key)
				}
			})
			if diff := cmp.Diff(tc.want, log.asked); diff != "" {
				t.Errorf("asked for (-want +have):\n%s", diff)
			}
		})
	}
}

// What is under way when the term ends is given up, and nothing is taken afterwards.
func TestEventFilterEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{changes: always}
		end := begin(t, b)
		b.change(kube.Event{Key: key(1)})
		b.change(kube.Event{Key: key(2)})
		synctest.Wait()
		begun := time.Now()
		end()
		if took := time.Since(begun); took > 0 {
			t.Errorf("it ended after %s", took)
		}
		b.change(kube.Event{Key: key(3)})
		if have := b.take(); len(have) == 0 || slices.Contains(have, "change of object-2") || slices.Contains(have, "change of object-3") {
			t.Errorf("it went on after its end: %q", have)
		}
	})
}
