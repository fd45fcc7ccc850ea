package compose

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/events"
)

// topic is what a trouble is about.
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

// told is a trouble of which there was an event.
type told struct {
	topic
	wording uint64 // see wordingOf
	over    bool   // it has ended, and the event about that was one too many
}

// report records events about troubles that are new or have become others, and about those that are
// over. known says that they are all that there are.
func (o *observer) report(now []trouble, known bool, attempt int) {
	before := o.Memory.events.told(o.parent.UID)
	if first, firstKnown := firstReport(o.Memory, o.parent.UID, known); first || firstKnown {
		before = append(slices.Clone(before), o.toldByStatus(now, first, firstKnown)...)
	}
	var still []told
	for _, t := range now {
		is := told{topic: topic{t.reason, t.id}, wording: wordingOf(o.secrets.clean(t.message))}
		i := slices.IndexFunc(before, func(b told) bool { return b.topic == is.topic })
		isNew := i < 0 || before[i].over
		switch {
		case !isNew && before[i].wording == is.wording:
			still = append(still, is)
		case (!isNew || attempt >= t.patience) && o.record(corev1.EventTypeWarning, t.reason, t.id, t.message, isNew):
			still = append(still, is)
		case i >= 0:
			still = append(still, before[i])
		}
	}
	ended := slices.DeleteFunc(slices.Clone(before), func(b told) bool {
		return slices.ContainsFunc(now, func(t trouble) bool { return b.topic == topic{t.reason, t.id} })
	})
	if known {
		ended = o.tellOver(ended)
	}
	o.Memory.events.tell(o.parent.UID, append(still, ended...))
}

const (
	reasonRecovered = "Recovered"
	// fewEnds is how many troubles that end together have an event each.
	fewEnds = 2
)

// tellOver records events about troubles that are over, one about many of them. It returns those of
// which that is to be said later. If one comes back before, it is new.
func (o *observer) tellOver(ended []told) (later []told) {
	about := func(id ChildID, message string) bool {
		return o.record(corev1.EventTypeNormal, reasonRecovered, id, message, true)
	}
	if n := len(ended); n > fewEnds && about(ended[0].id, fmt.Sprintf("%s is over, and so are %d other troubles", ended[0].topic, n-1)) {
		return nil
	}
	for _, b := range ended {
		if len(ended) > fewEnds || !about(b.id, fmt.Sprintf("%s is over", b.topic)) {
			b.over = true
			later = append(later, b)
		}
	}
	return later
}

// record records an event on the parent about a child, which may be the zero one, and reports
// whether it did: there is a limit, of which what is not urgent leaves half to the rest. Warnings
// and the ends of troubles have one for both, so that what is normal does not use it up. They are
// two classes of the definition: each end belongs to a warning.
func (o *observer) record(kind, reason string, about ChildID, message string, urgent bool) bool {
	class := kind
	if reason == reasonRecovered {
		class = reasonRecovered
	}
	if !o.Memory.events.budget.Take(string(o.parent.UID), class, urgent, o.now()) {
		o.leftOut(reason)
		return false
	}
	o.send(kind, reason, "Compose", about, message)
	return true
}

// tell records a normal event about something that has happened, if there are not too many.
func (o *observer) tell(reason, action string, about ChildID, message string) {
	if !o.Memory.events.budget.Take(string(o.parent.UID), corev1.EventTypeNormal, true, o.now()) {
		o.leftOut(reason)
		return
	}
	o.send(corev1.EventTypeNormal, reason, action, about, message)
}

// leftOut notes that there are too many events for one more.
func (o *observer) leftOut(reason string) {
	o.Metrics.EventDropped(string(events.DropBudget))
	o.Logger.V(1).Info("left out an event: there are too many", "event", reason, "parent", o.parent.text())
}

