package failover_test

import (
	"testing"
	"time"
)

// TestDeadConnections loses everything on the connections that the leader has, in silence, while
// new ones work. The term must go on; with client-go one dead connection costs it.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	tm := slow // leaves a renewal some seconds, whatever else the machine does
	if flags.full {
		tm = fast
	}
	forMeasured(t, func(t *testing.T, p program) {
		s := newScene(t, shared, p, tm, steady, "a", "b")
		leader, _ := s.startPair(t)
		r := row{
			section: "The leader's established connections silently dropped", measure: "fault to next write by anybody",
			program: p.name, timing: tm.String(),
		}
		for range times(3, 30) {
			pause(t, s.someTime(0, s.timing.retry))
			from, at := s.history.position(), time.Now()
			leader.proxy.Stall()
			s.history.await(t, from, "a marker after the fault", func(e event) bool { return e.marker != nil && e.marker.Sent.After(at) })
			r.times = append(r.times, time.Since(at))
			pause(t, s.timing.lease+time.Second-min(time.Since(at), s.timing.lease))
			worker := s.awaitAnyWork(t, s.history.position())
			r.n++
			if worker == leader && !leader.process.Exited() {
				r.kept++
			} else {
				if stalls.disturbed(at, time.Now()) {
					r.disturbed++
				}
				leader.ended(t)
				leader.proxy.Heal()
				leader.start(t)
				leader = worker
			}
			leader.proxy.Heal()
		}
		s.stopAll(t)
		s.verify(t, s.writes(t))
		table.add(r)
		if p.ours && r.kept+r.disturbed < r.n {
			t.Errorf("the term was kept %d of %d times; %d times the machine stood still", r.kept, r.n, r.disturbed)
		}
	})
}

// awaitAnyWork waits for a marker at position from or later and returns whose it is.
func (s *scene) awaitAnyWork(t testing.TB, from int) *replica {
	t.Helper()
	e := s.history.await(t, from, "a marker", func(e event) bool { return e.marker != nil })
	return s.replica(place(e.marker.Identity))
}
