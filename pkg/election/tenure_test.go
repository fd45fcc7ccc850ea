package election

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestRenewalEndsAProlongation: what an edit has written into the Lease counts while it stands
// there, and no longer.
func TestRenewalEndsAProlongation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		time.Sleep(time.Second)
		s.edit(seconds(3600))
		time.Sleep(5 * time.Second)
		a.link.cut()
		cut := time.Now()
		b.leads()
		if took := time.Since(cut); took > 15*time.Second {
			t.Errorf("led %s after the leader was cut off", took)
		}
		a.wantLost(ReasonDeadline)
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestProlongedOnTheFirstLook: a process that is started while a prolongation stands in the Lease
// is not misled for long.
func TestProlongedOnTheFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		time.Sleep(time.Second)
		s.edit(seconds(3600))
		b.start()
		time.Sleep(5 * time.Second) // two renewals
		a.link.cut()
		cut := time.Now()
		b.leads()
		if took := time.Since(cut); took > 15*time.Second {
			t.Errorf("led %s after the leader was cut off", took)
		}
		a.wantLost(ReasonDeadline)
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestWatchComesBackSoon: after an outage the watch is missing for about as long as the next
// renewal, however long it lasted.
func TestWatchComesBackSoon(t *testing.T) {
	refused := errors.New("connection refused")
	for name, f := range map[string]fault{"refused": {err: refused}, "silent": {lost: true}} {
		for _, outage := range []time.Duration{time.Second, 7 * time.Second, time.Hour} {
			t.Run(fmt.Sprint(name, " for ", outage), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer()
					a := newTestElector(t, s, "a", func(o *Options) { o.RenewDeadline = 12 * time.Second })
					if outage > 10*time.Second { // which no term survives
						s.put(spec("x", 1<<31-1, time.Now()))
					}
					a.start()
					time.Sleep(time.Minute)
					before := a.Unwatched()
					a.link.setFault(always(f))
					a.link.endWatches()
					time.Sleep(outage)
					a.link.setFault(nil)
					time.Sleep(a.opts.RetryPeriod + a.opts.requestTimeout())
					got := a.Unwatched() - before
					time.Sleep(time.Minute)
					if later := a.Unwatched() - before; later != got || got < outage {
						t.Errorf("no watch for %s, and then for %s, after an outage of %s", got, later, outage)
					}
					if leads := outage < 10*time.Second; a.Leading() != leads {
						t.Errorf("leading=%v", a.Leading())
					}
					if err := a.stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestOwnRecordWrittenBack: a former leader finds its old record in the Lease of another.
func TestOwnRecordWrittenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		synctest.Wait()
		backup := s.record()
		a.link.cut()
		a.wantLost(ReasonDeadline)
		a.start()
		b.leads()
		b.link.cut()
		s.edit(backup.writeTo)
		a.link.mend()
		a.leads()
		if b.Leading() {
			t.Error("two leaders")
		}
		b.wantLost(ReasonDeadline)
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}
