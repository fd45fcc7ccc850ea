package engine

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

// TestCrashesOfAConstructor has a constructor and a Close that do not return.
func TestCrashesOfAConstructor(t *testing.T) {
	for name, test := range map[string]struct {
		crash func()
		want  string
	}{
		"panic":          {asTheTestWants, "making the test handler: panic: as the test wants"},
		"runtime.Goexit": {runtime.Goexit, "making the test handler: runtime.Goexit was called"},
	} {
		t.Run(name, func(t *testing.T) {
			inRig(t, 1, func(r *rig) {
				tries := 0
				r.construct = func(_ context.Context, env handlers.Env, _ string) error {
					env.Metrics.MustRegister(gauge("of_the_handler")) // Every time, which is no duplicate.
					if tries++; tries < 3 {
						test.crash()
					}
					return nil
				}
				r.close = func(string) error {
					test.crash()
					return nil
				}
				r.start(r.definition("d", "1"))
				r.wantState("d", status.Degraded, test.want)
				time.Sleep(10 * time.Second)
				r.wantState("d", status.Running, "")
				if tries != 3 {
					t.Errorf("the constructor was called %d times, want 3", tries)
				}
				r.stop()
				if have := r.metric("kooperd_controller_panics_total", "d"); have != 3 {
					t.Errorf("%v panics are counted, want 3", have)
				}
			})
		})
	}
}

func TestSlowConstructor(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.construct = func(ctx context.Context, _ handlers.Env, _ string) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r.start(r.definition("d", "1"))
		r.wantState("d", status.Syncing, "making the handler")
		if diff := cmp.Diff([]string{"d: the test handler's New"}, r.Unreturned()); diff != "" {
			t.Errorf("unreturned (-want +have):\n%s", diff)
		}
		time.Sleep(11 * time.Second)
		r.wantState("d", status.Degraded, "making the test handler takes longer than 10s")
		time.Sleep(time.Minute)
		r.wantState("d", status.Running, "")
		r.expect("1m0s d1 object-0 initial#0")
		r.stop()
	})
}

// TestStopWhileAConstructorRuns logs no error for a constructor that obeys its context.
func TestStopWhileAConstructorRuns(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.construct = func(ctx context.Context, _ handlers.Env, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		}
		r.start(r.definition("d", "1"))
		r.logged()
		r.stop()
		if log := r.logged(); log != "" {
			t.Errorf("a clean stop logs %q", log)
		}
	})
}

func TestClientsThatCannotBeMade(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		tries := 0
		r.api.clientOf = func(string) error {
			if tries++; tries == 1 {
				return errTest
			}
			return nil
		}
		r.start(r.definition("d", "1"))
		r.wantState("d", status.Degraded, "as the test wants")
		time.Sleep(2 * time.Second)
		r.wantState("d", status.Running, "")
		r.stop()
	})
}
