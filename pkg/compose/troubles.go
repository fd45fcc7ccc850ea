package compose

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

const (
	// maxTroubles is how many troubles of one parent events are recorded about.
	maxTroubles = 8
	// fewFailures is how many calls in a row may fail in a way that passes by itself, before there
	// is an event, and fewRefusals how many may be forbidden: a replica that has just become the
	// leader may be ahead of the policy that lets it write.
	fewFailures = 2
	fewRefusals = 1
	// parentEvents is how many events of one type a parent may have at once, and parentEvery after
	// how long there may be another one. The same of the whole definition.
	parentEvents     = 10
	parentEvery      = 6 * time.Minute
	definitionEvents = 100
	definitionEvery  = time.Second
)

// trouble is something that a person should know of.
type trouble struct {
	reason   string
	id       ChildID // zero where it is about no single child
	message  string
	patience int // how many failed calls before are no reason for an event
}

// topic is what is remembered of a trouble of which there was an event.
type topic struct {
	reason string
	id     ChildID
}

func (t topic) String() string {
	if t.id.Name == "" {
		return t.reason
	}
	return fmt.Sprintf("%s of %s", t.reason, t.id)
}

// refusals are the reasons of objects that are left alone; their events have a reason in common.
var refusals = []Reason{ReasonForeign, ReasonOtherParent, ReasonDuplicate, ReasonOrder, ReasonOwnChild}

// troubles are those of the pass, the first ones first.
func (p *pass) troubles() (all []trouble) {
	add := func(reason Reason, id ChildID, message string, err error) {
		name := string(reason)
		if slices.Contains(refusals, reason) {
			name = "Refused"
		}
		is := func(other trouble) bool { return other.reason == name && other.id == id }
		if len(all) < maxTroubles && !slices.ContainsFunc(all, is) {
			all = append(all, trouble{reason: name, id: id, message: message, patience: patienceWith(err)})
		}
	}
	if putOff(p.err) {
		return nil
	}
	if p.err != nil {
		add(reasonOf(p.err), ChildID{}, p.err.Error(), p.err)
		return all
	}
	for _, f := range p.fights {
		add(ReasonFight, f.id, f.message, nil)
	}
	for _, op := range p.ops {
		failure := p.failed[op.ID]
		switch {
		case failure != nil:
			add(failure.reason, op.ID, failure.Error(), failure)
		case op.Action == Refuse:
			add(op.Reason, op.ID, op.Message, nil)
		case op.Reason == reasonTerminating && op.ID.Namespace != p.parent.Namespace: // There, events are refused too.
			add(op.Reason, ChildID{}, fmt.Sprintf("%s: %s", op.ID, op.Message), nil)
		case op.Reason == ReasonPruneHeld:
			add(op.Reason, ChildID{}, fmt.Sprintf("%s: %s", op.ID, op.Message), nil)
		case op.Reason == ReasonDrift && op.Action == Skip:
			add(op.Reason, op.ID, fmt.Sprintf("%s: %s", op.ID, op.Message), nil)
		}
	}
	if failure := p.labels.failure; failure != nil {
		add(failure.reason, ChildID{}, failure.Error(), failure)
	}
	p.patches.tellTroubles(add)
	return all
}

// patienceWith is how many calls may fail with an error, nil for none, before there is an event.
func patienceWith(err error) int {
	switch {
	case err == nil, handlers.IsTerminal(err):
		return 0
	case passing(err):
		return fewFailures
	case apierrors.IsForbidden(err):
		return fewRefusals
	default:
		return 0
	}
}

// reasonOf is the reason of an error that keeps a whole pass from its work.
func reasonOf(err error) Reason {
	if failure, ok := errors.AsType[*opError](err); ok {
		return failure.reason
	}
	if putOff(err) {
		return reasonPutOff
	}
	return "ComposeFailed"
}

