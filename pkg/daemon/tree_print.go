package daemon

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/compose"
)

// show prints an object with what was made for it, and says what is left out. The error is that it
// was not read to the end.
func (f family) show(stdout, stderr io.Writer, format string) error {
	for _, text := range f.notes() {
		_, _ = fmt.Fprintf(stderr, "kooperd: %s\n", plain(text))
	}
	var err error
	if format == formatJSON {
		err = writeJSON(stdout, f)
	} else {
		err = writeTree(stdout, f.Member)
	}
	if err == nil && f.Error != "" {
		return &runError{errors.New(f.Error)}
	}
	return err
}

// notes say what could not be looked at, and what was not.
func (f family) notes() (texts []string) {
	if len(f.Unlisted) > 0 {
		texts = append(texts, "these could not be listed: "+strings.Join(f.Unlisted, ", "))
	}
	if len(f.UnlistedElsewhere) > 0 {
		texts = append(texts, fmt.Sprintf("these could be listed in namespace %s alone: %s", f.Namespace, strings.Join(f.UnlistedElsewhere, ", ")))
	}
	counts := map[string]int{}
	countUnfollowed(f.Member, counts)
	if len(counts) == 0 {
		return texts
	}
	var left []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		left = append(left, fmt.Sprintf("%d of kind %s", counts[kind], kind))
	}
	return append(texts, fmt.Sprintf("these were not all asked for what was made for them: %s (tree of one of them shows it)",
		strings.Join(left, ", ")))
}

// countUnfollowed counts by kind the objects that were not asked for what was made for them.
func countUnfollowed(m *compose.Member, counts map[string]int) {
	if m.Unfollowed {
		counts[m.Kind]++
	}
	for _, child := range m.Children {
		countUnfollowed(child, counts)
	}
}

// writeTree writes an object with what was made for it, as a table whose first column is a tree.
func writeTree(w io.Writer, root *compose.Member) error {
	for _, line := range aboutParent(root) {
		if err := printed(fmt.Fprintln(w, plain(line))); err != nil {
			return err
		}
	}
	rows := [][]string{{"OBJECT", "STATE", "DEFINITION", "INSTALLATION", "OTHER MANAGERS", "WHY"}}
	rows = append(rows, treeRow("", root))
	rows = appendBelow(rows, "", root)
	return writeTable(w, rows)
}

// aboutParent is what is said of the object itself.
func aboutParent(root *compose.Member) (lines []string) {
	if ready := root.Ready; ready != nil {
		text := "Ready: " + ready.Status
		if ready.Reason != "" {
			text += ", " + ready.Reason
		}
		if ready.Message != "" {
			text += ": " + ready.Message
		}
		lines = append(lines, text)
	}
	for _, name := range root.Finalizers {
		lines = append(lines, "Finalizer: "+name)
	}
	if root.Paused {
		lines = append(lines, "Paused: the annotation "+compose.PausedAnnotation+" is true")
	}
	if root.Parent != "" {
		lines = append(lines, "Child: "+root.Child+" of "+root.Parent)
	}
	if len(lines) > 0 {
		lines = append(lines, "")
	}
	return lines
}

// appendBelow appends the rows of what was made for an object. indent stands before each.
func appendBelow(rows [][]string, indent string, m *compose.Member) [][]string {
	n := len(m.Children) + len(m.Patches)
	for i, child := range m.Children {
		branch, below := branches(i == n-1)
		rows = appendBelow(append(rows, treeRow(indent+branch, child)), indent+below, child)
	}
	for i, patch := range m.Patches {
		branch, _ := branches(len(m.Children)+i == n-1)
		rows = append(rows, patchRow(indent+branch, patch))
	}
	return rows
}

// branches are what stands before an object, and before what is below it.
func branches(last bool) (branch, below string) {
	if last {
		return "└─ ", "   "
	}
	return "├─ ", "│  "
}

// patchRow shows an object to which another one contributes.
func patchRow(branch string, p *compose.MemberPatch) []string {
	why := "patched: " + strings.Join(p.Fields, ", ")
	if p.Why != "" {
		why += "; " + p.Why
	}
	return []string{branch + p.String(), string(p.State), p.Definition, p.Installation, managersText(p.Managers), why}
}

func treeRow(branch string, m *compose.Member) []string {
	why := m.Why
	switch {
	case m.Cycle:
		why = strings.TrimPrefix(why+"; it stands in the tree already", "; ")
	case m.Definition != "" && !m.Proven:
		why = strings.TrimPrefix(why+"; it is not provably kooperd's", "; ")
	}
	return []string{branch + m.String(), string(m.State), m.Definition, m.Installation, managersText(m.Managers), why}
}

// managersText names the other field managers of an object with the first of their fields.
func managersText(managers []compose.OtherManager) string {
	texts := make([]string, len(managers))
	for i, m := range managers {
		texts[i] = m.Manager + ": " + strings.Join(m.Fields, ", ")
		if m.More > 0 {
			texts[i] += fmt.Sprintf(" and %d more", m.More)
		}
	}
	return strings.Join(texts, "; ")
}
