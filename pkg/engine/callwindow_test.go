package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/statusz"
)

func TestCallWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCallWindow()
		want := func(what string, want statusz.Calls, wantThrottled int) {
			t.Helper()
			got, throttled := w.read()
			if diff := cmp.Diff(want, got); diff != "" || throttled != wantThrottled {
				t.Errorf("%s: %d throttled, want %d; calls (-want +got):\n%s", what, throttled, wantThrottled, diff)
			}
		}
		want("nothing", statusz.Calls{}, 0)
		for range 98 {
			w.add(3*time.Millisecond, false, 0)
		}
		w.add(2*time.Second, true, 3)
		w.add(time.Hour, true, 0)
		time.Sleep(10 * time.Second)
		want("at once", statusz.Calls{Window: 10, Total: 100, Failed: 2, P50: 0.00375, P99: 1.75}, 3)
		time.Sleep(4 * time.Minute)
		w.add(time.Hour, false, 1)
		want("some later", statusz.Calls{Window: 250, Total: 101, Failed: 2, P50: 0.00375, P99: 300}, 4)
		time.Sleep(49 * time.Second)
		want("before the end", statusz.Calls{Window: 299, Total: 101, Failed: 2, P50: 0.00375, P99: 300}, 4)
		time.Sleep(time.Second)
		want("the first ones are gone", statusz.Calls{Window: 270, Total: 1, P50: 300, P99: 300}, 1)
		time.Sleep(time.Hour)
		want("long after", statusz.Calls{Window: 270}, 0)
		w.add(0, false, 0)
		want("again", statusz.Calls{Window: 270, Total: 1, P50: 0.00005, P99: 0.00005}, 0)
	})
}
