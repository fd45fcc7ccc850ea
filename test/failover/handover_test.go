package failover_test

import (
	"testing"
	"time"
)

// handover is one change of the worker: from a process to the one that follows it.
type handover struct {
	old, next string // identities
	at        time.Time
}

// forBoth runs a case for kooperd and for the yardstick, at the same time if the machine's load
// does not matter for it.
func forBoth(t *testing.T, atOnce bool, run func(t *testing.T, p program)) {
	t.Helper()
	forEach(t, []program{kooperd, yardstick}, atOnce, run)
}

// forMeasured is forBoth for cases with faults. What client-go does under them is a figure and
// nothing that a test could demand, so a usual run has kooperd alone.
func forMeasured(t *testing.T, run func(t *testing.T, p program)) {
	t.Helper()
	forEach(t, measured(), true, run)
}

// measured are the programs that a case with faults is run for.
func measured() []program {
	if flags.full {
		return []program{kooperd, yardstick}
	}
	return []program{kooperd}
}

func forEach(t *testing.T, programs []program, atOnce bool, run func(t *testing.T, p program)) {
	t.Helper()
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if atOnce {
				t.Parallel()
			}
			run(t, p)
		})
	}
}

// TestStop stops the leader as the kubelet does, again and again, with a warm standby.
func TestStop(t *testing.T) {
	t.Run("between short calls", func(t *testing.T) {
		forEach(t, measured(), false, func(t *testing.T, p program) { stopRepeatedly(t, p, busy, "SIGTERM, warm standby", times(4, 30)) })
	})
	t.Run("during calls of 300 ms", func(t *testing.T) {
		long := steady
		long.takes = 300 * time.Millisecond
		forEach(t, measured(), false, func(t *testing.T, p program) {
			stopRepeatedly(t, p, long, "SIGTERM during calls of 300 ms", times(2, 10))
		})
	})
}

func stopRepeatedly(t *testing.T, p program, w workload, section string, n int) {
	t.Helper()
	s := newScene(t, shared, p, slow, w, "a", "b")
	leader, standby := s.startPair(t)
	var handovers []handover
	for range n {
		pause(t, s.someTime(0, 50*time.Millisecond))
		from := s.history.position()
		handovers = append(handovers, handover{leader.identity(), standby.identity(), time.Now()})
		leader.stop(t)
		if got := leader.ended(t); got != 0 {
			t.Errorf("exit status of the stopped leader is %d, want 0", got)
		}
		s.awaitWork(t, standby, from)
		leader.start(t)
		leader, standby = standby, leader
	}
	s.stopAll(t)
	all := s.writes(t)
	s.verify(t, all)
	r := row{section: section, measure: "last write of the old leader to first of the new one", program: p.name, timing: slow.String(), kept: -1}
	for _, x := range handovers {
		last := lastOf(t, "marker by "+x.old, markersBy(all, x.old))
		gap := firstOf(t, "marker by "+x.next, markersBy(all, x.next)).received.Sub(last.answered)
		r.times = append(r.times, max(gap, 0))
		r.overlaps = append(r.overlaps, overlapOf(all, x.old, x.next))
	}
	table.add(r)
	if p.ours && flags.conformance {
		// Far from the figures, so that only a standby that has gone back to polling fails on a
		// busy machine.
		if p50 := quantile(r.times, 0.5); p50 > time.Second {
			t.Errorf("half of the handovers took more than %s: %v", p50, r.times)
		}
	}
}

// TestStandbyThatNeverLed stops standbys in all kinds of moments: not one handler call.
func TestStandbyThatNeverLed(t *testing.T) {
	t.Parallel()
	s := newScene(t, shared, kooperd, slow, steady, "leader", "warm", "cold", "cut-off")
	leader := s.replicas[0]
	leader.start(t)
	s.awaitWork(t, leader, 0)
	warm, cold, cutOff := s.replicas[1], s.replicas[2], s.replicas[3]
	n := times(2, 10)
	for range n {
		warm.start(t)
		cold.pod++
		cold.launch(t)
		cutOff.start(t)
		cutOff.proxy.Blackhole()
		pause(t, s.someTime(0, 200*time.Millisecond))
		standbys := []*replica{warm, cold, cutOff}
		for _, r := range standbys {
			r.stop(t)
		}
		for _, r := range standbys {
			r.ended(t)
			if lines := r.process.Lines("handler called for the first time"); len(lines) > 0 {
				t.Errorf("the handler of %s was called", r.identity())
			}
		}
		cutOff.proxy.Heal()
	}
	s.stopAll(t)
	all := s.writes(t)
	s.verify(t, all)
	for _, w := range all {
		if w.marker != nil && w.by != leader.name {
			t.Errorf("%s has written a marker", w.marker.Identity)
		}
	}
	table.add(row{section: "Standby that never led is stopped", measure: "handler calls: 0", program: kooperd.name, timing: slow.String(), n: 3 * n, kept: -1})
}

// someTime is a random time, so that faults fall into all phases of what they disturb.
func (s *scene) someTime(least, most time.Duration) time.Duration {
	return least + time.Duration(s.random.Int64N(int64(most-least)))
}

// warmAt is when a process of kooperd said that its definition was running.
func (r *replica) warmAt(t testing.TB) time.Time {
	t.Helper()
	return r.process.AwaitLog(t, "definition changed state", "state", "Running").Time
}

// lastOf returns the last write of a sequence, and fails the test if it is empty.
func lastOf(t testing.TB, what string, all []write) write {
	t.Helper()
	if len(all) == 0 {
		t.Fatalf("no %s", what)
	}
	return all[len(all)-1]
}

// firstOf returns the first write of a sequence, and fails the test if it is empty.
func firstOf(t testing.TB, what string, all []write) write {
	t.Helper()
	if len(all) == 0 {
		t.Fatalf("no %s", what)
	}
	return all[0]
}
