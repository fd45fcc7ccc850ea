package reload

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kooperd.dev/kooperd/pkg/config"
)

// TestLeadGuards has a standby that was away while a leader accepted five definitions, and that has
// seen a newer config since, which that leader has refused.
func TestLeadGuards(t *testing.T) {
	maps := &fakeConfigMaps{}
	j := &journal{}
	r, err := Start(t.Context(), Options{Source: &textSource{text: definitions("a"), version: 5}, Evaluate: evaluateWithLog(t), Store: maps.store(), Observer: j})
	if err != nil {
		t.Fatal(err)
	}
	r.ApplyTo(j.apply)
	maps.accept(t, definitions("a", "b", "c", "d", "e"), "4")
	if err := r.Lead(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if len(r.Running().Definitions) != 5 {
		t.Errorf("4 of 5 accepted definitions are gone: runs %d, stored now:\n%s", len(r.Running().Definitions), maps.accepted(t))
	}
}

// TestLeadTriesAgain has too little memory or time, for a moment, to evaluate the accepted config.
func TestLeadTriesAgain(t *testing.T) {
	for _, which := range []string{"memory", "wall"} {
		maps := &fakeConfigMaps{}
		j := &journal{}
		evaluate := evaluateWithLog(t)
		short := false
		r, err := Start(t.Context(), Options{Source: &textSource{text: definitions("a"), version: 5}, Store: maps.store(), Observer: j,
			Evaluate: func(ctx context.Context, f *config.Files) (*config.Config, []string, error) {
				if short {
					short = false
					if which == "memory" {
						return nil, nil, config.TooMuchMemory(f, 25<<20)
					}
					return nil, nil, config.TooLong(f, 30*time.Second)
				}
				return evaluate(ctx, f)
			}})
		if err != nil {
			t.Fatal(err)
		}
		r.ApplyTo(j.apply)
		maps.accept(t, definitions("a", "b"), "6")
		short = true
		if err := r.Lead(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if len(r.Running().Definitions) != 2 {
			t.Errorf("%s: works with the older config, one short evaluation ago a newer one was accepted", which)
		}
	}
}

// TestReloadAfterAShortage checks that a good config is not refused for good because there was too
// little memory for it once.
func TestReloadAfterAShortage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textSource{}
		evaluate := evaluateWithLog(t)
		var short atomic.Bool
		_, j := started(t, s, definitions("a"), func(o *Options) {
			o.First = o.Evaluate
			o.Evaluate = func(ctx context.Context, f *config.Files) (*config.Config, []string, error) {
				if short.Load() {
					return nil, nil, config.TooMuchMemory(f, 25<<20)
				}
				return evaluate(ctx, f)
			}
		})
		short.Store(true)
		s.set(definitions("a", "b"), nil)
		short.Store(false)
		for range 100 {
			s.changed()
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if j.lastApplied() != "a b" {
			t.Errorf("100 minutes later %q runs: %s", j.lastApplied(), j.lastReason())
		}
	})
}

// TestReloadAfterAMendedImport has an imported file whose evaluation is ended from outside, so that
// nothing is known of imports, and that is mended.
func TestReloadAfterAMendedImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lib := filepath.Join(t.TempDir(), "lib.cue")
		write := func(text string) {
			if err := os.WriteFile(lib, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("good")
		s := &textSource{}
		evaluate := evaluateWithLog(t)
		r, j := started(t, s, definitions("a"), func(o *Options) {
			o.First = o.Evaluate
			o.Evaluate = func(ctx context.Context, f *config.Files) (*config.Config, []string, error) {
				if text, _ := os.ReadFile(lib); string(text) == "endless" {
					return nil, nil, config.TooMuchCPU(f, 10*time.Second)
				}
				cfg, _, err := evaluate(ctx, f)
				return cfg, []string{lib}, err
			}
		})
		poll := func() {
			for range 10 {
				s.changed()
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
		}
		s.set(definitions("a", "b"), nil)
		poll()
		write("endless")
		poll()
		write("good")
		poll()
		if reason := j.lastReason(); reason != "" {
			t.Errorf("mended, and never looked at: %s; %d", reason, len(r.Running().Definitions))
		}
	})
}

// TestReloadBacksOff checks that notes of a change do not bring the next try forward.
func TestReloadBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &textSource{}
		evaluate := evaluateWithLog(t)
		var broken atomic.Bool
		var tries atomic.Int32
		started(t, s, definitions("a"), func(o *Options) {
			o.First = o.Evaluate
			o.Evaluate = func(ctx context.Context, f *config.Files) (*config.Config, []string, error) {
				if broken.Load() {
					tries.Add(1)
					return nil, nil, fmt.Errorf("no memory")
				}
				return evaluate(ctx, f)
			}
		})
		broken.Store(true)
		s.set(definitions("a", "b"), nil)
		for range 300 { // ten minutes
			s.changed()
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		if tries.Load() > 30 {
			t.Errorf("%d tries in ten minutes", tries.Load())
		}
	})
}

