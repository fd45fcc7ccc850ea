package election

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Law 8: a standby takes a released lease at once, an expired one at the moment of expiry, and
// polls only without a watch.

func TestStandbyTakesAnExpiredLease(t *testing.T) {
	for name, setUp := range map[string]struct {
		prepare func(*testElector)
		late    time.Duration
	}{
		"watched":     {func(*testElector) {}, moment},
		"not watched": {func(c *testElector) { c.link.noWatch = errors.New("no watch") }, DefaultRetryPeriod * 6 / 5},
		"deaf watch":  {func(c *testElector) { c.link.deaf = true }, 8 * time.Second}, // noticed after half of the lease duration
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
				a.start()
				a.leads()
				setUp.prepare(b)
				b.start()
				time.Sleep(21 * time.Second)
				a.link.cut()
				history := s.history()
				last := history[len(history)-1].at
				b.leads()
				if got := time.Since(last); got < 15*time.Second || got > 15*time.Second+setUp.late {
					t.Errorf("led %s after the last renewal, want 15s and at most %s more", got, setUp.late)
				}
				a.wantLost(ReasonDeadline)
				if err := b.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestStandbyTakesAReleasedLease(t *testing.T) {
	for name, setUp := range map[string]struct {
		prepare func(*testElector)
		late    time.Duration
	}{
		"watched":     {func(*testElector) {}, moment},
		"not watched": {func(c *testElector) { c.link.noWatch = errors.New("no watch") }, DefaultRetryPeriod * 6 / 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
				a.start()
				a.leads()
				setUp.prepare(b)
				b.start()
				time.Sleep(21 * time.Second)
				if err := a.stop(); err != nil {
					t.Error(err)
				}
				released := time.Now()
				b.leads()
				if got := time.Since(released); got > setUp.late {
					t.Errorf("led %s after the release, want at most %s", got, setUp.late)
				}
				if err := b.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestIdleStandbyPollsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		time.Sleep(time.Second)
		before := b.link.count("get")
		time.Sleep(time.Hour)
		if got := b.link.count("get") - before; got != 0 {
			t.Errorf("%d reads in an idle hour", got)
		}
		if got := b.link.count("watch"); got != 1 {
			t.Errorf("%d watches in an idle hour", got)
		}
		if got := b.link.count("update") + b.link.count("create"); got != 0 {
			t.Errorf("%d attempts to write in an idle hour", got)
		}
		b.link.endWatches() // as the server does every few minutes
		time.Sleep(time.Minute)
		if got := b.link.count("get") - before; got > 2 {
			t.Errorf("%d reads after the watch was renewed once", got)
		}
		for _, c := range []*testElector{b, a} {
			if err := c.stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDeletedLeaseIsNotTakenFromALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		time.Sleep(5 * time.Second)
		a.link.cut() // it does not hear of the deletion and leads on for up to 10 s
		b.link.mu.Lock()
		b.link.deaf = true // it has not heard of the renewals either
		b.link.mu.Unlock()
		time.Sleep(time.Second)
		b.link.mend()
		deleted := time.Now()
		s.delete()
		b.leads()
		if a.Leading() {
			t.Error("two leaders")
		}
		if got := time.Since(deleted); got < 15*time.Second || got > 15*time.Second+2*DefaultRetryPeriod {
			t.Errorf("led %s after the deletion, want 15s", got)
		}
		a.wantLost(ReasonDeadline)
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Laws 9 and 11: work starts with the term and not before; a replica that never led never starts
// any.

func TestStandbyThatIsStoppedNeverLeads(t *testing.T) {
	tests := map[string]func(*server, *testElector){
		"the lease is held":            func(*server, *testElector) {},
		"an attempt is on its way":     func(s *server, b *testElector) { b.link.setFault(only("update", fault{before: time.Second})) },
		"its answer is on its way":     func(s *server, b *testElector) { b.link.setFault(only("update", fault{after: time.Second})) },
		"the answer will never come":   func(s *server, b *testElector) { b.link.setFault(only("update", fault{mute: true})) },
		"the server cannot be reached": func(s *server, b *testElector) { b.link.cut() },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				s.put(spec("x", 15, time.Now()))
				b := newTestElector(t, s, "b")
				b.start()
				time.Sleep(time.Second)
				prepare(s, b)
				if name != "the lease is held" {
					s.edit(release)
				}
				time.Sleep(100 * time.Millisecond)
				stopped := time.Now()
				if err := b.stop(); err != nil {
					t.Errorf("Run returned %v", err)
				}
				if got := time.Since(stopped); got > 2*DefaultRetryPeriod {
					t.Errorf("stopping took %s", got)
				}
				time.Sleep(5 * time.Second)
				if len(b.terms) != 0 || b.seen.elected != 0 || len(b.seen.states) != 0 {
					t.Errorf("it led: %d calls, states %v", len(b.terms), b.seen.states)
				}
				if got := s.record().holder; got == "b" && name != "the answer will never come" {
					t.Error("it left a lease behind that others have to wait for")
				}
			})
		})
	}
}

func TestCanceledBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestElector(t, newServer(), "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a.startWith(ctx, cancel, func(context.Context) error { return errors.New("it led") })
		if err := <-a.result; err != nil {
			t.Error(err)
		}
	})
}

// Law 10: a process restarted in place is recognised by its identity and leads at once.

func TestRestartInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		old := spec("pod_uid", 15, time.Now())
		n := int32(4)
		old.LeaseTransitions = &n
		s.put(old)
		a := newTestElector(t, s, "pod_uid")
		start := time.Now()
		a.start()
		a.leads()
		if got := time.Since(start); got > moment {
			t.Errorf("led after %s", got)
		}
		if rec := s.record(); rec.transitions != 4 || rec.acquired != start.UnixMicro() {
			t.Errorf("the lease says %+v; the holder has not changed, but its term is new", rec)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTwinIsNotMistakenForARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "same")
		a.start()
		term := a.leads()
		time.Sleep(5 * time.Second)
		b := newTestElector(t, s, "same")
		b.start() // indistinguishable from a restart of a: it takes the lease
		b.leads()
		<-term.Done()
		a.wantLost(ReasonShared)
		a.start() // but a knows that another elector is alive, and does not take it back
		time.Sleep(5 * time.Minute)
		if a.Leading() || !b.Leading() {
			t.Error("the twins fight")
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		a.leads()
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSameProcessCompetesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		a.start()
		a.leads()
		a.link.cut()
		a.wantLost(ReasonDeadline)
		a.start()
		time.Sleep(time.Second) // no other has led: its own lease is as good as a restart's
		a.link.mend()
		start := time.Now()
		a.leads()
		if got := time.Since(start); got > DefaultRetryPeriod*6/5 {
			t.Errorf("led %s after the network was back", got)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A leader that was cut off remembers its own lease. When that is gone, it was perhaps another's in
// between.

func TestOwnLeaseThatVanishedIsNotTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		synctest.Wait()
		a.link.cut()
		a.wantLost(ReasonDeadline)
		a.start()
		b.leads()
		time.Sleep(5 * time.Second)
		b.link.cut() // it leads on for a while and does not hear of the deletion
		s.delete()
		deleted := time.Now()
		a.link.mend()
		a.leads()
		if b.Leading() {
			t.Error("two leaders")
		}
		if got := time.Since(deleted); got < 15*time.Second {
			t.Errorf("led %s after the deletion", got)
		}
		b.wantLost(ReasonDeadline)
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Two deletions in a row, the second of a lease that a frozen standby has never seen: no record
// that it knows of protects the leader.

func TestDeletedTwiceWhileFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		synctest.Wait()
		b.clock.freeze()
		s.delete()
		a.wantLost(ReasonDeleted)
		c := newTestElector(t, s, "c") // it has not seen the first lease
		c.start()
		c.leads()
		time.Sleep(time.Second)
		c.link.cut()
		s.delete()
		b.clock.thaw()
		deleted := time.Now()
		b.leads()
		if c.Leading() {
			t.Error("two leaders")
		}
		if got := time.Since(deleted); got < 15*time.Second || got > 15*time.Second+moment {
			t.Errorf("led %s after the deletion", got)
		}
		c.wantLost(ReasonDeadline)
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		synctest.Wait()
		a.link.mu.Lock()
		a.link.deaf = true
		a.link.mu.Unlock()
		s.delete()
		time.Sleep(moment)
		if rec := s.record(); rec.holder != "b_vacant" || rec.seconds != 15 {
			t.Errorf("in place of the deleted lease there is %+v", rec)
		}
		a.wantLost(ReasonTaken)            // it cannot renew what is another lease now
		again := newTestElector(t, s, "b") // a restart in place does not take it for its own
		again.start()
		time.Sleep(5 * time.Second)
		if again.Leading() || b.Leading() {
			t.Error("an elector leads before the old term must have ended")
		}
		time.Sleep(11 * time.Second)
		if again.Leading() == b.Leading() {
			t.Errorf("leading: %v and %v", again.Leading(), b.Leading())
		}
		for _, c := range []*testElector{again, b} {
			if err := c.stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAbsenceOnTheFirstLook(t *testing.T) {
	const gap = 6 * time.Second
	seen := func(v *observedLease, rv string) { v.observe(lease(rv), "me", 0, false) }
	tests := map[string]struct {
		see  func(v *observedLease)
		at   time.Duration
		want bool
	}{
		"never looked":               {func(*observedLease) {}, 0, false},
		"never seen":                 {func(v *observedLease) { v.observeAbsence("", 0, gap) }, time.Second, true},
		"never seen, but long ago":   {func(v *observedLease) { v.observeAbsence("", 0, gap) }, 7 * time.Second, false},
		"never seen, with a gap":     {func(v *observedLease) { v.observeAbsence("", 0, gap); v.observeAbsence("", 7*time.Second, gap) }, 8 * time.Second, false},
		"never seen, confirmed":      {func(v *observedLease) { v.observeAbsence("", 0, gap); v.observeAbsence("", 5*time.Second, gap) }, 8 * time.Second, true},
		"seen":                       {func(v *observedLease) { seen(v, "5") }, 0, false},
		"seen and deleted":           {func(v *observedLease) { seen(v, "5"); v.observeAbsence("6", 1, gap) }, 1, false},
		"seen and missing":           {func(v *observedLease) { seen(v, "5"); v.observeAbsence("", 1, gap); v.observeAbsence("", 2, gap) }, 2, false},
		"missing, seen, and missing": {func(v *observedLease) { v.observeAbsence("", 0, gap); seen(v, "5"); v.observeAbsence("", 2, gap) }, 2, false},
		"deletion on the first look": {func(v *observedLease) { v.observeAbsence("6", 0, gap); seen(v, "5") }, 1, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var v observedLease
			tt.see(&v)
			if got := v.neverSeen(tt.at, gap); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