// report records events about troubles that are new, and about those that are over. known says that
// they are all that there are.
func (o *observer) report(now []trouble, known bool, attempt int) {
	said := o.Memory.events.said(o.parent.UID)
	var still []topic
	for _, t := range now {
		about := topic{t.reason, t.id}
		earlier := slices.Contains(said, about)
		if !earlier && attempt < t.patience {
			continue
		}
		if earlier || o.tell(corev1.EventTypeWarning, t.reason, "Compose", t.id, t.message) {
			still = append(still, about)
		}
	}
	for _, about := range said {
		if slices.ContainsFunc(now, func(t trouble) bool { return about == topic{t.reason, t.id} }) {
			continue
		}
		if !known {
			still = append(still, about)
			continue
		}
		o.tell(corev1.EventTypeNormal, "Recovered", "Compose", about.id, fmt.Sprintf("%s is over", about))
	}
	o.Memory.events.say(o.parent.UID, still)
}

// tell records an event on the parent about a child, which may be the zero one, and reports whether
// it did: there is a limit.
func (o *observer) tell(kind, reason, action string, about ChildID, message string) bool {
	if !o.Memory.events.allow(o.parent.UID, kind, o.now()) {
		o.Logger.V(1).Info("left out an event: there are too many", "event", reason, "parent", o.parent.text())
		return false
	}
	message = shorten(o.secrets.clean(message))
	if about.Name == "" {
		o.Events.Eventf(o.reference(), nil, kind, reason, action, "%s", message)
	} else {
		o.Events.Eventf(o.reference(), o.referenceTo(about), kind, reason, action, "%s", message)
	}
	return true
}

// tellPruned records an event about children that were deleted.
func (o *observer) tellPruned(ops []Op) {
	var gone []ChildID
	for _, op := range ops {
		if op.Action == Delete {
			gone = append(gone, op.ID)
		}
	}
	switch n := len(gone); {
	case n == 1:
		o.tell(corev1.EventTypeNormal, "Pruned", "Delete", gone[0], fmt.Sprintf("deleted %s, which is not desired any more", gone[0]))
	case n > 1:
		o.tell(corev1.EventTypeNormal, "Pruned", "Delete", ChildID{},
			fmt.Sprintf("deleted %s and %d more children, which are not desired any more", gone[0], n-1))
	}
}

// eventLog is what is remembered of the events of a definition. It is safe for concurrent use.
type eventLog struct {
	mu      sync.Mutex
	parents map[types.UID]*parentEventLog
	all     map[string]bucket // by type
}

// parentEventLog is the same of one parent.
type parentEventLog struct {
	said    []topic
	buckets map[string]bucket // by type
}

func newEventLog() *eventLog {
	return &eventLog{parents: map[types.UID]*parentEventLog{}, all: map[string]bucket{}}
}

func (l *eventLog) said(parent types.UID) []topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.parents[parent]; p != nil {
		return p.said
	}
	return nil
}

func (l *eventLog) say(parent types.UID, said []topic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.parents[parent]; p != nil {
		p.said = said
	}
}

// allow reports whether there may be an event of a type. Each type has a limit of its own, so that
// what is normal does not use up that of warnings.
func (l *eventLog) allow(parent types.UID, kind string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.parents[parent]
	if p == nil {
		p = &parentEventLog{buckets: map[string]bucket{}}
		l.parents[parent] = p
	}
	all, ok := l.all[kind].take(now, definitionEvents, definitionEvery)
	if !ok {
		return false
	}
	own, ok := p.buckets[kind].take(now, parentEvents, parentEvery)
	if ok {
		l.all[kind], p.buckets[kind] = all, own
	}
	return ok
}

func (l *eventLog) forget(parent types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.parents, parent)
}

func (l *eventLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.parents)
}

// bucket limits how often something happens. The zero bucket is full.
type bucket struct {
	used int // of the tokens, at that time
	at   time.Time
}

// take returns the bucket without one more token, or false if there is none.
func (b bucket) take(now time.Time, size int, every time.Duration) (bucket, bool) {
	if back := int(now.Sub(b.at) / every); b.used > 0 && back > 0 {
		b.used, b.at = max(b.used-back, 0), b.at.Add(time.Duration(back)*every)
	}
	if b.used >= size {
		return b, false
	}
	if b.used == 0 {
		b.at = now
	}
	b.used++
	return b, true
}
