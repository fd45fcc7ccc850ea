package page

import (
	"cmp"
	"slices"
	"strings"
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
	all := len(r.Definitions)
	of := " of " + plural(all, "definition", "definitions")
	switch {
	case all == 0:
		return look{Word: "There are no definitions", Class: "wait", Icon: "wait"}
	case counts["bad"] > 0:
		return look{Word: number(counts["bad"]) + of + " cannot do all of " + its(counts["bad"]) + " work", Class: "bad", Icon: "bad"}
	case r.Config.Refused != nil:
		return look{Word: "The config that was read last is not run", Class: "bad", Icon: "bad"}
	case counts["wait"] > 0:
		return look{Word: number(counts["wait"]) + of + choose(counts["wait"], " waits", " wait"), Class: "wait", Icon: "wait"}
	case counts["busy"] > 0:
		return look{Word: number(counts["busy"]) + of + choose(counts["busy"], " lists", " list") + " objects for the first time", Class: "busy", Icon: "sync"}
	case r.Leadership.Holder == "" && !r.Leadership.Leading && !r.Leadership.Disabled:
		return look{Word: "Nobody holds the lease", Class: "wait", Icon: "wait"}
	case counts["idle"] == all:
		return look{Word: plural(all, "definition is", "definitions are") + " paused", Class: "idle", Icon: "paused"}
	case counts["idle"] > 0:
		return look{Word: plural(all-counts["idle"], "definition is", "definitions are") + " running, " + number(counts["idle"]) + choose(counts["idle"], " is", " are") + " paused", Class: "ok", Icon: "ok"}
	default:
		return look{Word: plural(all, "definition is", "definitions are") + " running", Class: "ok", Icon: "ok"}
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
	for _, state := range byNeed {
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

	// Text says it, and Since when it began.
	Text  string
	Since time.Time
	// Lease is its name, and Holder the replica that leads when it is another one.
	Lease, Holder string
}

func newLeadership(r *statusz.Report) leadershipView {
	l := r.Leadership
	v := leadershipView{Since: l.Since, Lease: clean(l.Lease)}
	switch {
	case l.Disabled:
		v.look, v.Text = look{Word: "no lease", Class: "ok", Icon: "ok"}, "There is no lease: this replica works"
	case l.Leading:
		v.look, v.Text = look{Word: "leads", Class: "ok", Icon: "ok"}, "This replica leads"
	case l.Holder != "":
		v.look, v.Text = look{Word: "stands by", Class: "idle", Icon: "paused"}, "This replica stands by"
		v.Holder = clean(l.Holder)
	default:
		v.look, v.Text = look{Word: "nobody leads", Class: "wait", Icon: "wait"}, "Nobody holds the lease"
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
		return cmp.Or(cmp.Compare(slices.Index(byNeed, a.State), slices.Index(byNeed, b.State)), cmp.Compare(b.Bytes, a.Bytes),
			strings.Compare(a.Kind, b.Kind))
	})
	t.Rows = t.Rows[:min(most, len(t.Rows))]
	return t
}

// More is how many sources are not in the table.
func (t sourceTable) More() int { return t.Total - len(t.Rows) }
