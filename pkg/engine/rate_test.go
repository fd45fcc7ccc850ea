package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/config"
)

func TestRate(t *testing.T) {
	const ms = time.Millisecond
	tests := map[string]struct {
		rate   config.Rate
		before time.Duration   // how long nothing is asked for
		want   []time.Duration // when each of some calls after that may begin, one right after another
	}{
		"none":                         {config.Rate{}, 0, []time.Duration{0, 0, 0}},
		"evenly":                       {config.Rate{PerSecond: 10, Burst: 1}, 0, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
		"quiet time is not saved up":   {config.Rate{PerSecond: 10, Burst: 1}, time.Hour, []time.Duration{0, 100 * ms, 200 * ms}},
		"burst":                        {config.Rate{PerSecond: 10, Burst: 3}, 0, []time.Duration{0, 0, 0, 100 * ms, 200 * ms}},
		"burst, after a day":           {config.Rate{PerSecond: 10, Burst: 3}, 24 * time.Hour, []time.Duration{0, 0, 0, 100 * ms, 200 * ms}},
		"less than one a second":       {config.Rate{PerSecond: 0.1, Burst: 1}, 0, []time.Duration{0, 10 * time.Second, 20 * time.Second}},
		"never above what was asked":   {config.Rate{PerSecond: 3, Burst: 1}, 0, []time.Duration{0, 333333334, 666666668, 1000000002}},
		"the largest of what can be":   {config.Rate{PerSecond: 1e6, Burst: 1e6}, 0, []time.Duration{0, 0, 0}},
		"the slowest of what can be":   {config.Rate{PerSecond: 0.001, Burst: 1}, 0, []time.Duration{0, 1000 * time.Second}},
		"the slowest, in large bursts": {config.Rate{PerSecond: 0.001, Burst: 1e6}, 0, []time.Duration{0, 0, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRate(test.rate)
				time.Sleep(test.before)
				begin := time.Now()
				var have []time.Duration
				for range test.want {
					if !r.reserve(t.Context()) {
						t.Fatal("reserve returned false")
					}
					r.take()
					have = append(have, time.Since(begin))
				}
				if diff := cmp.Diff(test.want, have); diff != "" {
					t.Errorf("calls begin (-want +have):\n%s", diff)
				}
			})
		})
	}
}

// spend makes so many calls at once, which must be possible.
func spend(t *testing.T, r *rate, calls int) {
	t.Helper()
	for range calls {
		if !r.tryReserve() {
			t.Fatal("there is no token")
		}
		r.take()
	}
}

func TestRateRefillsWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRate(config.Rate{PerSecond: 10, Burst: 4})
		spend(t, r, 4)
		time.Sleep(200 * time.Millisecond)
		spend(t, r, 2)
		if missing, ok := r.try(); ok || missing != 100*time.Millisecond {
			t.Errorf("a token is missing for %s, want 100ms", missing)
		}
	})
}

func TestRateEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRate(config.Rate{PerSecond: 0.01, Burst: 1})
		spend(t, r, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if r.reserve(ctx) || time.Since(begin) != time.Second {
			t.Errorf("reserve ended after %s", time.Since(begin))
		}
		if missing, ok := r.try(); ok || missing != 99*time.Second {
			t.Errorf("after that a token is missing for %s, want 99s: none was taken", missing)
		}
	})
}

// TestReservationsDoNotPileUp reserves all there is, lets a long time pass, and looks at how many
// calls may begin then.
func TestReservationsDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRate(config.Rate{PerSecond: 10, Burst: 2})
		for range 2 {
			if !r.tryReserve() {
				t.Fatal("there is no token")
			}
		}
		time.Sleep(time.Hour)
		if r.tryReserve() {
			t.Fatal("there are more reservations than the bucket has tokens")
		}
		third := make(chan time.Time, 2)
		for range 2 {
			go func() {
				r.reserve(t.Context())
				third <- time.Now()
				r.take()
			}()
		}
		synctest.Wait()
		begin := time.Now()
		r.cancel() // One who waits may have this token at once; the next one comes after both calls.
		r.take()
		if got := (<-third).Sub(begin); got != 0 {
			t.Errorf("the token that was given back is had after %s", got)
		}
		if got := (<-third).Sub(begin); got != 100*time.Millisecond {
			t.Errorf("the token after that is had after %s, want 100ms", got)
		}
	})
}

// TestRateInherits changes a rate of which some tokens are used.
func TestRateInherits(t *testing.T) {
	const ms = time.Millisecond
	of := func(perSecond float64, burst int) config.Rate { return config.Rate{PerSecond: perSecond, Burst: burst} }
	tests := map[string]struct {
		before, after config.Rate
		used          int
		want          []time.Duration // when calls may begin after the change
	}{
		"full":                  {of(1, 4), of(10, 2), 0, []time.Duration{0, 0, 100 * ms, 200 * ms}},
		"half":                  {of(1, 4), of(10, 2), 2, []time.Duration{0, 100 * ms, 200 * ms}},
		"empty":                 {of(1, 4), of(10, 2), 4, []time.Duration{100 * ms, 200 * ms}},
		"empty, to one of many": {of(1000, 1), of(10, 3), 1, []time.Duration{100 * ms, 200 * ms, 300 * ms}},
		"none before":           {config.Rate{}, of(10, 2), 0, []time.Duration{0, 0, 100 * ms}},
		"none after":            {of(1, 1), config.Rate{}, 1, []time.Duration{0, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before, after := newRate(test.before), newRate(test.after)
				spend(t, before, test.used)
				after.inherit(before)
				begin := time.Now()
				var have []time.Duration
				for range test.want {
					after.reserve(t.Context())
					after.take()
					have = append(have, time.Since(begin))
				}
				if diff := cmp.Diff(test.want, have); diff != "" {
					t.Errorf("calls begin (-want +have):\n%s", diff)
				}
			})
		})
	}
}
