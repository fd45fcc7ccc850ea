package election

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGoodPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := newTestElector(t, s, "a")
		a.start()
		synctest.Wait()
		if a.State() != StateLeading || !a.Leading() || a.Leader() != "a" {
			t.Fatalf("the only candidate is %s, leading=%v, leader %q", a.State(), a.Leading(), a.Leader())
		}
		time.Sleep(61 * time.Second)
		if got := a.Remaining(); got < 8*time.Second || got > 10*time.Second {
			t.Errorf("remaining after a minute of renewals: %s", got)
		}
		if got := a.link.count("update"); got != 30 {
			t.Errorf("renewals in a minute: %d, want 30", got)
		}
		if err := a.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		want := []State{StateLeading, StateDraining, StateReleased}
		if diff := cmp.Diff(want, a.seen.states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		if rec := s.record(); rec.holder != "" || rec.seconds != 1 {
			t.Errorf("the released lease says %+v", rec)
		}
	})
}
