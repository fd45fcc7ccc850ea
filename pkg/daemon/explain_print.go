package daemon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// explanation is a report on an object for people.
type explanation struct {
	*sheet
	report *statusz.ObjectReport
	whole  *statusz.Report
}

// writeExplanation adds what is known of an object to a sheet. whole is of the same replica, for
// the states of definitions.
func writeExplanation(s *sheet, report *statusz.ObjectReport, whole *statusz.Report) {
	e := explanation{sheet: s, report: report, whole: whole}
	name := refText(report.Object)
	if report.Object.APIVersion != "" {
		name += " (" + report.Object.APIVersion + ")"
	}
	e.line(cell{name, bold})
	e.sentence(plainly, e.replica())
	for _, row := range report.ChildOf {
		e.sentence(plainly, e.parent(row))
	}
	if len(report.Definitions) == 0 {
		e.sentence(plainly, "No definition handles it.")
	}
	for i := range report.Definitions {
		e.definition(&report.Definitions[i])
	}
}

// sentence adds a sentence, which may take several lines.
func (e explanation) sentence(p paint, text string) {
	for _, line := range e.fold(text, e.width) {
		e.line(cell{line, p})
	}
}

// replica says who tells this.
func (e explanation) replica() string {
	name := e.whole.Process.Name
	l := e.whole.Leadership
	renewed := ago(l.Renewed, e.whole.Time)
	switch e.whole.Leader() {
	case statusz.LeaderItself:
		if l.Disabled {
			return fmt.Sprintf("Told by %s, which works without leader election.", name)
		}
		if l.Unneeded {
			return fmt.Sprintf("Told by %s, which works like every replica: no definition needs the lease.", name)
		}
		return fmt.Sprintf("Told by %s, which has led for %s.", name, ago(l.Since, e.whole.Time))
	case statusz.LeaderOther:
		return fmt.Sprintf("Told by %s, a standby, which handles nothing under the lease: what was done is known to %s, which leads.", name, l.Holder)
	case statusz.LeaderGone:
		return fmt.Sprintf("Told by %s, a standby, which handles nothing under the lease. Who leads is not known: %s held the lease, which was renewed last %s ago.", name, l.Holder, renewed)
	case statusz.LeaderLost:
		return fmt.Sprintf("Told by %s, which has lost the lease, renewed last %s ago, and handles nothing under it. Who leads now is not known.", name, renewed)
	case statusz.LeaderUnknown:
		return fmt.Sprintf("Told by %s, a standby, which handles nothing under the lease. It has not read the lease yet.", name)
	case statusz.LeaderNobody:
	}
	return fmt.Sprintf("Told by %s, a standby. Nobody leads, so nothing under the lease is handled.", name)
}

// parent says whose child the object is.
func (e explanation) parent(row statusz.ObjectRow) string {
	text := fmt.Sprintf("It is a child of %s, made by definition %s", refText(row.Object), row.Definition)
	if row.Reason != "" {
		text += ": " + row.Reason
	}
	return text + since(row.Since, e.report.Time) + "."
}

// since is a remark on how long something has been so.
func since(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return ", for " + ago(at, now)
}

// definition says how the object stands with one definition.
func (e explanation) definition(in *statusz.ObjectIn) {
	e.title("Definition " + in.Definition)
	state := e.stateOf(in.Definition)
	if state != nil && state.State != status.Running {
		text := fmt.Sprintf("The definition is %s%s", state.State, since(state.Since, e.whole.Time))
		if state.Reason != "" {
			text += ": " + state.Reason
		}
		e.sentence(statePaint(state.State), text+".")
	}
	e.sentence(plainly, e.standing(in, state))
	if in.GivenUp {
		e.sentence(red, "It was given up: there is no retry. It is called again when it changes, at a resync, or by the next leader.")
	}
	if in.Waiting != "" && in.Waiting != "nothing" {
		e.sentence(plainly, "It waits for "+in.Waiting+".")
	}
	if in.Failures > 0 {
		calls := "call"
		if in.Failures > 1 {
			calls = fmt.Sprintf("%d calls in a row", in.Failures)
		}
		e.sentence(red, strings.TrimSuffix("The last "+calls+" failed: "+in.Error, ": "))
	}
	for _, row := range in.Blocked {
		e.sentence(yellow, blockedText(row, e.report.Object)+since(row.Since, e.report.Time))
	}
	e.handlings(in)
}

