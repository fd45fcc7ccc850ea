package election

import "time"

// tenure is what a candidate knows about who may rely on the Lease, whatever the Lease says by
// now. A holder that does not hear of an edit by hand works on until its renew deadline, so an
// edit may only make others wait longer: see
// docs/decisions/0011-a-hand-edit-never-shortens-a-tenure.md.
type tenure struct {
	own    time.Duration // this candidate's lease duration, for what it cannot know
	last   record        // the last genuine record; zero when none has been seen
	length time.Duration // for how long the last genuine record is good
	until  time.Duration // boot time before which another process may rely on the Lease
	others time.Duration // the same for those who may have held it before the last genuine record
}

// course says how a state of the Lease follows the one that was seen before.
type course int

const (
	begun       course = iota // it is the first one
	continued                 // it is a later one of the same object
	interrupted               // the object was deleted in between, or the API server was restored from a backup
)

// unproven bounds the duration of a record without a renewal, when it no longer stands in the
// Lease: a mistake can write 68 years into it.
const unproven = 10 * time.Minute

// observe records a changed record that follows before. expired says that the Lease could have
// been taken before this change.
func (t *tenure) observe(rec, before record, how course, expired bool, boot time.Duration) {
	switch {
	case rec.released() && (how == begun || how == continued && t.endedBy(rec, before)):
		t.last, t.length, t.until = rec, 0, max(boot, t.others)
	case how == continued && rec.renews(t.last) && rec.seconds >= t.last.seconds:
		t.last, t.length = rec, rec.duration()
		t.extend(boot + t.length)
	case how == continued && rec.renews(t.last) && before.renews(t.last) && rec.renews(before) && rec.seconds == before.seconds:
		// The second renewal in a row with the same duration, so the longer one was of
		// another process.
		t.last, t.length = rec, rec.duration()
		t.until = max(t.others, boot+t.length)
	case how == continued && t.last != (record{}) && t.begunBy(rec, expired) && rec.unrenewed():
		t.begin(rec, expired, boot+t.length, boot)
	case rec.complete() && how == begun:
		t.begin(rec, true, 0, boot)
		t.extend(boot + t.own) // the record may have been shortened
	case rec.complete() && (how == interrupted || t.begunBy(rec, expired)):
		t.begin(rec, expired && how == continued, boot+max(t.own, t.length), boot)
		t.extend(boot + t.own)
	default:
		t.extend(boot + t.careful(rec))
	}
}

// begin records the first record of another tenure than the last one. Unless that had expired or
// was released, its holder may go on until others, also when the new one is released.
func (t *tenure) begin(rec record, expired bool, others, boot time.Duration) {
	t.last, t.length = rec, t.credit(rec)
	t.others = t.until
	if !expired {
		t.others = max(t.others, others)
	}
	t.until = max(t.others, boot+t.length)
}

// interrupt records that the Lease was deleted or replaced, which its holder may not know.
func (t *tenure) interrupt(boot time.Duration) { t.extend(boot + t.careful(record{})) }

// extend never makes a tenure shorter.
func (t *tenure) extend(until time.Duration) { t.until = max(t.until, until) }

// endedBy reports whether a record in the form of a release ends the tenure that was seen last, or
// a later one that was not seen. One that was written back by hand is of an earlier tenure; one
// that an edit has put together lacks new times.
func (t *tenure) endedBy(rec, before record) bool {
	for _, held := range []record{t.last, before} {
		if held.holder == "" {
			continue
		}
		anew := rec.renewed > held.renewed || rec.renewed == held.renewed && rec.acquired != held.acquired
		if rec.transitions < held.transitions || rec.transitions == held.transitions && !anew {
			return false
		}
	}
	return true
}

// begunBy reports whether a record can be that of a later tenure than the last genuine one.
func (t *tenure) begunBy(rec record, expired bool) bool {
	last := t.last
	return rec.complete() && (last == (record{}) || expired || rec.transitions > last.transitions ||
		rec.holder == last.holder && rec.transitions == last.transitions && rec.acquired != last.acquired)
}

// credit is for how long a record is believed of which no renewal was seen: for its duration, but
// not for longer than this candidate would hold the Lease itself, or unproven if that is more.
func (t *tenure) credit(rec record) time.Duration { return min(rec.duration(), max(t.own, unproven)) }

// careful is for how long another process may still rely on the Lease after an edit that left rec
// in it. It is the longest of these: what the last genuine record said, what this candidate would
// write, and, if another holder may have left rec, what rec says.
func (t *tenure) careful(rec record) time.Duration {
	d := max(t.own, t.length)
	if t.last == (record{}) || rec.transitions != t.last.transitions {
		d = max(d, t.credit(rec))
	}
	return d
}
