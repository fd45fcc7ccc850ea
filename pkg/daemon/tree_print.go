package daemon

import (
	"fmt"
	"io"
	"strings"

	"kooperd.dev/kooperd/pkg/compose"
)

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
	for i, child := range m.Children {
		branch, below := "├─ ", "│  "
		if i == len(m.Children)-1 {
			branch, below = "└─ ", "   "
		}
		rows = appendBelow(append(rows, treeRow(indent+branch, child)), indent+below, child)
	}
	return rows
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
