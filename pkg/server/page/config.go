package page

import (
	"html/template"
	"strings"

	"kooperd.dev/kooperd/pkg/statusz"
)

// Limits of differences, which may be as large as the config.
const (
	maxChanges   = 20  // definitions of one revision
	maxNamed     = 4   // definitions that a row of the overview names
	maxDiffLines = 120 // of one definition
	maxDiffWidth = 400 // characters of one line
	// maxDiffBytes is how much of a page is differences at most. Those of further definitions are
	// left out.
	maxDiffBytes = 200 << 10
	// diffLineBytes is what a line costs beside its text.
	diffLineBytes = 40
)

// configPage has the revisions with what they changed.
type configPage struct {
	*statusz.Config

	Revisions []revisionRow
}

// revisionRow is one revision.
type revisionRow struct {
	statusz.Revision

	// Runs says that it is the one that runs, and First that none before it is known.
	Runs, First bool
	// Changes are the first of what it changed, and More how many others there are.
	Changes []change
	More    int
	// Names are some of the definitions that it changed, and Unnamed how many others.
	Names   []statusz.Change
	Unnamed int
}

// change is what a revision did to one definition.
type change struct {
	statusz.Change

	Lines []diffLine
	// Left says that there is a difference which the page has no room for.
	Left bool
	// There says that the definition is there, since the revision has not removed it.
	There bool
}

// newChange takes the room for the difference from what is left on the page.
func newChange(c statusz.Change, room *int) change {
	v := change{Change: c, There: c.What != "removed"}
	lines := diffLines(c.Diff)
	cost := 0
	for _, line := range lines {
		cost += len(template.HTMLEscapeString(line.Text)) + diffLineBytes
	}
	if cost > *room {
		v.Left = true
		return v
	}
	*room -= cost
	v.Lines = lines
	return v
}

func newConfigPage(c *statusz.Config) *configPage {
	return &configPage{Config: c, Revisions: newRevisions(c)}
}

// revisions are the one that runs and those before.
func revisions(c *statusz.Config) []statusz.Revision {
	return append([]statusz.Revision{c.Running}, c.Before...)
}

func newRevisions(c *statusz.Config) []revisionRow {
	var rows []revisionRow
	room := maxDiffBytes
	for i, revision := range revisions(c) {
		all := revision.Changed
		row := revisionRow{Revision: revision, Runs: i == 0, First: i == len(c.Before), Names: all[:min(maxNamed, len(all))]}
		for _, c := range all[:min(maxChanges, len(all))] {
			row.Changes = append(row.Changes, newChange(c, &room))
		}
		total := max(revision.ChangedTotal, len(all))
		row.More, row.Unnamed = total-len(row.Changes), total-len(row.Names)
		rows = append(rows, row)
	}
	return rows
}

// maxConfigLines is how many lines of a definition's config a page has at most.
const maxConfigLines = 2000

// configText is the config of a definition, as far as a page has room for it.
type configText struct {
	Lines []string
	// Left is how many lines there are besides.
	Left int
}

func newConfigText(text string) configText {
	var c configText
	room := maxDiffBytes
	for line := range strings.Lines(text) {
		shown := short(strings.TrimRight(line, "\r\n"), maxDiffWidth)
		cost := len(template.HTMLEscapeString(shown)) + diffLineBytes
		if c.Left > 0 || len(c.Lines) == maxConfigLines || cost > room {
			c.Left++
			continue
		}
		room -= cost
		c.Lines = append(c.Lines, shown)
	}
	return c
}

// diffLine is one line of a difference.
type diffLine struct{ Class, Text string }

// diffLines are those of a difference, with their kind: add, del, at for where they
// are, or same.
func diffLines(diff string) []diffLine {
	var lines []diffLine
	for line := range strings.Lines(diff) {
		if len(lines) == maxDiffLines {
			return append(lines, diffLine{"same", "… and more; /statusz?format=json has all of it"})
		}
		class := "same"
		switch {
		case strings.HasPrefix(line, "+"):
			class = "add"
		case strings.HasPrefix(line, "-"):
			class = "del"
		case strings.HasPrefix(line, "@"):
			class = "at"
		}
		text := strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")
		lines = append(lines, diffLine{class, short(text, maxDiffWidth)})
	}
	return lines
}
