package daemon

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// fewDefinitions is how many definitions are listed in any case.
const fewDefinitions = 20

// statusSheet is a report for people.
type statusSheet struct {
	*sheet
	report *statusz.Report
	few    int // beyond so many definitions, those are left out that just run
}

// writeStatus adds a report to a sheet: first what everything stands on, then what needs somebody's
// attention, then what there is. Beyond few definitions, those that just run are counted only.
func writeStatus(s *sheet, report *statusz.Report, few int) {
	w := statusSheet{sheet: s, report: report, few: few}
	w.head()
	w.attention()
	w.definitions()
	w.sources()
}

// head says who leads, which config runs, and whether the replica is ready.
func (w statusSheet) head() {
	ready := cell{"yes", green}
	if !w.report.Ready {
		ready = cell{"no: waiting for " + strings.Join(w.report.Awaited, ", "), yellow}
	}
	w.fields(slices.Concat([][2]cell{
		{{"replica", bold}, {w.process(), plainly}},
		{{"leader", bold}, w.leader()},
		{{"config", bold}, {w.config(), plainly}},
	}, w.refused(), [][2]cell{
		{{"ready", bold}, ready},
		{{"history", bold}, {w.history(), plainly}},
	}))
}

// refused says why the config that was read last does not run, with a line for each of several
// mistakes.
func (w statusSheet) refused() [][2]cell {
	r := w.report.Config.Refused
	if r == nil {
		return nil
	}
	text, mistakes := fmt.Sprintf("for %s a newer config does not run:", ago(r.Since, w.report.Time)), r.Lines()
	if len(mistakes) == 1 {
		return [][2]cell{{{"refused", bold}, {text + " " + mistakes[0], red}}}
	}
	rows := [][2]cell{{{"refused", bold}, {text, red}}}
	for _, mistake := range mistakes {
		rows = append(rows, [2]cell{{}, {mistake, red}})
	}
	return rows
}

func (w statusSheet) process() string {
	p := w.report.Process
	text := strings.TrimSpace(fmt.Sprintf("%s, kooperd %s", p.Name, p.Version))
	if up := ago(p.Started, w.report.Time); up != "" {
		text += ", up " + up
	}
	return text
}

func (w statusSheet) leader() cell {
	l := w.report.Leadership
	since := ""
	if !l.Since.IsZero() {
		since = ", for " + ago(l.Since, w.report.Time)
	}
	lease := ", by the lease " + l.Lease
	if l.Lease == "" {
		lease = ""
	}
	renewed := "renewed last " + ago(l.Renewed, w.report.Time) + " ago"
	const knows = "this replica handles nothing, and knows of no calls"
	switch w.report.Leader() {
	case statusz.LeaderItself:
		if l.Disabled {
			return cell{"leader election is disabled: this replica works", plainly}
		}
		if l.Unneeded {
			return cell{"no definition needs the lease: every replica works", plainly}
		}
		return cell{"this replica" + since + lease, green}
	case statusz.LeaderOther:
		return cell{l.Holder + since + lease + "; this replica is a standby: it handles nothing, and knows of no calls", yellow}
	case statusz.LeaderGone:
		return cell{"not known: " + l.Holder + " held the lease " + l.Lease + ", which was " + renewed + ", and may have gone; " + knows, red}
	case statusz.LeaderLost:
		return cell{"not known: this replica has lost the lease " + l.Lease + ", " + renewed + "; it handles nothing, and knows of no calls", red}
	case statusz.LeaderUnknown:
		return cell{"not known: this replica has not read the lease " + l.Lease + " yet", yellow}
	case statusz.LeaderNobody:
	}
	return cell{"nobody" + lease + "; " + knows, red}
}

func (w statusSheet) config() string {
	c := w.report.Config
	text := shortHash(c.Running.Hash)
	if since := ago(c.Running.Accepted, w.report.Time); since != "" {
		text += ", for " + since
	}
	if c.From != "" {
		text += ", from " + c.From
	}
	if what := changesText(c.Running.Changed); what != "" && len(c.Before) > 0 {
		text += "; with it came: " + what
	}
	return text
}

