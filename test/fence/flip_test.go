package fence_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/cluster"
)

const (
	// flips is how often the lease changes hands.
	flips = 60

	// usual is what half of the changes of hands take less than, by far: milliseconds, as
	// docs/fence.md has it.
	usual = time.Second
)

// write is one accepted write, from before it was sent to after it was answered.
type write struct{ start, end time.Time }

// writer is a candidate that writes as fast as it can, whether it holds the lease or not.
type writer struct {
	candidate

	accepted atomic.Int64
	refused  atomic.Int64

	mu     sync.Mutex
	writes []write
	err    error // of a write that neither the fence refused nor the API server accepted
}

// run writes until ctx ends.
func (w *writer) run(ctx context.Context, f fenced) {
	objects := w.typed.CoreV1().ConfigMaps(f.namespace)
	for n := 0; ctx.Err() == nil; n++ {
		body := fmt.Appendf(nil, `{"data":{"writes":"%d"}}`, n)
		start := time.Now()
		_, err := objects.Patch(ctx, w.pod, types.MergePatchType, body, metav1.PatchOptions{})
		end := time.Now()
		switch {
		case err == nil:
			w.mu.Lock()
			w.writes = append(w.writes, write{start, end})
			w.mu.Unlock()
			w.accepted.Add(1)
		case apierrors.IsForbidden(err):
			w.refused.Add(1)
		case ctx.Err() == nil:
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			return
		}
	}
}

// problem returns what has ended the writer, if anything has.
func (w *writer) problem() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// between returns the writes that began and were answered in a span of time. One that is answered
// later may have been decided on after the next change of hands.
func (w *writer) between(from, to time.Time) []write {
	w.mu.Lock()
	defer w.mu.Unlock()
	begun := func(t time.Time) int {
		n, _ := slices.BinarySearchFunc(w.writes, t, func(w write, t time.Time) int { return w.start.Compare(t) })
		return n
	}
	writes := w.writes[begun(from):begun(to)]
	if last := len(writes) - 1; last >= 0 && writes[last].end.After(to) { // They follow one another.
		writes = writes[:last]
	}
	return writes
}

// flip is one change of hands.
type flip struct {
	from, to      *writer
	sent, written time.Time // the update of the Lease
}

// TestFlips has two candidates write without a break while the lease goes from one to the other and
// back. Nothing that the old holder begins after the first accepted write of the new one may be
// accepted.
func TestFlips(t *testing.T) {
	f := install(t, cluster.ClusterWide(cluster.Allow("patch,create", "", "configmaps")))
	writers := []*writer{{candidate: f.candidate(t, "first")}, {candidate: f.candidate(t, "second")}}
	for _, w := range writers {
		shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\n", w.pod, f.namespace))
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, w := range writers {
		running.Go(func() { w.run(ctx, f) })
	}

	var done []flip
	for i := range flips {
		done = append(done, f.flip(t, writers[i%2], writers[(i+1)%2]))
	}
	stop()
	running.Wait()
	report(t, done)
}

// flip gives the lease to the other one and waits until that has written and the first one has been
// refused.
func (f fenced) flip(t *testing.T, to, from *writer) flip {
	t.Helper()
	result := flip{from: from, to: to, sent: time.Now()}
	accepted, refused := to.accepted.Load(), from.refused.Load()
	f.setHolder(t, to.identity)
	result.written = time.Now()
	deadline, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for to.accepted.Load() < accepted+5 || from.refused.Load() < refused+5 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s after %s has got the lease: %d of its writes are accepted, and %d of %s are refused; errors: %v, %v", patience,
				to.pod, to.accepted.Load()-accepted, from.refused.Load()-refused, from.pod, to.problem(), from.problem())
		}
	}
	return result
}

// report checks every change of hands but the first, before which the lease was not held, and
// prints the times.
func report(t *testing.T, done []flip) {
	t.Helper()
	var late, first []time.Duration
	for i := 1; i < len(done); i++ {
		f, end := done[i], time.Now()
		if i+1 < len(done) {
			end = done[i+1].sent
		}
		began := f.to.between(f.sent, end)
		if len(began) == 0 {
			t.Fatalf("flip %d: no write of the new holder", i)
		}
		first = append(first, began[0].end.Sub(f.written))
		left := f.from.between(done[i-1].written, end)
		if len(left) == 0 {
			t.Fatalf("flip %d: no write of the old holder", i)
		}
		last := left[len(left)-1]
		late = append(late, last.start.Sub(f.written))
		if last.start.After(began[0].end) {
			t.Errorf("flip %d: a write of the old holder was accepted that began %s after the new one's first", i, last.start.Sub(began[0].end))
		}
		if first[i-1] > patience/2 || late[i-1] > patience/2 { // the machine may stand still during a flip
			t.Errorf("flip %d: first accepted write of the new holder %s, last of the old one begun %s after the lease was written",
				i, first[i-1], late[i-1])
		}
	}
	slices.Sort(late)
	slices.Sort(first)
	if late, first := quantile(late, .5), quantile(first, .5); late >= usual || first >= usual { // but not during most of them
		t.Errorf("half of the time, the last accepted write of the old holder was begun more than %s after the lease was written, "+
			"or the first one of the new holder answered more than %s after it; want less than %s", late, first, usual)
	}
	t.Logf("last accepted write of the old holder, begun after the lease was written: %s", quantiles(late))
	t.Logf("first accepted write of the new holder, answered after the lease was written: %s", quantiles(first))
}

// quantile returns one of sorted times.
func quantile(d []time.Duration, q float64) time.Duration { return d[int(q*float64(len(d)-1))] }

// quantiles prints sorted times.
func quantiles(d []time.Duration) string {
	at := func(q float64) time.Duration { return quantile(d, q).Round(10 * time.Microsecond) }
	return fmt.Sprintf("n=%d min %s p50 %s p90 %s p99 %s max %s", len(d), at(0), at(.5), at(.9), at(.99), at(1))
}

// TestBetween leaves a write out that began before the next change of hands and was answered after
// it: it may have been accepted because its writer had got the lease back.
func TestBetween(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	w := &writer{writes: []write{{at(0), at(2)}, {at(10), at(12)}, {at(12), at(19)}, {at(19), at(23)}, {at(30), at(31)}}}
	if diff := cmp.Diff([]write{{at(10), at(12)}, {at(12), at(19)}}, w.between(at(5), at(20)), cmp.AllowUnexported(write{})); diff != "" {
		t.Errorf("writes in the span differ (-want +got):\n%s", diff)
	}
	if got := w.between(at(40), at(50)); len(got) != 0 {
		t.Errorf("writes in a span without any: %v", got)
	}
}
