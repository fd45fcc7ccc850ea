package election

import (
	"slices"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// write is one write of the Lease by this process: what it said, when it was sent, and the
// resourceVersion that it replaces; empty for a creation.
type write struct {
	rec  record
	sent instant
	base string
}

// writeLog remembers the writes of an elector. It is how a Lease is recognised as this process's
// own: by the record, which carries times in microseconds, and not by the holder's name,
// which another process may share.
type writeLog struct {
	lease   *coordinationv1.Lease // as of the last confirmed write or adoption: the base of the next compare-and-swap
	last    write                 // the last confirmed write
	pending []write               // sent since; each may have been stored, at most one was
}

// maxPending bounds the memory of writes without an answer, for the case of a candidate that tries
// for days. One that is forgotten and stored all the same would look like another process's.
const maxPending = 64

// begin notes a write that is about to be sent. Whatever becomes of its reply, the write can be
// recognised later.
func (l *writeLog) begin(w write) {
	if n := len(l.pending); n >= maxPending {
		l.pending = slices.Delete(l.pending, 0, n-maxPending+1)
	}
	l.pending = append(l.pending, w)
}

// abort forgets a write that the API server has refused.
func (l *writeLog) abort(w write) {
	l.pending = slices.DeleteFunc(l.pending, func(p write) bool { return p == w })
}

// confirm notes that w is stored as lease, perhaps with other metadata than it was sent with. Only
// writes that are based on just this state can still be stored after it; the others are forgotten.
func (l *writeLog) confirm(w write, lease *coordinationv1.Lease) {
	if l.lease != nil {
		if sign, ok := order(lease.ResourceVersion, l.lease.ResourceVersion); ok && sign < 0 {
			return // the reply to a write that the watch has reported already, and a later state with it
		}
	}
	l.lease, l.last = lease, w
	l.pending = slices.DeleteFunc(l.pending, func(p write) bool { return p.base != lease.ResourceVersion })
}

// find returns this process's own write that a record stems from.
func (l *writeLog) find(rec record) (write, bool) {
	if l.lease != nil && l.last.rec.sameTenure(rec) {
		return l.last, true
	}
	for _, w := range l.pending {
		if w.rec.sameTenure(rec) {
			return w, true
		}
	}
	return write{}, false
}

// origin is what a look at the Lease means for a term.
type origin int

const (
	originOld     origin = iota // an older state than the one already known
	originOwn                   // my own write, possibly with other metadata
	originForeign               // another process's
	originUnknown               // cannot be put in order with what is known: look again
)

// classify judges a state of the Lease that was seen while leading, and returns the own write it
// stems from, if any. Holder, times and transitions of an own write prove that the Lease had no
// other holder since. A longer duration is corrected by the next renewal; a shorter one is foreign.
func (l *writeLog) classify(lease *coordinationv1.Lease) (origin, write) {
	rec := recordOf(lease)
	w, mine := l.find(rec)
	sign, ok := order(lease.ResourceVersion, l.lease.ResourceVersion)
	switch {
	case ok && sign < 0:
		return originOld, write{}
	case ok && sign == 0, mine && rec.seconds >= w.rec.seconds:
		return originOwn, w
	case !ok:
		return originUnknown, write{}
	default:
		return originForeign, write{}
	}
}
