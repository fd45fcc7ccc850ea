package election

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// Law 3: seeing another holder ends the term at once.

func steal(l *coordinationv1.Lease) {
	thief := "thief"
	l.Spec.HolderIdentity = &thief
}

func TestAnotherHolderEndsTheTerm(t *testing.T) {
	edits := map[string]struct {
		edit   func(*server)
		reason Reason
	}{
		"stolen":             {func(s *server) { s.edit(steal) }, ReasonTaken},
		"holder cleared":     {func(s *server) { s.edit(func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil }) }, ReasonEdited},
		"spec emptied":       {func(s *server) { s.edit(func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} }) }, ReasonEdited},
		"duration shortened": {func(s *server) { s.edit(seconds(3)) }, ReasonEdited},
		"duration negative":  {func(s *server) { s.edit(seconds(-5)) }, ReasonEdited},
		"renewTime edited":   {func(s *server) { s.edit(renewedAt(time.Unix(0, 0))) }, ReasonEdited},
		"transitions edited": {func(s *server) { s.edit(transitions(-7)) }, ReasonEdited},
		"deleted":            {(*server).delete, ReasonDeleted},
		"deleted and taken by another": {func(s *server) {
			s.delete()
			thief, duration := "thief", int32(15)
			s.put(coordinationv1.LeaseSpec{HolderIdentity: &thief, LeaseDurationSeconds: &duration})
		}, ""},
	}
	for name, tt := range edits {
		for _, watching := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", watched", false: ", not watched"}[watching], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer()
					a := newTestElector(t, s, "a")
					if !watching {
						a.link.noWatch = errors.New("no watch")
					}
					a.start()
					term := a.leads()
					time.Sleep(2*time.Second + moment) // just after a renewal
					edited := time.Now()
					tt.edit(s)
					writes := len(s.history())
					<-term.Done()
					limit := DefaultRetryPeriod
					if watching {
						limit = moment
					}
					if got := time.Since(edited); got > limit {
						t.Errorf("stepped down after %s, want at most %s", got, limit)
					}
					err := <-a.result
					if !errors.Is(err, ErrLost) {
						t.Errorf("Run returned %v", err)
					}
					if tt.reason != "" && a.seen.losses[0] != tt.reason {
						t.Errorf("reason %s, want %s", a.seen.losses[0], tt.reason)
					}
					time.Sleep(time.Minute)
					if got := s.history()[writes:]; len(got) != 0 {
						t.Errorf("it wrote to the lease afterwards: %+v", got)
					}
				})
			})
		}
	}
}

// Law 4: no elector writes a lease that another holds and that has not expired; renewals and
// releases are compare-and-swap.

