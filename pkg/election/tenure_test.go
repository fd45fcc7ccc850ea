package election

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
)

// foreignEdits are what people and tools do to a Lease that shortens it, or seems to. None of it is
// a release.
var foreignEdits = map[string]func(*coordinationv1.Lease){
	"holder emptied":    func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = new("") },
	"holder removed":    func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil },
	"spec emptied":      func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} },
	"shortened":         seconds(1),
	"duration zero":     seconds(0),
	"duration negative": seconds(-5),
	"duration removed":  func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = nil },
	"times removed":     func(l *coordinationv1.Lease) { l.Spec.AcquireTime, l.Spec.RenewTime = nil, nil },
	"renewTime removed": func(l *coordinationv1.Lease) { l.Spec.RenewTime = nil },
	"renewed long ago":  renewedAt(time.Unix(1, 0)),
	"renewed and shortened": func(l *coordinationv1.Lease) {
		renewedAt(time.Now())(l)
		seconds(1)(l)
	},
	"transitions lowered": transitions(-7),
	"emptied and shortened": func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = nil
		seconds(1)(l)
	},
	"emptied, shortened, times removed": func(l *coordinationv1.Lease) {
		record{seconds: 1, transitions: recordOf(l).transitions}.writeTo(l)
		l.Spec.AcquireTime, l.Spec.RenewTime = nil, nil
	},
	"given away": func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = new("x") },
	"given away for a second": func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = new("x")
		seconds(1)(l)
	},
	"given to the standby": func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = new("b")
		seconds(1)(l)
	},
	"annotation of the config map emptied":    annotated(""),
	"annotation of the config map unreadable": annotated(`{"holderIdentity":5}`),
	"annotation of the config map removed": func(l *coordinationv1.Lease) {
		asConfigMap(l, func(cm *corev1.ConfigMap) { delete(cm.Annotations, leaderAnnotation) })
	},
	"annotation of the config map without a holder": annotated(`{"leaseDurationSeconds":1}`),
	"annotation of the config map null":             annotated(`null`),
}

// annotated writes text into the annotation, as if the lock was a ConfigMap.
func annotated(text string) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) {
		asConfigMap(l, func(cm *corev1.ConfigMap) { cm.Annotations[leaderAnnotation] = text })
	}
}

func asConfigMap(l *coordinationv1.Lease, change func(*corev1.ConfigMap)) {
	object, err := configMapLock{}.encode(l)
	if err != nil {
		panic(err)
	}
	cm, ok := object.(*corev1.ConfigMap)
	if !ok {
		panic("not a config map")
	}
	change(cm)
	edited, err := configMapLock{}.decode(cm)
	if err != nil {
		panic(err)
	}
	l.Spec = edited.Spec
}

// audience is how a standby learns of an edit.
type audience struct {
	before func(b *testElector) // when the leader has taken the Lease
	edited func(b *testElector) // a moment after the edit
	fresh  bool                 // it has seen nothing of what was before
}

var audiences = map[string]audience{
	"watching": {before: (*testElector).start, edited: func(*testElector) {}},
	"watch was away": {
		before: func(b *testElector) { b.start(); synctest.Wait(); b.link.cut() },
		edited: func(b *testElector) { b.link.mend() },
	},
	"fresh process": {before: func(*testElector) {}, edited: (*testElector).start, fresh: true},
}

// TestForeignEditNeverShortensATenure edits the Lease of a leader that does not hear of it and
// works until its deadline.
func TestForeignEditNeverShortensATenure(t *testing.T) {
	for name, edit := range foreignEdits {
		for who, audience := range audiences {
			if name == "given to the standby" && audience.fresh {
				continue // as if it had been restarted in place: see law 10
			}
			for when, since := range map[string]time.Duration{"at the beginning": time.Second, "after renewals": 14*time.Second + moment} {
				t.Run(name+"/"+who+"/"+when, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { editBehindALeader(t, edit, audience, since) })
				})
			}
		}
	}
}

func editBehindALeader(t *testing.T, edit func(*coordinationv1.Lease), to audience, since time.Duration) {
	s := newServer()
	a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
	a.start()
	a.leads()
	to.before(b)
	time.Sleep(since)
	a.link.cut()
	s.edit(edit)
	edited := time.Now()
	to.edited(b)
	b.leads()
	if a.Leading() {
		t.Errorf("two leaders, %s after the edit", time.Since(edited))
	}
	limit := 15*time.Second + 2*DefaultRetryPeriod
	if s.history()[len(s.history())-2].rec.holder == unreadableHolder {
		limit = unreadableSeconds*time.Second + 2*DefaultRetryPeriod
	}
	if took := time.Since(edited); took < 15*time.Second || took > limit {
		t.Errorf("led %s after the edit, want a lease duration", took)
	}
	a.wantLost(ReasonDeadline)
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}

// TestSeveralForeignEdits is about edits of which the last alone would pass for something else.
func TestSeveralForeignEdits(t *testing.T) {
	tests := map[string]func(s *server){
		"emptied, then shortened": func(s *server) {
			s.edit(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil })
			s.edit(seconds(1))
		},
		"given away, then emptied": func(s *server) {
			s.edit(steal)
			s.edit(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil })
		},
		"given away for 68 years, then emptied": func(s *server) {
			s.edit(steal)
			s.edit(seconds(1<<31 - 1))
			s.edit(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil })
		},
		"given away for 68 years, then deleted": func(s *server) {
			s.edit(steal)
			s.edit(seconds(1<<31 - 1))
			s.delete()
		},
		"deleted, then made anew with nothing in it": func(s *server) {
			s.delete()
			s.put(coordinationv1.LeaseSpec{})
		},
		"deleted, then made anew as released": func(s *server) {
			s.delete()
			s.put(releasedSpec())
		},
		"an old release written back": func(s *server) {
			s.edit(func(l *coordinationv1.Lease) {
				release(l)
				l.Spec.LeaseTransitions = new(recordOf(l).transitions - 1)
			})
		},
	}
	for name, edit := range tests {
		for who, audience := range audiences {
			if audience.fresh {
				continue
			}
			t.Run(name+"/"+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer()
					s.put(releasedSpec())
					a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
					a.start()
					a.leads()
					audience.before(b)
					time.Sleep(time.Second)
					a.link.cut()
					edit(s)
					edited := time.Now()
					audience.edited(b)
					b.leads()
					if a.Leading() {
						t.Errorf("two leaders, %s after the edit", time.Since(edited))
					}
					if took := time.Since(edited); took > 15*time.Second+2*DefaultRetryPeriod {
						t.Errorf("led %s after the edit, want a lease duration", took)
					}
					a.wantLost(ReasonDeadline)
					if err := b.stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

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

// TestGenuineReleases are releases as candidates write them, which nobody has to wait for.
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

// TestRenewalEndsAProlongation: what somebody has written into the Lease counts while it stands
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
