package failover_test

import (
	"fmt"
	"testing"
	"time"
)

// TestFreeze stops the leader's process for longer than the lease and lets it go on: nothing that
// it sends then may be stored.
func TestFreeze(t *testing.T) {
	t.Parallel()
	forMeasured(t, func(t *testing.T, p program) { freezeRepeatedly(t, p, times(3, 30)) })
}

func freezeRepeatedly(t *testing.T, p program, n int) {
	t.Helper()
	s := newScene(t, shared, p, fast, busy, "a", "b")
	leader, standby := s.startPair(t)
	type thaw struct {
		identity string
		at       time.Time
	}
	var handovers []handover
	var awakenings []thaw
	for range n {
		pause(t, s.someTime(0, s.timing.retry))
		from := s.history.position()
		x := handover{leader.identity(), standby.identity(), time.Now()}
		leader.freeze(t)
		s.awaitWork(t, standby, from)
		pause(t, s.someTime(0, s.timing.lease/2))
		awakenings = append(awakenings, thaw{leader.identity(), time.Now()})
		leader.thaw(t)
		leader.ended(t)
		handovers = append(handovers, x)
		leader.start(t)
		leader, standby = standby, leader
	}
	s.stopAll(t)
	all, after := s.writes(t), 0
	for _, x := range awakenings {
		for _, w := range markersBy(all, x.identity) {
			if w.received.After(x.at) {
				after++
			}
		}
	}
	if p.ours && after > 0 {
		t.Errorf("%d writes were accepted from leaders after they had woken up", after)
	}
	s.report(t, row{
		section: "SIGSTOP for longer than the lease, then SIGCONT", measure: "fault to first write of the new leader",
		note: fmt.Sprintf("%d writes accepted after waking", after),
	}, handovers)
}

// TestHandlerIgnoresContext cuts off a leader whose handler goes on and on: its process must be
// gone before the takeover.
func TestHandlerIgnoresContext(t *testing.T) {
	t.Parallel()
	deaf := steady
	deaf.ignores = 5 * time.Minute
	s := newScene(t, shared, kooperd, fast, deaf, "a", "b")
	leader, standby := s.startPair(t)
	r := row{
		section: "Handler ignores its context, leader partitioned", measure: "end of the process to takeover",
		program: kooperd.name, timing: fast.String(), kept: -1,
	}
	type end struct {
		handover
		exit time.Time
	}
	var ends []end
	for range times(2, 10) {
		pause(t, s.someTime(0, s.timing.retry))
		from := s.history.position()
		x := end{handover: handover{leader.identity(), standby.identity(), time.Now()}}
		leader.proxy.Blackhole()
		s.awaitWork(t, standby, from)
		if got := leader.ended(t); got != 3 {
			t.Errorf("exit status is %d, want 3", got)
		}
		x.exit = leader.process.Ended()
		ends = append(ends, x)
		leader.proxy.Heal()
		leader.start(t)
		leader, standby = standby, leader
	}
	leader.kill(t) // it would ignore SIGTERM for the length of the shutdown timeout
	s.stopAll(t)
	all := s.writes(t)
	s.verify(t, all)
	for _, x := range ends {
		took := firstOf(t, "lease of "+x.next, holdsBy(all, x.next)).received
		r.times = append(r.times, took.Sub(x.exit))
		r.overlaps = append(r.overlaps, overlapOf(all, x.old, x.next))
		// It is due to end before the takeover by a good part of the lease. A machine that stands
		// still, then or when the end is to be seen, delays that by no more than it stands still.
		stood := stalls.stood(took.Add(-s.timing.lease), x.exit)
		if late := x.exit.Sub(took); late >= stood {
			t.Errorf("the process of %s ended %s after %s had taken the lease, and the machine stood still for %s", x.old, late, x.next, stood)
		}
	}
	table.add(r)
}