// TestOneEvaluationAtATime begins a term while a changed config is evaluated.
func TestOneEvaluationAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		maps := &fakeConfigMaps{}
		s := &textSource{}
		evaluate := evaluateWithLog(t)
		var now, most atomic.Int32
		var slow atomic.Bool
		r, j := started(t, s, definitions("a"), func(o *Options) {
			o.Store, o.First = maps.store(), o.Evaluate
			o.Evaluate = func(ctx context.Context, f *config.Files) (*config.Config, []string, error) {
				if slow.Load() {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					select {
					case <-time.After(10 * time.Second):
					case <-ctx.Done():
						return nil, nil, ctx.Err()
					}
				}
				return evaluate(ctx, f)
			}
		})
		maps.accept(t, definitions("a", "b"), "100")
		slow.Store(true)
		s.set(definitions("a", "c"), nil)
		began := time.Now()
		if err := r.Lead(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 10*time.Second || most.Load() != 1 || j.lastApplied() != "a b" {
			t.Errorf("the term waited for %s, with %d evaluations at once; %q runs", took, most.Load(), j.lastApplied())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if j.lastApplied() != "a b" || !strings.Contains(j.lastReason(), "is of a newer version") {
			t.Errorf("afterwards %q runs, and the reason is %q", j.lastApplied(), j.lastReason())
		}
	})
}

// TestLeadSaysWhatNeedsARestart has a newer config that was accepted by a process that was started
// with other settings of the lease.
func TestLeadSaysWhatNeedsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = "leaderElection: {leaseDuration: 30s}\n"
		maps := &fakeConfigMaps{}
		s := &textSource{}
		r, j := started(t, s, definitions("a"), func(o *Options) { o.Store = maps.store() })
		maps.accept(t, definitions("a", "b")+lease, "2")
		if err := r.Lead(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		s.set(definitions("a", "b")+lease, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if j.lastApplied() != "a b" || !strings.Contains(j.lastReason(), "leaderElection needs a restart") {
			t.Errorf("%q runs, and the reason is %q", j.lastApplied(), j.lastReason())
		}
	})
}

// TestReloadWithACutImport checks that an imported file that is the beginning of what it was is
// refused as a named one is.
func TestReloadWithACutImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lib := filepath.Join(t.TempDir(), "lib.cue")
		write := func(text string) {
			if err := os.WriteFile(lib, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("a\nb\nc\n")
		s := &textSource{}
		evaluate := evaluateWithLog(t)
		_, j := started(t, s, definitions("x"), func(o *Options) {
			o.Evaluate = func(ctx context.Context, f *config.Files) (*config.Config, []string, error) {
				text, err := os.ReadFile(lib)
				if err != nil {
					return nil, nil, err
				}
				whole, err := config.NewFiles(config.File{Name: "c.yaml", Path: "/c.yaml", Data: []byte(definitions(strings.Fields(string(text))...))})
				if err != nil {
					return nil, nil, err
				}
				cfg, _, err := evaluate(ctx, whole)
				return cfg, []string{lib}, err
			}
		})
		poll := func() {
			for range 3 {
				s.changed()
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
		}
		poll()
		write("a\nb\n")
		poll()
		if j.lastApplied() != "a b c" || !strings.Contains(j.lastReason(), "lib.cue is the beginning of the file that runs, up to byte 4 of 6") {
			t.Errorf("%q runs, and the reason is %q", j.lastApplied(), j.lastReason())
		}
		write("a\n\nb\n")
		poll()
		if j.lastApplied() != "a b" || j.lastReason() != "" {
			t.Errorf("%q runs, and the reason is %q", j.lastApplied(), j.lastReason())
		}
	})
}

// TestBehindForAMoment checks that a source that is about to catch up is no news.
func TestBehindForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		maps := &fakeConfigMaps{}
		s := &textSource{}
		r, j := started(t, s, definitions("a"), func(o *Options) { o.Store = maps.store() })
		maps.accept(t, definitions("a", "b"), "100")
		if err := r.Lead(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(behindGrace / 2)
		s.mu.Lock()
		s.version = 99
		s.mu.Unlock()
		s.set(definitions("a", "b"), nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if j.lastApplied() != "a b" || len(j.reasons) > 0 {
			t.Errorf("%q runs, and there were reasons %q", j.lastApplied(), j.reasons)
		}
	})
}