// shortHash is enough of a hash to tell two configs apart.
func shortHash(hash string) string { return hash[:min(len(hash), 12)] }

// changesText says what a revision has changed, the first few of it.
func changesText(changes []statusz.Change) string {
	const most = 5
	var texts []string
	for _, change := range changes[:min(len(changes), most)] {
		texts = append(texts, change.Definition+" "+change.What)
	}
	if more := len(changes) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

func (w statusSheet) history() string {
	h := w.report.History
	if !h.Enabled {
		return "no calls are remembered (--history-limit=0)"
	}
	return fmt.Sprintf("%s of %s, %s of %s", plural(h.Handlings, "call", "calls"), plural(h.Objects, "object", "objects"),
		statusz.ByteSize(h.Bytes), statusz.ByteSize(h.Limit))
}

// attention lists the objects that somebody should look at.
func (w statusSheet) attention() {
	o := w.report.Objects
	rows := [][]cell{{{"TROUBLE", bold}, {"DEFINITION", bold}, {"OBJECT", bold}, {"FOR", bold}, {"WHY", bold}}}
	var more []string
	for _, list := range []struct {
		what, plural string
		paint        paint
		statusz.ObjectList
	}{
		{"failing", "failing", red, o.Failing}, {"not ready", "not ready", yellow, o.NotReady}, {"refused", "refused", red, o.Refused},
		{"fight", "fought over", red, o.Fights}, {"held", "held", yellow, o.Held},
	} {
		for _, item := range list.Items {
			what := list.what
			if item.GivenUp {
				what = "given up"
			}
			rows = append(rows, []cell{
				{what, list.paint}, {text: item.Definition}, {text: refText(item.Object)}, {text: ago(item.Since, w.report.Time)},
				{text: rowReason(item)},
			})
		}
		if left := list.Total - len(list.Items); left > 0 {
			more = append(more, fmt.Sprintf("%d more %s", left, list.plural))
		}
	}
	if len(rows) == 1 && len(more) == 0 {
		return
	}
	w.title("NEEDS ATTENTION")
	if len(rows) > 1 {
		w.table(rows)
	}
	if len(more) > 0 {
		w.line(cell{"and " + strings.Join(more, ", ") + " (--objects shows more)", faint})
	}
}

// rowReason is what is said of an object, with the child that it is about.
func rowReason(row statusz.ObjectRow) string {
	if row.Child == "" {
		return row.Reason
	}
	return strings.TrimSuffix(row.Child+": "+row.Reason, ": ")
}

// listed are the definitions that are shown, and how many are left out. First come those that need
// somebody, since a screen may be too small for all. One that is left out would need a line, too.
func (w statusSheet) listed() (shown []*statusz.Definition, left int) {
	sorted := make([]*statusz.Definition, len(w.report.Definitions))
	for i := range sorted {
		sorted[i] = &w.report.Definitions[i]
	}
	slices.SortStableFunc(sorted, statusz.CompareDefinitions)
	for i, d := range sorted {
		if i < w.few || !d.JustRuns() {
			shown = append(shown, d)
		}
	}
	if left = len(sorted) - len(shown); left == 1 {
		return sorted, 0
	}
	return shown, left
}

// definitions are a table of them, below a line that counts all by state.
func (w statusSheet) definitions() {
	counts := map[status.State]int{}
	for i := range w.report.Definitions {
		counts[w.report.Definitions[i].State]++
	}
	shown, left := w.listed()
	rows := [][]cell{{
		{"DEFINITION", bold}, {"STATE", bold}, {"FOR", bold}, {"WAITING", bold}, {"LATER", bold}, {"BUSY", bold}, {"CALLS", bold},
		{"FAILED", bold}, {"P50", bold}, {"P99", bold}, {"WHY", bold},
	}}
	for _, d := range shown {
		waiting := strconv.Itoa(d.Queue.Waiting)
		if oldest := shortSeconds(d.Queue.Oldest); oldest != "" {
			waiting += " (" + oldest + ")"
		}
		failed := cell{text: failedText(d.Calls)}
		if d.Calls.Failed > 0 {
			failed.paint = red
		}
		rows = append(rows, []cell{
			{text: d.Name}, {string(d.State), statePaint(d.State)}, {text: ago(d.Since, w.report.Time)}, {text: waiting},
			{text: strconv.Itoa(d.Queue.Later)}, {text: fmt.Sprintf("%d/%d", d.Calls.Busy, d.Calls.Workers)}, {text: oneWord(d.Calls.Rate())}, failed,
			{text: shortSeconds(d.Calls.P50)}, {text: shortSeconds(d.Calls.P99)}, {text: definitionWhy(d)},
		})
	}
	w.title(fmt.Sprintf("%s%s", plural(len(w.report.Definitions), "DEFINITION", "DEFINITIONS"), stateCounts(counts)))
	if len(rows) > 1 {
		w.table(rows)
	}
	if left > 0 {
		w.line(cell{fmt.Sprintf("… and %d more that run (--all shows them)", left), faint})
	}
}

// stateCounts counts definitions or sources by state.
func stateCounts(counts map[status.State]int) string {
	var texts []string
	for _, state := range status.States() {
		if counts[state] > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", counts[state], state))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return ": " + strings.Join(texts, ", ")
}

// definitionWhy is everything that is to be said of a definition in words.
func definitionWhy(d *statusz.Definition) string {
	texts := []string{d.Reason, d.Queue.Throttled}
	if d.Rollout != "" && !strings.Contains(d.Reason, d.Rollout) {
		texts = append(texts, d.Rollout)
	}
	if d.EveryReplica {
		texts = append(texts, "on every replica")
	}
	var children []string
	for _, state := range slices.Sorted(maps.Keys(d.Children)) {
		if d.Children[state] > 0 {
			children = append(children, fmt.Sprintf("%d %s", d.Children[state], state))
		}
	}
	if len(children) > 0 {
		texts = append(texts, "children: "+strings.Join(children, ", "))
	}
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), "; ")
}

