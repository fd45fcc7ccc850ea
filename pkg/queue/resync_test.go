package queue

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// dueCall is one call of Resyncer.Due, at a time that counts from the start of the test.
type dueCall struct {
	key string
	at  time.Duration
}

func names(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("shop/web-%d", i)
	}
	return keys
}

func hashName(key string) uint64 { return Hash(key) }

// resync runs a Resyncer for a time and returns its calls. Each call goes through due, if there is
// one, and the keys are those of list at the time.
func resync(t *testing.T, period, runFor time.Duration, list func() []string, due func(string)) []dueCall {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runFor)
	defer cancel()
	start := time.Now()
	var calls []dueCall
	Resyncer[string]{
		Period: period,
		Keys:   func() iter.Seq[string] { return slices.Values(list()) },
		Hash:   hashName,
		Due: func(key string) {
			calls = append(calls, dueCall{key, time.Since(start)})
			if due != nil {
				due(key)
			}
		},
	}.Run(ctx)
	return calls
}

// times returns when each key was called.
func times(calls []dueCall) map[string][]time.Duration {
	at := make(map[string][]time.Duration)
	for _, c := range calls {
		at[c.key] = append(at[c.key], c.at)
	}
	return at
}

func TestResyncOncePerPeriod(t *testing.T) {
	const keys, periods = 2000, 5
	tests := map[string]struct {
		period time.Duration
		start  time.Duration
	}{
		"ten hours":                    {period: 10 * time.Hour},
		"three minutes":                {period: 3 * time.Minute},
		"starting within a period":     {period: 3 * time.Minute, start: 100 * s},
		"starting just before its end": {period: 3 * time.Minute, start: 3*time.Minute - 1},
		"a second":                     {period: s, start: 123456789},
		"no multiple of its windows":   {period: 1_700_000_003, start: 1_699_999_999},
		"one tick":                     {period: resyncTick},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(test.start)
				list := names(keys)
				// The last calls of a period are up to a tick late, and a wait begun then adds a
				// tick at most.
				runFor := periods*test.period + 2*resyncTick
				calls := resync(t, test.period, runFor, func() []string { return list }, nil)
				at := times(calls)
				for _, key := range list {
					if n := len(at[key]); n < periods || n > int(runFor/test.period)+1 {
						t.Fatalf("%s was called %d times in %v", key, n, runFor)
					}
					for i := 1; i < len(at[key]); i++ {
						if gap := at[key][i] - at[key][i-1]; (gap - test.period).Abs() > 2*resyncTick {
							t.Fatalf("%s was called %v after the call before, want %v", key, gap, test.period)
						}
					}
				}
				checkSpread(t, calls, test.period, keys)
				checkWakeUps(t, calls)
			})
		})
	}
}

// checkSpread checks that each tenth of a period has about a tenth of the keys, if it is long
// enough to tell.
func checkSpread(t *testing.T, calls []dueCall, period time.Duration, keys int) {
	t.Helper()
	if period < 100*resyncTick {
		return
	}
	var tenths [10]int
	for _, c := range calls {
		if c.at < period {
			tenths[c.at*10/period]++
		}
	}
	for i, n := range tenths {
		if want := keys / 10; n < want*3/4 || n > want*5/4 {
			t.Errorf("tenth %d of the period has %d keys, want about %d: %v", i, n, want, tenths)
		}
	}
}

// checkWakeUps checks that calls are made together rather than in more than ten wake-ups per
// second.
func checkWakeUps(t *testing.T, calls []dueCall) {
	t.Helper()
	for i := 1; i < len(calls); i++ {
		if gap := calls[i].at - calls[i-1].at; gap > 0 && gap < resyncTick {
			t.Fatalf("two wake-ups are %v apart, at %v", gap, calls[i].at)
		}
	}
}

func TestResyncKeepsPhaseOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period = time.Hour
		list := names(50)
		first := times(resync(t, period, period, func() []string { return list }, nil))
		time.Sleep(100*period + 17*time.Minute)
		again := times(resync(t, period, period, func() []string { return list }, nil))
		for _, key := range list {
			shift := 17 * time.Minute // the second run starts that much later in its period
			if diff := (again[key][0] + shift - first[key][0]) % period; min(diff.Abs(), period-diff.Abs()) > 2*resyncTick {
				t.Errorf("%s: phase %v, after the restart %v", key, first[key][0], (again[key][0]+shift)%period)
			}
		}
	})
}

func TestResyncFollowsTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period = 16 * time.Minute
		start, all := time.Now(), names(400)
		at := times(resync(t, period, 3*period, func() []string {
			switch elapsed := time.Since(start); {
			case elapsed < period: // windows begin with the minutes
				return all[:200]
			case elapsed < 2*period:
				return all
			}
			return all[200:]
		}, nil))
		for i, key := range all {
			if n := len(at[key]); n != 2 {
				t.Errorf("%s (%d) was called %d times, want 2: %v", key, i, n, at[key])
			}
		}
	})
}

func TestResyncWhenDueIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period, keys = 10 * s, 20
		list := names(keys)
		stall := false
		calls := resync(t, period, 205*s, func() []string { return list }, func(string) {
			if !stall {
				stall = true
				time.Sleep(100 * s)
			}
		})
		// Of the stalled run of ten periods one is made up for, besides the rest of the one that it
		// began in.
		at := times(calls)
		for _, key := range list {
			if n := len(at[key]); n < 11 || n > 13 {
				t.Errorf("%s was called %d times, want about 12: %v", key, n, at[key])
			}
		}
	})
}

func TestResyncWindowsTileTime(t *testing.T) {
	for _, period := range []time.Duration{1, resyncTick - 1, resyncTick, s, 1_700_000_015, 1 << 62} {
		r := resyncRun[string]{Resyncer: Resyncer[string]{Period: period}}
		end := time.Duration(0)
		for window := range r.windows() {
			base, from, to := r.bounds(window)
			if base+from != end || to <= from {
				t.Errorf("period %d: window %d is [%d, %d), the one before ends at %d", period, window, base+from, base+to, end)
			}
			end = base + to
			if first, last := r.windowAt(base+from), r.windowAt(end-1); first != window || last != window {
				t.Errorf("period %d: the ends of window %d are in %d and %d", period, window, first, last)
			}
		}
		if end != period {
			t.Errorf("period %d: its windows end at %d", period, end)
		}
	}
}

func TestResyncEnds(t *testing.T) {
	for period, want := range map[time.Duration]time.Duration{0: 0, -s: 0, s: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			if calls := resync(t, period, time.Minute, func() []string { return nil }, nil); len(calls) != 0 {
				t.Errorf("period %v: calls = %v", period, calls)
			}
			if took := time.Since(start); took != want {
				t.Errorf("period %v: Run returned after %v, want %v", period, took, want)
			}
		})
	}
}

// TestResyncEndsDuringAWakeUp ends the context in the first call of several that are due together.
func TestResyncEndsDuringAWakeUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := 0
	Resyncer[string]{
		Period: resyncTick,
		Keys:   func() iter.Seq[string] { return slices.Values(names(100)) },
		Hash:   func(string) uint64 { return 0 },
		Due: func(string) {
			calls++
			cancel()
		},
	}.Run(ctx)
	if calls != 1 {
		t.Errorf("%d calls, want the one that ended the context", calls)
	}
}

func TestHash(t *testing.T) {
	for want, parts := range map[uint64][]string{
		0xef46db3751d8e999: nil,
		0x95634172a60b7544: {""},
		0x7de63516613fd244: {"shop", "web-0"},
	} {
		if got := Hash(parts...); got != want {
			t.Errorf("Hash(%q) = %#x, want %#x: phases would move with a new release", parts, got, want)
		}
	}
	if Hash("ab", "c") == Hash("a", "bc") || Hash("a", "b") == Hash("b", "a") || Hash("a") == Hash("a", "") {
		t.Error("the boundaries or the order of the parts do not count")
	}
}

func TestSpread(t *testing.T) {
	for name, test := range map[string]struct {
		hash   uint64
		period time.Duration
		want   time.Duration
	}{
		"lowest":           {0, time.Hour, 0},
		"highest":          {1<<64 - 1, time.Hour, time.Hour - 1},
		"longest period":   {1<<64 - 1, 1<<63 - 1, 1<<63 - 2},
		"no period":        {1 << 63, 0, 0},
		"negative period":  {1 << 63, -s, 0},
		"smallest period":  {1<<64 - 1, 1, 0},
		"quarter of a day": {1 << 62, 24 * time.Hour, 6 * time.Hour},
	} {
		if got := Spread(test.hash, test.period); got != test.want {
			t.Errorf("%s: Spread(%#x, %v) = %v, want %v", name, test.hash, test.period, got, test.want)
		}
	}
}
