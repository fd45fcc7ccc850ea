package election

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// observedLease is what a candidate knows about a Lease that it does not hold.
type observedLease struct {
	looked bool                  // the Lease, or its absence, has been seen at least once
	lease  *coordinationv1.Lease // nil when it does not exist
	rv     string                // the latest resourceVersion seen
	rec    record                // the latest record seen; kept when the Lease is deleted
	since  time.Duration         // boot time when rec was first seen

	// alone says that no Lease has ever been seen, only its absence, which was last confirmed at
	// missed, by boot time.
	alone  bool
	missed time.Duration

	// inherited marks a record with this process's identity that was there on the first look of
	// this process: a previous process in the same place left it behind. One that appears later was
	// written by a living process.
	inherited bool
	// stale says that an attempt to take the Lease was refused: there must be a newer state than
	// this one.
	stale bool

	tenure tenure
}

// observe records a state of the Lease, unless it is older than what is known. It reports whether
// the record has changed. gapless says that every state since the last one was seen, too.
func (v *observedLease) observe(lease *coordinationv1.Lease, identity string, boot time.Duration, gapless bool) bool {
	if v.outdates(lease.ResourceVersion) {
		return false
	}
	rec := recordOf(lease)
	how := continued
	switch {
	case !v.looked, v.lease == nil && v.alone:
		how = begun
	case v.lease == nil, v.lease.UID != lease.UID:
		how = interrupted
	}
	first, changed := !v.looked, how != continued || rec != v.rec
	switch {
	case changed:
		v.tenure.observe(rec, v.rec, how, v.wait(boot, false) == 0, boot)
	case !gapless && lease.ResourceVersion != v.rv: // the record may have been written back, over that of another
		v.tenure.interrupt(boot)
	}
	v.stale = v.stale && lease.ResourceVersion == v.rv
	v.looked, v.lease, v.rv, v.alone = true, lease, lease.ResourceVersion, false
	if !changed {
		return false // only its metadata
	}
	v.rec, v.since = rec, boot
	v.inherited = first && rec.holder == identity
	return true
}

// outdates reports whether a state with resourceVersion rv is history: late news from a watch,
// possibly of a Lease that is deleted by now.
func (v *observedLease) outdates(rv string) bool {
	sign, ok := order(rv, v.rv)
	return ok && (sign < 0 || sign == 0 && v.looked && v.lease == nil)
}

// observeAbsence records that the Lease does not exist. rv is that of the deletion; empty when it
// was found missing, which is never old news. Absence that was not confirmed for longer than gap
// may have been interrupted.
func (v *observedLease) observeAbsence(rv string, boot, gap time.Duration) {
	if rv != "" {
		if v.outdates(rv) {
			return
		}
		v.rv = rv
	}
	if v.lease != nil {
		v.tenure.interrupt(boot)
	}
	v.alone = rv == "" && (!v.looked || v.neverSeen(boot, gap))
	v.looked, v.lease, v.inherited, v.stale, v.missed = true, nil, false, false, boot
}

// neverSeen reports whether, as far as this process knows, there has never been a Lease.
func (v *observedLease) neverSeen(boot, gap time.Duration) bool {
	return v.lease == nil && v.alone && boot-v.missed <= gap
}

// wait returns for how long this candidate has to leave the Lease alone; zero means that it may
// take it. mine reports whether this very process wrote the record: then no other process relies
// on it.
//
// A Lease counts from when its record was last seen to change. The holder's renewTime stems from
// another machine's clock and is never compared. If a change was missed, the compare-and-swap
// fails.
func (v *observedLease) wait(boot time.Duration, mine bool) time.Duration {
	switch {
	case !v.looked, v.stale:
		return maxWait
	case v.lease == nil, mine, v.inherited:
		return 0
	default:
		return max(v.until()-boot, 0)
	}
}

// until returns the boot time before which the Lease, which exists, has to be left alone.
func (v *observedLease) until() time.Duration {
	if !v.rec.held() {
		return v.tenure.until
	}
	return max(v.tenure.until, v.since+v.rec.duration())
}

// maxWait stands for "not before something is seen".
const maxWait = time.Duration(1<<63 - 1)
