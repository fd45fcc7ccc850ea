package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

func key(i int) kube.Key { return kube.Key{Namespace: "ns", Name: fmt.Sprintf("object-%d", i)} }

func TestFailuresDescribe(t *testing.T) {
	f := newFailures()
	check := func(want string, wantFailing, wantExhausted int) {
		t.Helper()
		if got := f.describe(); got != want {
			t.Errorf("description is %q, want %q", got, want)
		}
		if failing, exhausted := f.counts(); failing != wantFailing || exhausted != wantExhausted {
			t.Errorf("counts are %d and %d, want %d and %d", failing, exhausted, wantFailing, wantExhausted)
		}
	}
	check("", 0, 0)
	f.add(key(1), failure{attempts: 1, message: "once"})
	check("", 1, 0)
	f.add(key(1), failure{attempts: 3, message: "three\n times"})
	check("calls keep failing for 1 object(s); ns/object-1: three times", 1, 0)
	f.add(key(2), failure{attempts: 1, exhausted: true, message: "no more"})
	check("calls keep failing for 2 object(s), 1 of them not retried until they change; ns/object-2: no more", 2, 1)
	f.add(key(3), failure{attempts: 1, terminal: true, message: "hopeless"})
	check("calls keep failing for 3 object(s), 2 of them not retried until they change; ns/object-3: hopeless", 3, 1)
	f.add(key(4), failure{attempts: 7, putOff: true, message: "later"})
	check("calls keep failing for 3 object(s), 2 of them not retried until they change; ns/object-3: hopeless", 4, 1)
	f.forget(key(4))
	f.forget(key(3))
	f.forget(key(2))
	check("calls keep failing for 1 object(s); ns/object-1: three times", 1, 0)
	if f.forget(key(2)) {
		t.Error("an object that is not there was forgotten")
	}
	f.clear()
	check("", 0, 0)
}

// TestFailuresKeepTheirExample names the same object again when the latest one fails no longer: a
// text that changes by itself looks like news.
func TestFailuresKeepTheirExample(t *testing.T) {
	f := newFailures()
	for i := range 20 {
		f.add(key(i), failure{attempts: persistent, message: "the same"})
	}
	f.forget(key(19))
	first := f.describe()
	for range 20 {
		if got := f.describe(); got != first {
			t.Fatalf("first it says %q, then %q", first, got)
		}
	}
}

func TestCausesOfFailures(t *testing.T) {
	f := newFailures()
	check := func(want ...telemetry.Cause) {
		t.Helper()
		if diff := cmp.Diff(want, f.causes()); diff != "" {
			t.Errorf("causes (-want +have):\n%s", diff)
		}
	}
	f.add(key(1), failure{attempts: 2, refused: true})
	f.add(key(2), failure{attempts: 9, outage: true})
	f.add(key(3), failure{attempts: 9, putOff: true})
	check() // None of them is in trouble.
	f.add(key(1), failure{attempts: 3, refused: true})
	check(telemetry.CauseRefused)
	f.add(key(2), failure{attempts: 3, exhausted: true, refused: true})
	f.add(key(3), failure{attempts: 3, forbidden: true})
	f.add(key(4), failure{attempts: 1, terminal: true})
	check(telemetry.CauseRights, telemetry.CauseFailing, telemetry.CauseOutOfRetries, telemetry.CauseRefused)
	f.add(key(1), failure{attempts: 4}) // another reason than before
	f.worked(key(2), true)
	f.forget(key(3))
	check(telemetry.CauseFailing)
	f.worked(key(1), true)
	f.retain(func(kube.Key) bool { return false })
	check()
	f.add(key(1), failure{attempts: 3})
	f.clear()
	check()
}

// TestPassingFailures counts failed calls when they turn out to have been passing ones: when the
// object works, or is gone.
func TestPassingFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		last failure
		took time.Duration // since the first failure
		want int
	}{
		"retried":              {failure{attempts: 2}, time.Second, 2},
		"in trouble":           {failure{attempts: 5}, lasting - 1, 5},
		"for long":             {failure{attempts: 100}, lasting, 0},
		"terminal":             {failure{attempts: 1, terminal: true}, time.Minute, 1},
		"terminal for long":    {failure{attempts: 1, terminal: true}, lasting, 0},
		"given up":             {failure{attempts: 4, exhausted: true}, time.Second, 0},
		"refused":              {failure{attempts: 6, refused: true, stays: true}, time.Minute, 0},
		"refused for long":     {failure{attempts: 144, refused: true, stays: true}, 24 * time.Hour, 0},
		"refused in passing":   {failure{attempts: 2, refused: true}, time.Second, 2},
		"a parent's labels":    {failure{attempts: 3, stays: true}, time.Second, 0},
		"put off":              {failure{attempts: 3, putOff: true, stays: true}, time.Second, 2},
		"put off for long":     {failure{attempts: 3, putOff: true, stays: true}, time.Hour, 0},
		"in an outage":         {failure{attempts: 3, outage: true}, time.Second, 0},
		"at the first attempt": {failure{attempts: 1}, 0, 1},
	} {
		for _, works := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				f, passed := newFailures(), 0
				f.passed = func(calls int) { passed += calls }
				f.add(key(1), failure{attempts: 1})
				time.Sleep(tc.took)
				f.add(key(1), tc.last)
				if works {
					f.worked(key(1), true)
				} else {
					f.forget(key(1))
				}
				f.worked(key(1), true)
				f.forget(key(2))
				if passed != tc.want {
					t.Errorf("%s, works %t: %d failures were passing ones, want %d", name, works, passed, tc.want)
				}
			})
		}
	}
}

