package page

import (
	"slices"
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// overview is the first page.
type overview struct {
	Verdict     look
	States      []stateCount
	Lists       []troubleList // with objects in them
	Report      *statusz.Report
	Definitions definitionTable
	Sources     sourceTable
	Config      []revisionRow
}

func newOverview(r *statusz.Report) *overview {
	o := &overview{Verdict: verdict(r), States: countStates(r.Definitions), Report: r, Config: newRevisions(&r.Config)}
	for _, list := range newAttention(r.Objects, "").Lists {
		if list.Total > 0 {
			o.Lists = append(o.Lists, list)
		}
	}
	o.Definitions = newDefinitions(r.Definitions).cut(0, overviewRows)
	o.Sources = newSources(r.Sources, overviewItems)
	return o
}

// verdict says in one line how things are.
func verdict(r *statusz.Report) look {
	counts := map[string]int{}
	for i := range r.Definitions {
		counts[stateOf(r.Definitions[i].State).Class]++
	}
	all, objects := len(r.Definitions), r.Objects.Total()
	of := " of " + plural(all, "definition", "definitions")
	nobody, leaderless := leaderlessVerdict(r)
	switch {
	case all == 0:
		return look{Word: "There are no definitions", Class: "wait", Icon: "wait"}
	case leaderless:
		return nobody
	case counts["bad"] > 0:
		return look{Word: number(counts["bad"]) + of + " cannot do all of " + its(counts["bad"]) + " work", Class: "bad", Icon: "bad"}
	case r.Config.Refused != nil:
		return look{Word: "The config that was read last is not run", Class: "bad", Icon: "bad"}
	case counts["wait"] > 0:
		return look{Word: number(counts["wait"]) + of + choose(counts["wait"], " waits", " wait"), Class: "wait", Icon: "wait"}
	case counts["busy"] > 0:
		return look{Word: number(counts["busy"]) + of + choose(counts["busy"], " lists", " list") + " objects for the first time", Class: "busy", Icon: "sync"}
	case objects > 0:
		return look{Word: running(all-counts["idle"], counts["idle"]) + "; " + plural(objects, "object needs", "objects need") + " attention", Class: "wait", Icon: "wait"}
	case r.Leader() == statusz.LeaderOther:
		return look{Word: "This replica stands by, ready for " + plural(all, "definition", "definitions"), Class: "idle", Icon: "paused"}
	case counts["idle"] == all:
		return look{Word: running(0, all), Class: "idle", Icon: "paused"}
	default:
		return look{Word: running(all-counts["idle"], counts["idle"]), Class: "ok", Icon: "ok"}
	}
}

// leaderlessVerdict is for a replica that does not lead and sees nobody who does: then nothing else
// matters as much.
func leaderlessVerdict(r *statusz.Report) (look, bool) {
	switch r.Leader() {
	case statusz.LeaderNobody:
		return look{Word: "Nobody holds the lease", Class: "bad", Icon: "bad"}, true
	case statusz.LeaderLost:
		return look{Word: "This replica has lost the lease, and sees nobody else lead", Class: "bad", Icon: "bad"}, true
	case statusz.LeaderGone:
		return look{Word: "Nobody has renewed the lease for " + age(r.Time, r.Leadership.Renewed), Class: "bad", Icon: "bad"}, true
	case statusz.LeaderUnknown:
		return look{Word: "It is not known yet who leads", Class: "wait", Icon: "wait"}, true
	}
	return look{}, false
}

// running counts definitions that run and that are paused.
func running(runs, paused int) string {
	switch {
	case paused == 0:
		return plural(runs, "definition is", "definitions are") + " running"
	case runs == 0:
		return plural(paused, "definition is", "definitions are") + " paused"
	default:
		return plural(runs, "definition is", "definitions are") + " running, " + number(paused) + choose(paused, " is", " are") + " paused"
	}
}

func choose(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func its(n int) string { return choose(n, "its", "their") }

// stateCount is how many definitions are in one state, and their share of a bar of barWidth.
type stateCount struct {
	State    status.State
	N        int
	At, Wide int
}

// barWidth is that of the bar of states, in units of its own.
const barWidth = 1000

// countStates counts the definitions in each state that there is.
func countStates(definitions []statusz.Definition) []stateCount {
	var counts []stateCount
	at := 0
	for _, state := range statusz.StatesByNeed() {
		c := stateCount{State: state}
		for i := range definitions {
			if definitions[i].State == state {
				c.N++
			}
		}
		if c.N > 0 {
			c.At, c.Wide = at*barWidth/len(definitions), c.N*barWidth/len(definitions)
			at += c.N
			counts = append(counts, c)
		}
	}
	return counts
}

// leadershipView is who leads.
type leadershipView struct {
	look

	// Is says it as a word for templates: other, gone, lost, nobody or unknown; itself for Works.
	Is    statusz.Leader
	Works bool
	// Text says it, Since when it began, and Renewed when the lease was seen to be renewed last.
	Text           string
	Since, Renewed time.Time
	// Lease is its name, and Holder the replica that leads, or led, when it is another one.
	Lease, Holder string
}

func newLeadership(r *statusz.Report) leadershipView {
	l := r.Leadership
	v := leadershipView{Is: r.Leader(), Works: l.Works(), Since: l.Since, Renewed: l.Renewed, Lease: clean(l.Lease)}
	switch v.Is {
	case statusz.LeaderItself:
		v.look, v.Text = look{Word: "leads", Class: "ok", Icon: "ok"}, "This replica leads"
		if l.Disabled {
			v.Word, v.Text = "no lease", "There is no lease: this replica works"
		}
		if l.Unneeded {
			v.Word, v.Text = "needs no lease", "No definition needs the lease: every replica works"
			v.Since = time.Time{} // It would be that of another replica, which holds the lease.
		}
	case statusz.LeaderOther:
		v.look, v.Text = look{Word: "stands by", Class: "idle", Icon: "paused"}, "This replica stands by"
		v.Holder = clean(l.Holder)
	case statusz.LeaderGone:
		v.look, v.Text = look{Word: "sees no leader", Class: "bad", Icon: "bad"}, "The lease was not renewed in time"
		v.Holder = clean(l.Holder)
	case statusz.LeaderLost:
		v.look, v.Text = look{Word: "lost the lease", Class: "bad", Icon: "bad"}, "This replica has lost the lease"
	case statusz.LeaderUnknown:
		v.look, v.Text = look{Word: "knows no leader", Class: "wait", Icon: "wait"}, "The lease has not been read yet"
	case statusz.LeaderNobody:
		v.look, v.Text = look{Word: "nobody leads", Class: "bad", Icon: "bad"}, "Nobody holds the lease"
	}
	return v
}

// sourceTable lists sources.
type sourceTable struct {
	Rows         []statusz.Source
	Total        int // all of them
	TotalObjects int
	TotalBytes   int64
}

// newSources returns at most so many sources: first those that do not work, then the largest ones.
func newSources(all []statusz.Source, most int) sourceTable {
	t := sourceTable{Total: len(all), Rows: slices.Clone(all)}
	for i := range all {
		t.TotalObjects += all[i].Objects
		t.TotalBytes += all[i].Bytes
	}
	slices.SortStableFunc(t.Rows, func(a, b statusz.Source) int {
		return statusz.CompareSources(&a, &b)
	})
	t.Rows = t.Rows[:min(most, len(t.Rows))]
	return t
}

// More is how many sources are not in the table.
func (t sourceTable) More() int { return t.Total - len(t.Rows) }
