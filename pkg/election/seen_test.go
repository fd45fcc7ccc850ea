package election

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSeen: what an elector knows of the Lease, also while it is cut off from it.
func TestSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		if seen, looked := b.Seen(); looked {
			t.Errorf("before the first look: %+v", seen)
		}
		a.start()
		a.leads()
		led := time.Now()
		b.start()
		time.Sleep(21 * time.Second)
		for name, e := range map[string]*testElector{"leader": a, "standby": b} {
			seen, looked := e.Seen()
			if !looked || seen.Holder != "a" || seen.Expired || time.Since(seen.Renewed) > DefaultRetryPeriod+moment || led.Sub(seen.Since).Abs() > moment {
				t.Errorf("%s: %+v, looked %t, at %s, led since %s", name, seen, looked, time.Now(), led)
			}
		}

		// A standby that is cut off has seen a leader, and cannot know whether there still is one.
		b.link.cut()
		time.Sleep(10 * time.Second)
		cut, _ := b.Seen()
		if cut.Holder != "a" || cut.Expired {
			t.Errorf("10 s after the cut: %+v", cut)
		}
		time.Sleep(20 * time.Second)
		if seen, _ := b.Seen(); seen.Holder != "a" || !seen.Expired || !seen.Renewed.Equal(cut.Renewed) {
			t.Errorf("30 s after the cut: %+v, and before %+v", seen, cut)
		}
		b.link.mend()
		time.Sleep(DefaultRetryPeriod * 2)
		if seen, _ := b.Seen(); seen.Holder != "a" || seen.Expired {
			t.Errorf("mended: %+v", seen)
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}

		// One that has lost the lease knows when it has renewed it last.
		before, _ := a.Seen()
		a.link.cut()
		a.wantLost(ReasonDeadline)
		a.start()
		time.Sleep(10 * time.Second)
		lost, _ := a.Seen()
		if lost.Holder != "a" || !lost.Expired || a.Leading() || lost.Renewed.Sub(before.Renewed).Abs() > DefaultRetryPeriod {
			t.Errorf("lost: %+v, and before %+v", lost, before)
		}
		a.link.mend()
		a.leads()
		if err := a.stop(); err != nil {
			t.Error(err)
		}
		if seen, looked := a.Seen(); !looked || seen != (Seen{}) {
			t.Errorf("released: %+v, looked %t", seen, looked)
		}
	})
}
