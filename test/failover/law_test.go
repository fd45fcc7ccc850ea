package failover_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
)

// clockTolerance covers that a lease written by the test is seen by a candidate before the test's
// own watch shows it.
const clockTolerance = 100 * time.Millisecond

// standstillTolerance is how long before a standstill a write that waits in it may have begun.
const standstillTolerance = time.Second

// violation is something that must never be.
type violation struct {
	at   time.Time
	what string
}

// judge holds a history against the law, from the outside: who may work is who took the lease last,
// and no replica takes a lease that another holds and that has not expired.
type judge struct {
	worker    string           // the identity that took the lease last and has not released it; empty for none
	holder    string           // of the lease, as it is or was before it was deleted
	owner     string           // the holder that a replica wrote last
	deleted   bool             // there is no lease
	last      leaseKey         // of the last change of the lease
	duration  time.Duration    // of the lease, as a replica wrote it last
	expires   time.Time        // when others may take it, by what replicas wrote
	standing  time.Time        // the same by what stands in it, which can only be later
	processes map[string][]int // of each identity, in the order of their first writes
	stood     []cluster.Standstill
	found     []violation
}

// violations returns everything in the history, which is complete and in order, that the law
// forbids. stood are the times for which a part of the control plane stood still.
func violations(all []write, stood []cluster.Standstill) []violation {
	j := &judge{processes: map[string][]int{}, stood: stood}
	for _, w := range all {
		if w.marker != nil {
			j.marked(w)
		} else {
			j.leased(w)
		}
	}
	return j.found
}

func (j *judge) complainf(w write, format string, args ...any) {
	j.found = append(j.found, violation{at: w.received, what: fmt.Sprintf(format, args...)})
}

// marked judges a call of a handler.
func (j *judge) marked(w write) {
	m := w.marker
	if m.Identity != j.worker && !j.received(w) {
		how := ""
		if w.unconfirmed {
			how = ", which the API server has stored without saying so"
		}
		j.complainf(w, "write %d of %s (process %d), begun at %s, was stored while %q was entitled to work%s",
			m.Write, m.Identity, m.PID, m.Sent.Format(time.StampMicro), j.worker, how)
	}
	known := j.processes[m.Identity]
	if !slices.Contains(known, m.PID) {
		j.processes[m.Identity] = append(known, m.PID)
	} else if known[len(known)-1] != m.PID {
		j.complainf(w, "process %d of %s works again after process %d", m.PID, m.Identity, known[len(known)-1])
	}
}

// received reports whether the control plane had received a write when it stood still, and has
// carried it out when it went on, although the connection was gone: see docs/failover.md.
func (j *judge) received(w write) bool {
	return w.unconfirmed && slices.ContainsFunc(j.stood, func(s cluster.Standstill) bool {
		sent := w.marker.Sent
		return !s.Ended.IsZero() && sent.Before(s.Ended) && sent.After(s.Began.Add(-standstillTolerance)) && w.answered.After(s.Ended)
	})
}

// vacant ends the holder of a lease that a replica has made for no one, in the place of one that
// was deleted: the old holder, if there is one that has not noticed, sees it, and every replica
// waits for it to expire.
const vacant = "_vacant"

// leased judges a change of the lease.
func (j *judge) leased(w write) {
	if w.deleted { // who worked goes on until it notices; for the others the lease is as good as renewed
		j.deleted, j.standing = true, time.Time{}
		j.expires = latest(j.expires, w.received.Add(j.duration))
		return
	}
	k := leaseKeyOf(w.lease)
	if !j.deleted && k == j.last {
		return // a label or an annotation, which prolongs nothing
	}
	j.last = k
	byHand := w.by == "" // who worked goes on until it notices
	forNobody := j.deleted && strings.HasSuffix(k.holder, vacant)
	at := w.received.Add(clockTolerance)
	switch {
	case byHand, forNobody:
	case k.holder == "" && w.by != place(j.holder):
		j.complainf(w, "%s has released the lease of %q", w.by, j.holder)
	case k.holder != "" && k.holder != j.owner && at.Before(j.expires):
		j.complainf(w, "%s took the lease of %q %s before it expired", k.holder, j.owner, j.expires.Sub(w.received).Round(time.Millisecond))
	case k.holder != "" && k.holder != j.holder && at.Before(j.standing):
		j.complainf(w, "%s took the lease of %q %s before it expired", k.holder, j.holder, j.standing.Sub(w.received).Round(time.Millisecond))
	}
	j.deleted, j.holder, j.standing = false, k.holder, w.received
	duration := time.Duration(k.duration) * time.Second
	if k.holder != "" {
		j.standing = w.received.Add(duration)
	}
	switch {
	case byHand: // which makes no holder's time shorter
	case forNobody:
		j.owner, j.duration, j.expires = k.holder, duration, latest(j.expires, j.standing)
	default:
		j.worker, j.owner, j.duration, j.expires = k.holder, k.holder, duration, j.standing
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// place is the name of the replica that an identity belongs to.
func place(identity string) string {
	name, _, _ := strings.Cut(identity, "_")
	return name
}

// verify holds what has happened in the scene against the law. For the yardstick it only returns
// what it finds.
func (s *scene) verify(t *testing.T, all []write) []violation {
	t.Helper()
	found := violations(all, s.cluster.Standstills())
	if s.program.ours {
		for i, v := range found {
			if i == 5 {
				t.Errorf("and %d violations more", len(found)-i)
				break
			}
			t.Errorf("%s: %s", v.at.Format(time.StampMicro), v.what)
		}
	}
	if gaps := s.history.gaps; gaps > 0 {
		t.Logf("a watch had %d gaps, in which the order of writes is that of their answers", gaps)
	}
	return found
}

// overlap is what two replicas did at the same time around one takeover.
type overlap struct {
	writes   int           // stored from the old one after the first from the new one
	duration time.Duration // from the first write of the new one to the last of the old one
}

// overlapOf compares the writes of the old and the new worker.
func overlapOf(all []write, old, next string) overlap {
	news := markersBy(all, next)
	if len(news) == 0 {
		return overlap{}
	}
	var o overlap
	for _, w := range markersBy(all, old) {
		if w.rv > news[0].rv {
			o.writes++
			o.duration = max(o.duration, w.received.Sub(news[0].received))
		}
	}
	return o
}
