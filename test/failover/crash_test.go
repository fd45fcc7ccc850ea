package failover_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// takeoverSlack is how much later than its expiry the lease of a dead leader may be taken.
const takeoverSlack = 300 * time.Millisecond

// TestKill kills the leader with SIGKILL: the standby takes over when the lease expires and not
// before.
func TestKill(t *testing.T) {
	t.Run("fast", func(t *testing.T) {
		forMeasured(t, func(t *testing.T, p program) { killRepeatedly(t, p, fast, times(3, 30)) })
	})
	// At 15/10/2 one repetition takes a quarter of a minute, so they are separate scenes at the
	// same time.
	t.Run("slow", func(t *testing.T) {
		if !flags.full {
			t.Skip("with -failover.full only")
		}
		forBoth(t, false, killManyOnce)
	})
}

func killRepeatedly(t *testing.T, p program, tm timing, n int) {
	t.Helper()
	s := newScene(t, shared, p, tm, steady, "a", "b")
	leader, standby := s.startPair(t)
	var handovers []handover
	for range n {
		pause(t, s.someTime(0, tm.retry))
		from := s.history.position()
		handovers = append(handovers, handover{leader.identity(), standby.identity(), time.Now()})
		leader.kill(t)
		leader.ended(t)
		s.awaitWork(t, standby, from)
		leader.start(t)
		leader, standby = standby, leader
	}
	s.stopAll(t)
	report := killRow(p, tm)
	s.takeovers(t, handovers, &report)
	table.add(report)
}

// killManyOnce kills the leaders of many scenes, once each.
func killManyOnce(t *testing.T, p program) {
	report, few := killRow(p, slow), steady
	few.interval = 500 * time.Millisecond // ten scenes share the API server
	var mu sync.Mutex
	t.Run("scenes", func(t *testing.T) {
		for i := range 10 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				s := newScene(t, shared, p, slow, few, "a", "b")
				leader, standby := s.startPair(t)
				pause(t, s.someTime(slow.retry, 2*slow.retry))
				x := handover{leader.identity(), standby.identity(), time.Now()}
				from := s.history.position()
				leader.kill(t)
				leader.ended(t)
				s.awaitWork(t, standby, from)
				s.stopAll(t)
				mu.Lock()
				defer mu.Unlock()
				s.takeovers(t, []handover{x}, &report)
			})
		}
	})
	table.add(report)
}

func killRow(p program, tm timing) row {
	return row{section: "kill -9", measure: "last renewal to takeover", program: p.name, timing: tm.String(), kept: -1}
}

// takeovers adds to the row how long after the last renewal of the killed leader the lease was
// taken.
func (s *scene) takeovers(t *testing.T, handovers []handover, r *row) {
	t.Helper()
	all := s.writes(t)
	s.verify(t, all)
	for _, x := range handovers {
		renewal := lastOf(t, "renewal by "+x.old, holdsBy(all, x.old))
		takeover := firstOf(t, "lease of "+x.next, holdsBy(all, x.next))
		took := takeover.answered.Sub(renewal.received)
		r.times = append(r.times, took)
		r.overlaps = append(r.overlaps, overlapOf(all, x.old, x.next))
		if stalls.disturbed(renewal.received, takeover.answered) {
			r.disturbed++
		} else if limit := s.timing.lease + takeoverSlack; s.program.ours && flags.conformance && took > limit {
			t.Errorf("%s took the lease of the killed %s %s after its last renewal, want at most %s", x.next, x.old, took, limit)
		}
	}
}

// TestRestartInPlace kills the leader's container and starts another in the same pod, next to a
// standby.
func TestRestartInPlace(t *testing.T) {
	s := newScene(t, shared, kooperd, slow, steady, "a", "b")
	leader, _ := s.startPair(t)
	r := row{
		section: "Container killed and restarted in place", measure: "caches warm to first write",
		program: kooperd.name, timing: slow.String(), kept: 0,
	}
	for range times(3, 30) {
		leader.kill(t)
		leader.ended(t)
		leader.launch(t)
		pid := leader.process.Pid()
		first := s.history.await(t, 0, "a marker by the restarted process", func(e event) bool { return e.marker != nil && e.marker.PID == pid })
		led := leader.process.AwaitLog(t, "became leader").Time
		warm := leader.warmAt(t)
		if flags.conformance && led.After(warm.Add(500*time.Millisecond)) {
			t.Errorf("it leads %s after its caches were warm", led.Sub(warm))
		}
		r.times = append(r.times, max(first.marker.Sent.Sub(warm), 0))
		r.kept++
	}
	s.stopAll(t)
	all := s.writes(t)
	s.verify(t, all)
	for _, w := range all {
		if w.by == "b" {
			t.Errorf("the standby has written: %+v", w)
		}
	}
	table.add(r)
}