func TestFailuresKeepMessagesShort(t *testing.T) {
	f := newFailures()
	f.add(key(1), failure{terminal: true, message: strings.Repeat("ä", 1000)})
	if got := f.describe(); len(got) > 400 || !strings.HasSuffix(got, "ä…") {
		t.Errorf("description has %d bytes and ends in %q", len(got), got[len(got)-6:])
	}
}

// TestOldestFailures has objects that fail again, and one that is mended.
func TestOldestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailures()
		for _, i := range []int{3, 1, 2, 4, 3, 2} {
			f.add(key(i), failure{attempts: 1, message: "m"})
			time.Sleep(time.Second)
		}
		f.forget(key(1))
		for _, tc := range []struct {
			most   int
			within time.Duration // of the first one
			want   []int
			looked int
		}{
			{10, time.Hour, []int{3, 2, 4}, 3},
			{2, time.Hour, []int{3, 2}, 2}, // The others are not looked at.
			{10, 2 * time.Second, []int{3, 2}, 3},
			{0, time.Hour, nil, 0},
		} {
			looked, first := 0, time.Now().Add(-6*time.Second)
			var got []int
			for _, object := range f.oldest(tc.most, func(_ bool, since time.Time) bool {
				looked++
				return since.Sub(first) <= tc.within
			}) {
				for i := range 5 {
					if object.key == key(i) {
						got = append(got, i)
					}
				}
			}
			if !slices.Equal(got, tc.want) || looked != tc.looked {
				t.Errorf("the first %d are %v after a look at %d, want %v and %d", tc.most, got, looked, tc.want, tc.looked)
			}
		}
		f.retain(func(k kube.Key) bool { return k == key(2) })
		if got := f.oldest(10, func(bool, time.Time) bool { return true }); len(got) != 1 || got[0].key != key(2) {
			t.Errorf("one is left: %v", got)
		}
		f.clear()
		if got := f.oldest(10, func(bool, time.Time) bool { return true }); len(got) != 0 {
			t.Errorf("none are left: %v", got)
		}
	})
}

// TestGivenUpFailuresComeFirst, in the order in which they were given up.
func TestGivenUpFailuresComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailures()
		add := func(i int, entry failure) {
			f.add(key(i), entry)
			time.Sleep(time.Second)
		}
		began := time.Now()
		for i := range 4 {
			add(i, failure{attempts: 1})
		}
		add(2, failure{attempts: 2, exhausted: true})
		add(1, failure{attempts: 1, terminal: true})
		add(2, failure{attempts: 3, exhausted: true}) // after a resync
		check := func(what string, most int, want ...int) {
			t.Helper()
			var got []int
			for _, object := range f.oldest(most, func(bool, time.Time) bool { return true }) {
				for i := range 4 {
					if object.key == key(i) {
						got = append(got, i)
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: the first %d are %v, want %v", what, most, got, want)
			}
		}
		check("two are given up", 10, 2, 1, 0, 3)
		check("two are given up", 1, 2)
		check("two are given up", 3, 2, 1, 0)
		if stopped := f.objects[key(2)].failure.stopped; !stopped.Equal(began.Add(4*time.Second)) || f.given() != 2 {
			t.Errorf("%d are given up, the first %s after the beginning", f.given(), stopped.Sub(began))
		}
		add(2, failure{attempts: 1})
		check("one is tried again", 10, 1, 0, 2, 3)
		f.worked(key(1), false)
		check("one works", 10, 0, 2, 3)
		if f.given() != 0 {
			t.Errorf("%d are given up", f.given())
		}
	})
}

// BenchmarkFailures shows that the cost does not depend on how many objects fail.
func BenchmarkFailures(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFailures()
			for i := range n {
				f.add(key(i), failure{attempts: 5, message: "m"})
			}
			for b.Loop() {
				f.add(key(1), failure{attempts: 6, message: "m"})
				f.counts()
				f.describe()
				f.oldest(8, func(bool, time.Time) bool { return true })
			}
		})
	}
}