func TestHeldLeaseIsLeftAlone(t *testing.T) {
	tests := map[string]struct {
		spec coordinationv1.LeaseSpec
		free time.Duration // after which it may be taken
	}{
		"renewed long ago by its own words": {spec("x", 15, time.Unix(0, 0)), 15 * time.Second},
		"renewed in the future":             {spec("x", 15, time.Now().Add(100*365*24*time.Hour)), 15 * time.Second},
		"longer duration than ours":         {spec("x", 40, time.Now()), 40 * time.Second},
		"shorter duration than ours":        {spec("x", 3, time.Now()), 15 * time.Second}, // it may have been shortened
		"no renewTime":                      {spec("x", 15, time.Time{}), 15 * time.Second},
		"no holder":                         {spec("", 15, time.Now()), 15 * time.Second}, // not released
		"no holder, longer duration":        {spec("", 40, time.Now()), 40 * time.Second},
		"no holder, for 68 years":           {spec("", 1<<31-1, time.Now()), unproven},
		"no duration":                       {spec("x", 0, time.Now()), 15 * time.Second},
		"negative duration":                 {spec("x", -1, time.Now()), 15 * time.Second},
		"nothing at all":                    {coordinationv1.LeaseSpec{}, 15 * time.Second},
		"released":                          {releasedSpec(), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				s.put(tt.spec)
				a := newTestElector(t, s, "a")
				start := time.Now()
				a.start()
				a.leads()
				if got := time.Since(start); got < tt.free || got > tt.free+moment {
					t.Errorf("led after %s, want %s", got, tt.free)
				}
				if err := a.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestHugeDurationIsRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.put(spec("x", 1<<31-1, time.Now()))
		a := newTestElector(t, s, "a")
		a.start()
		time.Sleep(24 * time.Hour)
		if a.State() != StateStandby || len(s.history()) != 1 {
			t.Errorf("it is %s and wrote %d times", a.State(), len(s.history())-1)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestChangeOfMetadataProlongsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.put(spec("x", 15, time.Now()))
		a := newTestElector(t, s, "a")
		start := time.Now()
		a.start()
		for range 14 {
			time.Sleep(time.Second)
			s.edit(label)
		}
		a.leads()
		if got := time.Since(start); got < 15*time.Second || got > 15*time.Second+moment {
			t.Errorf("led after %s, want 15s", got)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestReleaseNeverErasesAnotherHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		a.start()
		a.leads()
		a.link.setFault(only("update", fault{before: 100 * time.Millisecond}))
		a.link.mu.Lock()
		a.link.deaf = true
		a.link.mu.Unlock()
		a.cancel()
		time.Sleep(50 * time.Millisecond)
		s.edit(steal) // while the release is on its way
		if err := <-a.result; err != nil {
			t.Errorf("Run returned %v", err)
		}
		if got := s.record().holder; got != "thief" {
			t.Errorf("the lease is held by %q afterwards", got)
		}
		if a.seen.kept[0] != nil {
			t.Errorf("the release is reported as failed: %v", a.seen.kept[0])
		}
	})
}

func TestLostTermIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		a.start()
		a.leads()
		a.link.setFault(only("update", fault{lost: true}))
		a.wantLost(ReasonDeadline)
		a.link.mend()
		time.Sleep(time.Minute)
		if got := s.record().holder; got != "a" {
			t.Errorf("the lease is held by %q", got)
		}
	})
}

// Metadata says nothing about the holder: its changes are taken over.

func TestChangedMetadataIsKept(t *testing.T) {
	for _, watching := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			a := newTestElector(t, s, "a")
			if !watching {
				a.link.noWatch = errors.New("no watch")
			}
			a.start()
			term := a.leads()
			for range 100 {
				time.Sleep(700 * time.Millisecond)
				s.edit(label)
				s.edit(seconds(3600)) // a well-meant edit
			}
			if term.Err() != nil {
				t.Fatalf("watching=%v: the term was lost: %v", watching, context.Cause(term))
			}
			time.Sleep(3 * time.Second)
			lease, err := s.get()
			if err != nil || lease.Labels["touched"] == "" || *lease.Spec.LeaseDurationSeconds != 15 {
				t.Errorf("the lease afterwards: %+v, %v", lease, err)
			}
			if err := a.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A watch that starts while a renewal is under way reports the state before it, and then the
// renewal before its own reply.

func TestWatchThatStartsDuringARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		a.start()
		term := a.leads()
		a.link.setFault(only("update", fault{before: 1500 * time.Millisecond, after: 400 * time.Millisecond}))
		for range 20 {
			time.Sleep(2100 * time.Millisecond)
			a.link.endWatches()
		}
		if term.Err() != nil {
			t.Fatalf("the term was lost: %v", context.Cause(term))
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A restored backup takes resourceVersions back. What is read then must not be taken for old.

func TestRestoredBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.put(spec("x", 15, time.Now()))
		backup := s.record()
		a, b := newTestElector(t, s, "a"), newTestElector(t, s, "b")
		a.start()
		a.leads()
		b.start()
		time.Sleep(time.Hour)
		s.restore(backup)
		restored := time.Now()
		a.link.endWatches()
		b.link.endWatches()
		a.wantLost(ReasonEdited)
		b.leads()
		if got := time.Since(restored); got < 15*time.Second || got > 19*time.Second {
			t.Errorf("led %s after the restoration", got)
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTransitionsNeverOverflow(t *testing.T) {
	for _, n := range []int32{1<<31 - 1, -5} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer()
			old := releasedSpec()
			old.LeaseTransitions = &n
			s.put(old)
			a := newTestElector(t, s, "a")
			a.start()
			a.leads()
			if got := s.record().transitions; got < 0 {
				t.Errorf("leaseTransitions went from %d to %d", n, got)
			}
			if err := a.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