// stateOf is the state of a definition; nil if the replica does not have it any more.
func (e explanation) stateOf(name string) *statusz.Definition {
	i := slices.IndexFunc(e.whole.Definitions, func(d statusz.Definition) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &e.whole.Definitions[i]
}

// standing says whether the definition handles the object, and why not.
func (e explanation) standing(in *statusz.ObjectIn, d *statusz.Definition) string {
	switch {
	case !in.Cached:
		return "It watches the kind, but not this object: there is none of this name, or it is not in the namespaces and selectors of its watch."
	case !in.Matches:
		return "It sees the object and does not want it: where, or what else the definition asks for, leaves it out."
	case d != nil && d.State == status.Paused:
		return "It would handle the object, but it is paused."
	case !e.report.Leading && (d == nil || !d.EveryReplica):
		return "It handles the object, on the replica that leads."
	}
	return "It handles the object."
}

// blockedText says what keeps an object from being ready.
func blockedText(row statusz.ObjectRow, object statusz.ObjectRef) string {
	about := row.Child
	if about == "" && (row.Object.Name != object.Name || row.Object.Namespace != object.Namespace || row.Object.Kind != object.Kind) {
		about = refText(row.Object)
	}
	if about == "" {
		return "Blocked: " + row.Reason
	}
	return "Blocked by " + about + ": " + row.Reason
}

// handlings are the last calls.
func (e explanation) handlings(in *statusz.ObjectIn) {
	if len(in.Handlings) == 0 {
		switch {
		case !e.whole.History.Enabled:
			e.sentence(faint, "No calls are remembered, as --history-limit=0 says.")
		case e.report.Leading && in.Cached && in.Matches:
			e.sentence(faint, "No call for it is remembered: there was none since this process works, or it was too long ago.")
		}
		return
	}
	rows := [][]cell{{
		{"WHEN", bold}, {"CAUSE", bold}, {"TRY", bold}, {"TOOK", bold}, {"RESULT", bold}, {"CHANGED, WRITTEN, AND WHY", bold},
	}}
	for i := range in.Handlings {
		h := in.Handlings[i]
		if i > 0 {
			h.Again = time.Time{} // The call that came then is above.
		}
		result := cell{h.Result, green}
		if h.Result != "done" && h.Result != "requeue" {
			result.paint = red
		}
		rows = append(rows, []cell{
			{text: ago(h.Began, e.report.Time)}, {text: h.Cause}, {text: fmt.Sprint(h.Attempt)}, {text: shortSeconds(h.Took)}, result,
			{text: e.whatHappened(&h)},
		})
	}
	e.lines = append(e.lines, "")
	e.table(rows)
}

// whatHappened is what there is to say of a call in words.
func (e explanation) whatHappened(h *statusz.Handling) string {
	var texts []string
	if len(h.Changed) > 0 {
		texts = append(texts, "changed: "+strings.Join(h.Changed, ", "))
	}
	if h.By != "" {
		texts = append(texts, "called by "+h.By)
	}
	if len(h.Writes) > 0 {
		texts = append(texts, "wrote: "+writesText(h))
	}
	if h.Error != "" {
		texts = append(texts, h.Error)
	}
	if !h.Again.IsZero() {
		if wait := h.Again.Sub(e.report.Time); wait > 0 {
			texts = append(texts, "again in "+shortSeconds(statusz.Seconds(wait.Seconds())))
		}
	}
	return strings.Join(texts, "; ")
}

// writesText lists the writes of a call.
func writesText(h *statusz.Handling) string {
	texts := make([]string, 0, len(h.Writes)+1)
	for _, w := range h.Writes {
		text := w.Verb + " " + w.Object
		if w.Subresource != "" {
			text += " (" + w.Subresource + ")"
		}
		switch {
		case w.Status == 0:
			text += " (no answer)"
		case w.Status >= 300:
			text += fmt.Sprintf(" (%d)", w.Status)
		}
		texts = append(texts, text)
	}
	if more := h.WritesTotal - len(h.Writes); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}
