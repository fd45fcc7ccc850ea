package compose

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

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
}

// report records events about troubles that are new or have become others, and about those that are
// over. known says that they are all that there are.
func (o *observer) report(now []trouble, known bool, attempt int) {
	before := o.Memory.events.told(o.parent.UID)
	if firstReport(o.Memory, o.parent.UID) {
		before = o.toldByStatus(now)
	}
	var still []told
	for _, t := range now {
		is := told{topic{t.reason, t.id}, wordingOf(o.secrets.clean(t.message))}
		i := slices.IndexFunc(before, func(b told) bool { return b.topic == is.topic })
		switch {
		case i < 0 && attempt < t.patience:
		case i >= 0 && before[i].wording == is.wording:
			still = append(still, is)
		case o.record(corev1.EventTypeWarning, t.reason, t.id, t.message, i < 0):
			still = append(still, is)
		case i >= 0:
			still = append(still, before[i])
		}
	}
	for _, b := range before {
		if slices.ContainsFunc(now, func(t trouble) bool { return b.topic == topic{t.reason, t.id} }) {
			continue
		}
		if !known || !o.record(corev1.EventTypeNormal, reasonRecovered, b.id, fmt.Sprintf("%s is over", b.topic), true) {
			still = append(still, b) // It is said later.
		}
	}
	o.Memory.events.tell(o.parent.UID, still)
}

const reasonRecovered = "Recovered"

// record records an event on the parent about a child, which may be the zero one, and reports
// whether it did: there is a limit, of which what is not urgent leaves half to the rest. Warnings
// have a limit of their own, so that what is normal does not use it up, and so have the ends of
// troubles: each of them belongs to a warning.
func (o *observer) record(kind, reason string, about ChildID, message string, urgent bool) bool {
	class := kind
	if reason == reasonRecovered {
		class = reasonRecovered
	}
	if !o.Memory.events.budget.Take(string(o.parent.UID), class, urgent, o.now()) {
		o.Logger.V(1).Info("left out an event: there are too many", "event", reason, "parent", o.parent.text())
		return false
	}
	o.send(kind, reason, "Compose", about, message)
	return true
}

// tell records a normal event about something that has happened, if there are not too many.
func (o *observer) tell(reason, action string, about ChildID, message string) {
	if !o.Memory.events.budget.Take(string(o.parent.UID), corev1.EventTypeNormal, true, o.now()) {
		o.Logger.V(1).Info("left out an event: there are too many", "event", reason, "parent", o.parent.text())
		return
	}
	o.send(corev1.EventTypeNormal, reason, action, about, message)
}

func (o *observer) send(kind, reason, action string, about ChildID, message string) {
	message = shorten(o.secrets.clean(message))
	if about.Name == "" {
		o.Events.Eventf(o.reference(), nil, kind, reason, action, "%s", message)
		return
	}
	o.Events.Eventf(o.reference(), o.referenceTo(about), kind, reason, action, "%s", message)
}

// wordingOf is the same for messages that differ in numbers, and in words with numbers, alone: they
// are mostly of the single call.
func wordingOf(message string) uint64 {
	sum := fnv.New64a()
	for _, word := range constantWords(message) {
		_, _ = sum.Write([]byte(word)) // It never fails.
	}
	return sum.Sum64()
}

func constantWords(message string) []string {
	return slices.DeleteFunc(strings.Fields(message), func(word string) bool { return strings.ContainsFunc(word, unicode.IsDigit) })
}

// endsKnown are the reasons that a status has of troubles that a new process finds in its first
// pass for a parent, if they go on. Others take some time to be troubles again.
var endsKnown = append([]Reason{reasonInvalid, reasonQuota}, refusals...)

// toldByStatus are the troubles of which another process has recorded events, as far as the status
// of the parent shows that.
func (o *observer) toldByStatus(now []trouble) []told {
	reason, message, ok := o.degraded()
	if !ok {
		return nil
	}
	name := eventReason(reason)
	for _, t := range now {
		if t.reason != name || t.patience > 0 {
			continue
		}
		is := told{topic{t.reason, t.id}, wordingOf(message)}
		if text := o.secrets.clean(t.message); contains(constantWords(message), constantWords(shorten(text))) {
			is.wording = wordingOf(text)
		}
		return []told{is}
	}
	if slices.Contains(endsKnown, reason) && !slices.ContainsFunc(now, func(t trouble) bool { return t.reason == name }) {
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
	if o.Status.None {
		return "", "", false
	}
	var object struct {
		Status struct {
			Conditions []struct {
				Type    string `json:"type"`
				Status  string `json:"status"`
				Reason  string `json:"reason"`
				Message string `json:"message"`
			} `json:"conditions"`
		} `json:"status"`
	}
	text, err := o.object.JSON()
	if err != nil || json.Unmarshal(text, &object) != nil {
		return "", "", false // There are conditions of another form.
	}
	for _, c := range object.Status.Conditions {
		if c.Type == o.Status.ConditionPrefix+conditionDegraded && c.Status == truth(true) {
			return Reason(c.Reason), c.Message, true
		}
	}
	return "", "", false
}

// firstReport reports whether it is called for a parent for the first time.
func firstReport(m *Memory, parent types.UID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.of(parent)
	first := !p.reported
	p.reported = true
	return first
}

// eventLog is what is remembered of the events of a definition. It is safe for concurrent use.
type eventLog struct {
	budget *events.Budget

	mu      sync.Mutex
	parents map[types.UID][]told
}

func newEventLog() *eventLog {
	return &eventLog{budget: events.NewBudget(), parents: map[types.UID][]told{}}
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