func (o *observer) send(kind, reason, action string, about ChildID, message string) {
	message = shorten(o.secrets.clean(message))
	if about.Name == "" {
		o.Events.Eventf(o.reference(), nil, kind, reason, action, "%s", message)
		return
	}
	o.Events.Eventf(o.reference(), o.referenceTo(about), kind, reason, action, "%s", message)
}

// endsKnown are the reasons that a status has of troubles that a new process finds in its first
// pass for a parent, if they go on. Others take some time to be troubles again.
var endsKnown = append([]Reason{reasonInvalid, reasonQuota}, refusals...)

// toldByStatus are the troubles of which another process has recorded events, as far as the status
// of the parent shows that. lasting asks for those that go on, ended for those that are over.
func (o *observer) toldByStatus(now []trouble, lasting, ended bool) []told {
	reason, message, ok := o.degraded()
	if !ok {
		return nil
	}
	name := eventReason(reason)
	for _, t := range now {
		if !lasting || t.reason != name || t.patience > 0 {
			continue
		}
		is := told{topic: topic{t.reason, t.id}, wording: wordingOf(message)}
		if text := o.secrets.clean(t.message); contains(constantWords(message), constantWords(shorten(text))) {
			is.wording = wordingOf(text)
		}
		return []told{is}
	}
	if ended && slices.Contains(endsKnown, reason) && !slices.ContainsFunc(now, func(t trouble) bool { return t.reason == name }) {
		return []told{{topic: topic{reason: name}}}
	}
	return nil
}

// contains reports whether words are within others, in a row.
func contains(all, words []string) bool {
	for i := range all {
		if len(all)-i >= len(words) && slices.Equal(all[i:i+len(words)], words) {
			return true
		}
	}
	return false
}

// degraded is what the status of the parent says is wrong.
func (o *observer) degraded() (reason Reason, message string, ok bool) {
	if c, there := o.ownCondition(conditionDegraded); there && c.Status == truth(true) {
		return Reason(c.Reason), c.Message, true
	}
	return "", "", false
}

// writtenCondition is a condition in a status.
type writtenCondition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
	LastTransitionTime string `json:"lastTransitionTime"`
}

// ownCondition is a condition of kooperd that the status of the parent has; false without one.
func (o *observer) ownCondition(kind string) (writtenCondition, bool) {
	if o.Status.None || scheme.Scheme.Recognizes(o.Kind) {
		return writtenCondition{}, false
	}
	var object struct {
		Status struct {
			Conditions []writtenCondition `json:"conditions"`
		} `json:"status"`
	}
	text, err := o.object.JSON()
	if err != nil || json.Unmarshal(text, &object) != nil {
		return writtenCondition{}, false // There are conditions of another form.
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == o.Status.ConditionPrefix+kind {
			return condition, true
		}
	}
	return writtenCondition{}, false
}

// reports are the reports there were about a parent.
type reports struct{ any, known bool }

// firstReport reports whether it is called for a parent for the first time, and whether it is for
// the first time with known: only that one says what is over.
func firstReport(m *Memory, parent types.UID, known bool) (first, firstKnown bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.of(parent)
	before := p.reports
	p.reports = reports{any: true, known: before.known || known}
	return !before.any, known && !before.known
}

// eventLog is what is remembered of the events of a definition. It is safe for concurrent use.
type eventLog struct {
	budget *events.Budget

	mu      sync.Mutex
	parents map[types.UID][]told
}

func newEventLog() *eventLog {
	return &eventLog{budget: events.NewSharedBudget(), parents: map[types.UID][]told{}}
}

// told returns the troubles of a parent that were told and are not over.
func (l *eventLog) told(parent types.UID) []told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parents[parent]
}

// tell notes which they are.
func (l *eventLog) tell(parent types.UID, all []told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(all) == 0 {
		delete(l.parents, parent)
		return
	}
	l.parents[parent] = all
}

func (l *eventLog) forget(parent types.UID) {
	l.budget.Forget(string(parent))
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.parents, parent)
}

// clear forgets what was told. What is used of the budget stays so.
func (l *eventLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.parents)
}
