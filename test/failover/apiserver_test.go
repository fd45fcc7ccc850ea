package failover_test

import (
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
)

// outage is a way in which the API server is away.
type outage struct {
	section string
	// begin and end are when no request is answered any more, and when all are again.
	begin, end func(t *testing.T, c *cluster.Cluster)
	// least is how long it lasts, besides what end takes.
	least time.Duration
}

var outages = []outage{
	{
		section: "API server hangs for 5 s", least: 5 * time.Second,
		begin: func(t *testing.T, c *cluster.Cluster) { t.Helper(); c.Freeze(t, cluster.APIServer) },
		end:   func(t *testing.T, c *cluster.Cluster) { t.Helper(); c.Thaw(t, cluster.APIServer) },
	},
	{
		section: "Control plane killed and restarted",
		begin:   func(t *testing.T, c *cluster.Cluster) { t.Helper(); c.Kill9(t) },
		end:     func(t *testing.T, c *cluster.Cluster) { t.Helper(); c.Start(t) },
	},
}

// TestAPIServerAway takes the API server away from replicas with short and with long leases, all at
// the same time.
func TestAPIServerAway(t *testing.T) {
	besideOthers(t)
	c := cluster.StartServer(t, cluster.Options{Audit: true})
	timings := []timing{fast, slow}
	var scenes []*scene
	for _, p := range measured() {
		for _, tm := range timings {
			s := newScene(t, c, p, tm, steady, "a", "b")
			s.start(t)
			scenes = append(scenes, s)
		}
	}
	rows := map[*scene][]*row{}
	for _, o := range outages {
		for _, s := range scenes {
			rows[s] = append(rows[s], &row{
				section: o.section, measure: "end of the outage to next write", program: s.program.name, timing: s.timing.String(),
			})
		}
		for range times(1, 3) {
			took := o.happen(t, c, scenes)
			t.Logf("%s: the API server was away for %s", o.section, took.Round(time.Millisecond))
			for _, s := range scenes {
				r := rows[s][len(rows[s])-1]
				r.n++
				s.recover(t, r, took)
			}
		}
	}
	for _, s := range scenes {
		s.stopAll(t)
	}
	for _, s := range scenes {
		s.verify(t, s.writes(t))
		for _, r := range rows[s] {
			table.add(*r)
		}
	}
}

// happen makes the outage and returns how long it lasted.
func (o outage) happen(t *testing.T, c *cluster.Cluster, scenes []*scene) time.Duration {
	t.Helper()
	for _, s := range scenes {
		s.leader = s.awaitAnyWork(t, s.history.position())
	}
	began := time.Now()
	o.begin(t, c)
	pause(t, o.least)
	o.end(t, c)
	ended := time.Now()
	for _, s := range scenes {
		s.healed = ended
	}
	return ended.Sub(began)
}

// recover waits until a replica works again after an outage, adds to the row how long that took,
// and replaces processes that have ended.
func (s *scene) recover(t *testing.T, r *row, took time.Duration) {
	t.Helper()
	// All replicas of a short lease may have lost: the one that led ends, the other one takes over
	// when it sees the lease.
	e := s.history.await(t, 0, "work after the outage", func(e event) bool { return e.marker != nil && e.marker.Sent.After(s.healed) })
	r.times = append(r.times, max(e.marker.Sent.Sub(s.healed), 0))
	kept := e.marker.Identity == s.leader.identity() && !s.leader.process.Exited()
	if kept {
		r.kept++
	}
	// The leader's last renewal may have been a retry period ago, and the first after the outage
	// has to arrive.
	spare := s.timing.renew - s.timing.retry - took
	switch {
	case s.program.ours && flags.conformance && !kept && spare > s.timing.retry && !stalls.disturbed(s.healed.Add(-took), time.Now()):
		t.Errorf("%s: the term of %s was lost in an outage of %s", s.program.name, s.timing, took)
	case s.program.ours && kept && took > s.timing.lease:
		t.Errorf("%s: the term of %s survived an outage of %s", s.program.name, s.timing, took)
	}
	for _, x := range s.replicas {
		if x == s.leader && !kept {
			x.ended(t)
		}
		if x.process.Exited() {
			x.start(t)
		}
	}
}
