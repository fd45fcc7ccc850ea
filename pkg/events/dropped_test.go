package events

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// drops counts what it is told of.
type drops struct {
	mu sync.Mutex
	by map[Drop]int
}

func (d *drops) dropped(why Drop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[Drop]int{}
	}
	d.by[why]++
}

func (d *drops) all() map[Drop]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.by)
}

func TestDropped(t *testing.T) {
	outage := func(int) error { return errNoConnection }
	for name, tc := range map[string]struct {
		fail func(n int) error
		do   func(t *testing.T, w *Writer, s *store, d *drops)
		want map[Drop]int
	}{
		"nothing": {do: func(t *testing.T, w *Writer, s *store, d *drops) {
			r := w.Recorder("d", s.client(t), d.dropped)
			for range 100 {
				warn(r, "a", "Failed", "always the same")
			}
			time.Sleep(time.Minute)
		}},
		"more about an object than it may have": {do: func(t *testing.T, w *Writer, s *store, d *drops) {
			r := w.Recorder("d", s.client(t), d.dropped)
			for i := range 3 * ObjectBurst {
				warn(r, "a", "Failed", fmt.Sprint("x", i))
			}
		}, want: map[Drop]int{DropBudget: 2 * ObjectBurst}},
		"refused": {fail: func(int) error { return errNotLeading }, do: func(t *testing.T, w *Writer, s *store, d *drops) {
			warn(w.ChangeRecorder("d", s.client(t), d.dropped), "a", "Failed", "x")
			time.Sleep(time.Minute)
		}, want: map[Drop]int{DropRefused: 1}},
		"an outage": {fail: outage, do: func(t *testing.T, w *Writer, s *store, d *drops) {
			warn(w.ChangeRecorder("d", s.client(t), d.dropped), "a", "Failed", "x")
			time.Sleep(lifetime / 2)
			if all := d.all(); len(all) != 0 {
				t.Errorf("while it is tried: %v", all)
			}
			time.Sleep(lifetime)
		}, want: map[Drop]int{DropTimeout: 1}},
		"the count of one that is written": {do: func(t *testing.T, w *Writer, s *store, d *drops) {
			r := w.ChangeRecorder("d", s.client(t), d.dropped)
			warn(r, "a", "Failed", "x")
			synctest.Wait()
			s.mu.Lock()
			s.fail = outage
			s.mu.Unlock()
			warn(r, "a", "Failed", "x")
			time.Sleep(2 * lifetime)
		}},
		"the next recorder is told": {do: func(t *testing.T, w *Writer, s *store, d *drops) {
			var before drops
			w.Recorder("d", s.client(t), before.dropped)
			r := w.Recorder("d", s.client(t), d.dropped)
			for i := range ObjectBurst + 1 {
				warn(r, "a", "Failed", fmt.Sprint("x", i))
			}
			if all := before.all(); len(all) != 0 {
				t.Errorf("the one before is told of %v", all)
			}
		}, want: map[Drop]int{DropBudget: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Refused: func(err error) bool { return errors.Is(err, errNotLeading) }}
			inWriter(t, opts, func(t *testing.T, w *Writer) {
				s, d := newStore(), new(drops)
				if tc.fail != nil {
					s.fail = tc.fail
				}
				tc.do(t, w, s, d)
				if diff := cmp.Diff(tc.want, d.all()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestDroppedFromAFullQueue records more in an outage than may wait. One may be on its way.
func TestDroppedFromAFullQueue(t *testing.T) {
	inWriter(t, Options{}, func(t *testing.T, w *Writer) {
		s, d := newStore(), new(drops)
		s.fail = func(int) error { return errNoConnection }
		r := w.ChangeRecorder("d", s.client(t), d.dropped)
		for i := range 2 * maxQueued {
			say(r, pod(fmt.Sprint("b-", i)), "Said")
		}
		if all := d.all(); len(all) != 1 || all[DropQueue] < maxQueued-1 || all[DropQueue] > maxQueued {
			t.Errorf("%v", all)
		}
	})
}