// sources are the watches, first those that do not work.
func (w statusSheet) sources() {
	if len(w.report.Sources) == 0 {
		return
	}
	counts := map[status.State]int{}
	objects, size := 0, int64(0)
	rows := [][]cell{{
		{"KIND", bold}, {"NAMESPACE", bold}, {"SELECTOR", bold}, {"CONTENT", bold}, {"STATE", bold}, {"FOR", bold}, {"OBJECTS", bold}, {"SIZE", bold},
		{"WHY", bold},
	}}
	sorted := slices.Clone(w.report.Sources)
	slices.SortStableFunc(sorted, func(a, b statusz.Source) int { return statusz.CompareSources(&a, &b) })
	for i := range sorted {
		source := &sorted[i]
		counts[source.State]++
		objects, size = objects+source.Objects, size+source.Bytes
		rows = append(rows, []cell{
			{text: kindText(source.APIVersion, source.Kind)}, {text: cmp.Or(source.Namespace, "all")}, {text: source.Selector}, {text: source.Content},
			{string(source.State), statePaint(source.State)}, {text: ago(source.Since, w.report.Time)}, {text: strconv.Itoa(source.Objects)},
			{text: statusz.ByteSize(source.Bytes)}, {text: sourceWhy(source)},
		})
	}
	w.title(fmt.Sprintf("%s%s; %s, %s", plural(len(w.report.Sources), "WATCH", "WATCHES"), stateCounts(counts),
		plural(objects, "object", "objects"), statusz.ByteSize(size)))
	w.table(rows)
}

// kindText names a kind with its group, as kubectl takes it.
func kindText(apiVersion, kind string) string {
	if group, _, ok := strings.Cut(apiVersion, "/"); ok {
		return kind + "." + group
	}
	return kind
}

// sourceWhy is why a watch is as it is, and whose it is.
func sourceWhy(source *statusz.Source) string {
	const most = 3
	names := source.Definitions
	text := "for " + strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	switch {
	case len(names) == 0:
		return source.Reason
	case source.Reason == "":
		return text
	}
	return source.Reason + "; " + text
}
