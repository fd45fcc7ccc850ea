package page

import (
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// definitionTable lists definitions.
type definitionTable struct {
	Rows  []definitionRow
	Total int // all that could be in it
}

// definitionRow is one definition in it.
type definitionRow struct {
	*statusz.Definition

	Troubles []troubleCount
}

// troubleCount is how many objects of a definition are in one kind of trouble.
type troubleCount struct {
	trouble

	N int
}

// newDefinitions lists all definitions, those that need somebody first.
func newDefinitions(all []statusz.Definition) definitionTable {
	t := definitionTable{Total: len(all)}
	for i := range all {
		t.Rows = append(t.Rows, definitionRow{&all[i], countTroubles(all[i].Objects)})
	}
	slices.SortStableFunc(t.Rows, func(a, b definitionRow) int {
		return statusz.CompareDefinitions(a.Definition, b.Definition)
	})
	return t
}

// cut returns the table with a part of the rows.
func (t definitionTable) cut(from, most int) definitionTable {
	from = min(from, len(t.Rows))
	t.Rows = t.Rows[from:min(from+most, len(t.Rows))]
	return t
}

// More is how many definitions are not in the table.
func (t definitionTable) More() int { return t.Total - len(t.Rows) }

func countTroubles(o statusz.Objects) []troubleCount {
	var counts []troubleCount
	for _, t := range troubles {
		if n := t.of(o).Total; n > 0 {
			counts = append(counts, troubleCount{t, n})
		}
	}
	return counts
}

// definitionsPage lists all definitions, or those in one state.
type definitionsPage struct {
	Table  definitionTable
	States []stateCount
	All    int
	State  status.State // empty: every one
	// From and To are the numbers of the first and the last row, Before and After the pages beside
	// this one, or 0.
	From, To      int
	Before, After int
}

func newDefinitionsPage(r *statusz.Report, state status.State, page int) *definitionsPage {
	p := &definitionsPage{Table: newDefinitions(r.Definitions), States: countStates(r.Definitions), All: len(r.Definitions), State: state}
	if state != "" {
		p.Table.Rows = slices.DeleteFunc(p.Table.Rows, func(row definitionRow) bool { return row.State != state })
		p.Table.Total = len(p.Table.Rows)
	}
	from := (page - 1) * pageRows
	p.Table = p.Table.cut(from, pageRows)
	p.From, p.To = from+1, from+len(p.Table.Rows)
	if page > 1 {
		p.Before = min(page-1, (p.Table.Total+pageRows-1)/pageRows)
	}
	if p.To < p.Table.Total && len(p.Table.Rows) > 0 {
		p.After = page + 1
	}
	return p
}

// definitionPage is one definition.
type definitionPage struct {
	*statusz.Definition

	Attention attention
	Sources   sourceTable
	// Children are those of a composer, by state.
	Children []childCount
	// Text is the config, empty where it is not known.
	Text configText
	// Changes are those of the last revisions, the newest first.
	Changes []definitionChange
}

// childCount is how many children are in one state.
type childCount struct {
	State string
	N     int
}

// definitionChange is what a revision did to one definition.
type definitionChange struct {
	change

	Hash string
	At   time.Time
}

func newDefinitionPage(r *statusz.Report, d *statusz.Definition) *definitionPage {
	p := &definitionPage{Definition: d, Attention: newAttention(d.Objects, d.Name), Text: newConfigText(d.Config)}
	p.Sources = newSources(slices.DeleteFunc(slices.Clone(r.Sources), func(s statusz.Source) bool {
		return !slices.Contains(s.Definitions, d.Name)
	}), maxSources)
	for state, n := range d.Children {
		if n > 0 {
			p.Children = append(p.Children, childCount{words(state), n})
		}
	}
	slices.SortFunc(p.Children, func(a, b childCount) int { return strings.Compare(a.State, b.State) })
	room := maxDiffBytes
	for _, revision := range revisions(&r.Config) {
		for _, c := range revision.Changed {
			if c.Definition == d.Name {
				p.Changes = append(p.Changes, definitionChange{newChange(c, &room), revision.Hash, revision.Accepted})
			}
		}
	}
	return p
}
