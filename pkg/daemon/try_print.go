package daemon

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// print writes the answer.
func (r *tryRun) print(report tryReport) error {
	switch r.flags.format {
	case formatJSON:
		return writeJSON(r.stdout, report)
	case formatYAML:
		text, err := yaml.Marshal(report)
		if err != nil {
			return &runError{fmt.Errorf("printing the answer: %w", err)}
		}
		return printed(r.stdout.Write(text))
	}
	var out bytes.Buffer
	paint := painter(isTerminal(r.stdout) && os.Getenv("NO_COLOR") == "")
	for i, tried := range report.Tried {
		if i > 0 {
			out.WriteString("\n")
		}
		tried.write(&out, paint)
	}
	writeNotes(&out, report.Notes)
	return printed(r.stdout.Write(out.Bytes()))
}

// write writes what came of one object for a person.
func (t *tryResult) write(out *bytes.Buffer, paint painter) {
	switch {
	case t.Excluded != "":
		fmt.Fprintf(out, "%s: nothing would be made, as definition %s does not handle it: %s\n", t.Parent, t.Definition, plain(t.Excluded))
		if t.Error != "" {
			fmt.Fprintf(out, "%s\n", paint.line(colorRed, plain(t.Error)))
		}
		if len(t.Children)+len(t.Patches) > 0 {
			t.writeTree(out, paint)
		}
		writeNotes(out, t.Notes)
		return
	case t.Paused:
		fmt.Fprintf(out, "%s: nothing would be done, as it is paused\n", t.Parent)
	case t.Error != "":
		text := fmt.Sprintf("%s: definition %s fails: %s", t.Parent, t.Definition, plain(t.Error))
		if t.At != "" {
			text = t.At + ": " + text
		}
		fmt.Fprintf(out, "%s\n", paint.line(colorRed, text))
	default:
		t.writeTree(out, paint)
	}
	t.writeStatus(out)
	writeNotes(out, t.Notes)
	for _, c := range append(slices.Clip(t.Children), t.Patches...) {
		c.write(out, paint)
	}
}

// writeTree writes what would be done, as a table whose first column is a tree.
func (t *tryResult) writeTree(out *bytes.Buffer, paint painter) {
	rows := [][]string{{"OBJECT", "CHILD", "ACTION", "WHY"}, {t.Parent.String(), "", "", ""}}
	colors := []string{colorBold, ""}
	add := func(object, name string, action tryAction, why string) {
		rows, colors = append(rows, []string{object, name, string(action), why}), append(colors, colorOf(action))
	}
	for _, c := range t.Children {
		add(c.String(), c.Name, c.Action, c.Why)
	}
	for _, p := range t.Pending {
		why := p.On
		if p.Why != "" {
			why += ": " + p.Why
		}
		add("(not known yet)", p.Name, tryWait, "waits for "+why)
	}
	for _, c := range t.Patches {
		add(c.String(), "patch "+c.Name, c.Action, c.Why)
	}
	for i := 2; i < len(rows); i++ {
		branch := "├─ "
		if i == len(rows)-1 {
			branch = "└─ "
		}
		rows[i][0] = branch + rows[i][0]
	}
	if len(rows) == 2 {
		rows[1][3] = "it has no children"
	}
	var table bytes.Buffer
	_ = writeTable(&table, rows) // A buffer takes everything.
	i := 0
	for line := range strings.Lines(table.String()) {
		out.WriteString(paint.line(colors[i], strings.TrimSuffix(line, "\n")) + "\n")
		i++
	}
}

// writeStatus writes what would be written of the object itself.
func (t *tryResult) writeStatus(out *bytes.Buffer) {
	if len(t.Metadata) > 0 {
		out.WriteString("\nMETADATA\n" + objectYAML(t.Metadata))
	}
	status := maps.Clone(t.Status)
	delete(status, "observedGeneration") // It says nothing here.
	if len(status)+len(t.StatusWaits) > 0 {
		out.WriteString("\nSTATUS\n")
	}
	if len(status) > 0 {
		out.WriteString(objectYAML(status))
	}
	for _, part := range t.StatusWaits {
		fmt.Fprintf(out, "# not known yet: %s\n", plain(part))
	}
	for _, problem := range t.Problems {
		fmt.Fprintf(out, "\nProblem: %s\n", plain(problem))
	}
	if len(t.Conditions) > 0 {
		out.WriteString("\n")
		rows := [][]string{{"CONDITION", "STATUS", "REASON", "MESSAGE"}}
		for _, c := range t.Conditions {
			rows = append(rows, []string{c.Type, c.Status, c.Reason, c.Message})
		}
		_ = writeTable(out, rows) // A buffer takes everything.
	}
	if len(t.Events) > 0 {
		out.WriteString("\n")
		rows := [][]string{{"EVENT", "REASON", "MESSAGE"}}
		for _, e := range t.Events {
			rows = append(rows, []string{e.Type, e.Reason, e.Message})
		}
		_ = writeTable(out, rows) // A buffer takes everything.
	}
	if t.Failure != "" && !t.refused() { // The tree says what is refused.
		fmt.Fprintf(out, "\nFailure: %s\n", plain(t.Failure))
	}
	for _, name := range t.Finalizers {
		fmt.Fprintf(out, "\nFinalizer: %s would be added\n", name)
	}
	if t.RequeueAfter != "" {
		fmt.Fprintf(out, "\nIt would be looked at again after %s.\n", t.RequeueAfter)
	}
}

func writeNotes(out *bytes.Buffer, notes []string) {
	for i, note := range notes {
		if i == 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(out, "Note: %s.\n", plain(note))
	}
}

// write writes a child: what is made whole, and of what is changed what differs.
func (c tryChild) write(out *bytes.Buffer, paint painter) {
	name := c.String()
	switch {
	case c.Action == tryUnchanged, c.Action == tryRetain, c.Action == tryDelete && c.Before == nil:
		return
	case c.Action == tryDelete:
		return // The tree says it.
	case c.Before != nil && c.Object != nil:
		out.WriteString("\n" + paint.diff(objectDiff(name, c.Before, c.Object)))
	case c.Object != nil:
		fmt.Fprintf(out, "\n%s\n%s", paint.line(colorBold, fmt.Sprintf("# %s %s", c.Action, name)), objectYAML(c.Object))
	}
}
