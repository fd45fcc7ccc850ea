package engine

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestCallsThatIgnoreTheDeadline has a call that may take an hour, and one that begins later and
// may not: each is found when its own time is over.
func TestCallsThatIgnoreTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes atomic.Int32
		calls := newCallTracker(func() { changes.Add(1) })
		defer calls.stop()
		want := func(when string, found int32, of string) {
			t.Helper()
			synctest.Wait()
			if got := calls.describe(); changes.Load() != found || !strings.Contains(got, of) || (of == "") != (got == "") {
				t.Errorf("%s, it has changed %d times, and says %q; want %d times, and %q", when, changes.Load(), got, found, of)
			}
		}
		long := calls.begin("exec", handleFunction, key(1), time.Now(), time.Hour)
		time.Sleep(time.Minute)
		short := calls.begin("exec", handleFunction, key(2), time.Now(), 5*time.Second)
		time.Sleep(5*time.Second + overdueGrace - time.Nanosecond)
		want("before the end of the short one", 0, "")
		time.Sleep(time.Nanosecond)
		want("at the end of the short one", 1, "1 call(s) ignore the deadline; ns/object-2 ")
		calls.end(short)
		want("when it has returned", 2, "")
		short = calls.begin("exec", handleFunction, key(3), time.Now(), 5*time.Second)
		calls.end(short)
		time.Sleep(time.Hour)
		want("at the end of the long one", 3, "1 call(s) ignore the deadline; ns/object-1 ")
		calls.end(long)
		want("at the end", 4, "")
	})
}

// TestCallsThatIgnoreTheDeadlineHaveOneExample names the one that began first, whenever it is
// asked.
func TestCallsThatIgnoreTheDeadlineHaveOneExample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := newCallTracker(func() {})
		defer calls.stop()
		for i := range 10 {
			calls.begin("exec", handleFunction, key(i), time.Now(), time.Minute)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for range 20 {
			if got := calls.describe(); !strings.HasPrefix(got, "10 call(s) ignore the deadline; ns/object-0 ") {
				t.Fatalf("it says %q", got)
			}
		}
	})
}
