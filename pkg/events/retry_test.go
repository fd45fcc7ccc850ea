package events

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	clientevents "k8s.io/client-go/tools/events"
)

// podIn is a pod in another namespace.
func podIn(namespace, name string) *corev1.Pod {
	p := pod(name)
	p.Namespace = namespace
	return p
}

func say(r clientevents.EventRecorder, about *corev1.Pod, reason string) {
	r.Eventf(about, nil, corev1.EventTypeNormal, reason, "Test", "x")
}

// TestNothingWaitsForAnother has a namespace in which nothing can be written for a while, and
// records events in it and in others.
func TestNothingWaitsForAnother(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s := newStore()
		s.closed = "closed"
		r := w.ChangeRecorder("d", s.client(t), nil)
		for i := range 5 {
			r.Eventf(podIn("closed", fmt.Sprint("a-", i)), nil, corev1.EventTypeWarning, "Failed", "Test", "x")
			say(r, podIn("closed", fmt.Sprint("b-", i)), "Said")
		}
		for i := range 100 {
			before := len(s.stored())
			warn(r, "a", "Failed", fmt.Sprint(i))
			say(r, pod(fmt.Sprint("b-", i)), "Said")
			synctest.Wait() // No time passes.
			if n := len(s.stored()) - before; n != 2 {
				t.Fatalf("%d of 2 events are written at once, after %d seconds", n, i)
			}
			time.Sleep(time.Second)
		}
		if n := len(s.all()); n > 200+10*10 {
			t.Errorf("%d requests", n)
		}
		s.mu.Lock()
		s.closed = ""
		done := len(s.requests)
		s.mu.Unlock()
		time.Sleep(lastDelay)
		if n := len(s.stored()); n != 210 {
			t.Errorf("%d events are there at the end", n)
		}
		if n := len(s.all()) - done; n != 10 {
			t.Errorf("%d requests for the last 10", n)
		}
	})
}

// TestWarningsFirst records normal events in an outage, and then a warning.
func TestWarningsFirst(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s, out := newStore(), true
		s.fail = func(int) error {
			if out {
				return errNoConnection
			}
			return nil
		}
		r := w.ChangeRecorder("d", s.client(t), nil)
		for i := range 2 * maxQueued {
			say(r, pod(fmt.Sprint("b-", i)), "Said")
		}
		time.Sleep(lifetime / 2)
		warn(r, "a", "Failed", "x")
		synctest.Wait()
		s.mu.Lock()
		out, s.requests = false, nil
		s.mu.Unlock()
		time.Sleep(lastDelay)
		if n := len(s.stored()); n < maxQueued || n > maxQueued+2 {
			t.Errorf("%d events are written", n)
		}
		all := s.all()
		if at := slices.Index(all, "POST Failed"); at < 0 || at > len(all)/2 {
			t.Errorf("the warning is the request %d of %d", at, len(all))
		}
	})
}

// TestGivenUpIsNotSuppressed gives an event up, and records it again.
func TestGivenUpIsNotSuppressed(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s := newStore()
		s.closed = "ns"
		r := w.Recorder("d", s.client(t), nil)
		warn(r, "a", "Failed", "x")
		time.Sleep(lifetime + time.Minute)
		n := len(s.all())
		s.mu.Lock()
		s.closed = ""
		s.mu.Unlock()
		time.Sleep(time.Minute)
		if len(s.all()) != n || len(s.stored()) != 0 {
			t.Fatalf("after it is given up, there are the requests %q", s.all()[n:])
		}
		warn(r, "a", "Failed", "x")
		synctest.Wait()
		if len(s.stored()) != 1 {
			t.Error("it is not written when it is recorded again")
		}
		for _, event := range s.stored() {
			if event.Series != nil {
				t.Errorf("it is counted: %+v", event.Series)
			}
		}
	})
}

// TestGivenUpCount gives up the count of an event that was written.
func TestGivenUpCount(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s := newStore()
		r := w.ChangeRecorder("d", s.client(t), nil)
		warn(r, "a", "Failed", "x")
		synctest.Wait()
		s.mu.Lock()
		s.closed = "ns"
		s.mu.Unlock()
		warn(r, "a", "Failed", "x")
		time.Sleep(lifetime + time.Minute)
		s.mu.Lock()
		s.closed = ""
		s.mu.Unlock()
		warn(r, "a", "Failed", "x")
		synctest.Wait()
		for _, event := range s.stored() {
			if event.Series == nil || event.Series.Count != 3 {
				t.Errorf("the series is %+v", event.Series)
			}
		}
	})
}
