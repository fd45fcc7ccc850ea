package election

import (
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// TestReleaseOfAnotherTenure: the Lease is deleted behind a leader, taken by a process that cannot
// know of it, and released.
func TestReleaseOfAnotherTenure(t *testing.T) {
	for who, audience := range audiences {
		if audience.fresh {
			continue
		}
		t.Run(who, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				a, b, c := newTestElector(t, s, "a"), newTestElector(t, s, "b"), newTestElector(t, s, "c")
				a.start()
				a.leads()
				audience.before(b)
				time.Sleep(time.Second)
				a.link.cut()
				b.link.setFault(only("create", fault{lost: true})) // its tombstone comes too late
				s.delete()
				c.start()
				c.leads()
				if err := c.stop(); err != nil {
					t.Error(err)
				}
				b.link.setFault(nil)
				audience.edited(b)
				b.leads()
				if a.Leading() {
					t.Error("two leaders")
				}
				a.wantLost(ReasonDeadline)
				if err := b.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestReleaseSoonAfterTheFirstLook: a standby that has just been started takes a released Lease at
// once.
func TestReleaseSoonAfterTheFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		previous := newTestElector(t, s, "0")
		previous.start()
		previous.leads()
		for _, identity := range []string{"1", "2", "3"} { // a rolling update
			next := newTestElector(t, s, identity)
			next.start()
			synctest.Wait()
			if err := previous.stop(); err != nil {
				t.Error(err)
			}
			released := time.Now()
			next.leads()
			if took := time.Since(released); took > moment {
				t.Errorf("%s led %s after the release", identity, took)
			}
			previous = next
		}
		if err := previous.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestGenuineReleases are releases as candidates write them, which no candidate has to wait for.
func TestGenuineReleases(t *testing.T) {
	tests := map[string]struct{ held, release record }{
		"client-go": {
			record{holder: "x", seconds: 15, transitions: 3, acquired: 1_000_000_007, renewed: 1_002_000_009},
			record{seconds: 1, transitions: 3, acquired: 1_003_000_011, renewed: 1_003_000_011},
		},
		"client-go with a ConfigMap, whose times are seconds": {
			record{holder: "x", seconds: 15, transitions: 3, acquired: 1_000_000_000, renewed: 1_002_000_000},
			record{seconds: 1, transitions: 3, acquired: 1_002_000_000, renewed: 1_002_000_000},
		},
		"of a tenure that was not seen": {
			record{holder: "x", seconds: 15, transitions: 3, acquired: 1_000_000_007, renewed: 1_002_000_009},
			record{seconds: 1, transitions: 5, acquired: 900_000_000, renewed: 900_000_000}, // another machine's clock
		},
		"after the counter has reached its limit": {
			record{holder: "x", seconds: 15, transitions: 1<<31 - 1, acquired: 1_000_000_007, renewed: 1_002_000_009},
			record{seconds: 1, transitions: 1<<31 - 1, acquired: 1_003_000_011, renewed: 1_003_000_011},
		},
	}
	for name, tt := range tests {
		for who, audience := range audiences {
			t.Run(name+"/"+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer()
					held := &coordinationv1.Lease{}
					tt.held.writeTo(held)
					s.put(held.Spec)
					b := newTestElector(t, s, "b")
					audience.before(b)
					time.Sleep(time.Second)
					s.edit(tt.release.writeTo)
					released := time.Now()
					audience.edited(b)
					b.leads()
					if took := time.Since(released); took > DefaultRetryPeriod {
						t.Errorf("led %s after the release", took)
					}
					if err := b.stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestReleaseWithTheClockSetBack: others must know it for one although its time is before that of
// the last renewal.
func TestReleaseWithTheClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		time.Sleep(5 * time.Second)
		a.clock.step(-time.Hour)
		if err := a.stop(); err != nil {
			t.Error(err)
		}
		released := time.Now()
		b.leads()
		if took := time.Since(released); took > moment {
			t.Errorf("led %s after the release", took)
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}
