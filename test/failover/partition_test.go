package failover_test

import (
	"fmt"
	"testing"
	"time"
)

// partition is a way to cut the leader off.
type partition struct {
	section string
	// cut begins it. i counts the repetitions.
	cut func(t *testing.T, s *scene, leader *replica, i int)
}

// partitions are the ways to cut the leader off. What was on its way is delivered when the network
// is healed, as TCP does it.
var partitions = []partition{
	{"Leader partitioned in silence", func(_ *testing.T, _ *scene, leader *replica, _ int) { leader.proxy.Blackhole() }},
	{"Replies to the leader lost, its requests arrive", func(_ *testing.T, _ *scene, leader *replica, _ int) { leader.proxy.BlackholeReplies() }},
	{"Replies to the leader delayed, then partition", func(t *testing.T, s *scene, leader *replica, i int) {
		t.Helper()
		// 4 to 8 s are more than a lease of 3 s lasts, so there are delays in proportion, too.
		delays := []time.Duration{400, 4000, 800, 6000, 1200, 8000, 1600}
		leader.proxy.DelayReplies(delays[i%len(delays)] * time.Millisecond)
		pause(t, s.someTime(0, 2*s.timing.retry))
		leader.proxy.Blackhole()
	}},
}

// TestPartition cuts the leader off, heals the network after the takeover and looks at what the old
// leader still gets through.
func TestPartition(t *testing.T) {
	t.Parallel()
	for _, kind := range partitions {
		t.Run(kind.section, func(t *testing.T) {
			t.Parallel()
			forMeasured(t, func(t *testing.T, p program) { partitionRepeatedly(t, p, kind, times(3, 30)) })
		})
	}
}

func partitionRepeatedly(t *testing.T, p program, kind partition, n int) {
	t.Helper()
	s := newScene(t, shared, p, fast, steady, "a", "b")
	leader, standby := s.startPair(t)
	var handovers []handover
	for i := range n {
		pause(t, s.someTime(0, s.timing.retry))
		from := s.history.position()
		x := handover{leader.identity(), standby.identity(), time.Now()}
		kind.cut(t, s, leader, i)
		s.awaitWork(t, standby, from)
		pause(t, s.someTime(0, s.timing.lease/2))
		leader.proxy.Heal()
		leader.ended(t)
		handovers = append(handovers, x)
		leader.start(t)
		leader, standby = standby, leader
	}
	s.stopAll(t)
	s.report(t, row{section: kind.section, measure: "fault to first write of the new leader"}, handovers)
}

// report adds a row about the takeovers to the table: from the fault to the work of the next
// leader.
func (s *scene) report(t *testing.T, r row, handovers []handover) {
	t.Helper()
	all := s.writes(t)
	s.verify(t, all)
	r.program, r.timing, r.kept = s.program.name, s.timing.String(), -1
	for _, x := range handovers {
		first := firstOf(t, "marker by "+x.next, markersBy(all, x.next))
		r.times = append(r.times, first.received.Sub(x.at))
		o := overlapOf(all, x.old, x.next)
		r.overlaps = append(r.overlaps, o)
		if s.program.ours && o.writes > 0 {
			t.Errorf("%s wrote %d times, for %s, after %s had begun", x.old, o.writes, o.duration, x.next)
		}
	}
	table.add(r)
}

// TestHealWhileReleasing cuts the leader off, asks it to stop, and heals the network while it tries
// to release the lease, with two others competing.
func TestHealWhileReleasing(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{true, false} {
		section := "Partition heals while the leader releases, three candidates"
		if asked {
			section += ", after SIGTERM"
		}
		t.Run(fmt.Sprintf("asked to stop=%v", asked), func(t *testing.T) {
			t.Parallel()
			forMeasured(t, func(t *testing.T, p program) { healRepeatedly(t, p, section, asked, times(2, 15)) })
		})
	}
}

func healRepeatedly(t *testing.T, p program, section string, asked bool, n int) {
	t.Helper()
	s := newScene(t, shared, p, fast, steady, "a", "b", "c")
	leader, _ := s.start(t)
	var handovers []handover
	for range n {
		from := s.history.position()
		x := handover{old: leader.identity(), at: time.Now()}
		leader.proxy.Blackhole()
		if asked {
			pause(t, s.someTime(0, s.timing.renew))
			leader.stop(t)
		}
		// client-go begins to release after the renew deadline, and goes on for as long again.
		pause(t, s.someTime(s.timing.renew, s.timing.lease+s.timing.renew))
		leader.proxy.Heal()
		if !p.ours && !asked {
			// client-go leads on for a retry period longer than it says, so it may have outlasted
			// the partition.
			if s.takeoverWithin(t, leader, from, 3*s.timing.lease) == nil {
				continue
			}
		}
		next := s.awaitTakeover(t, leader, from)
		leader.ended(t)
		x.next = next.identity()
		handovers = append(handovers, x)
		leader.start(t)
		leader = next
	}
	s.stopAll(t)
	s.report(t, row{section: section, measure: "fault to first write of the new leader"}, handovers)
}
