package daemon

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/engine"
)

// planPrinter writes a plan for a person.
type planPrinter struct {
	out   bytes.Buffer
	paint painter
	all   bool // each change is shown
}

// printPlan writes the answer.
func (c *planCommand) printPlan() error {
	if c.plan.format == formatJSON {
		return writeJSON(c.stdout, c.report)
	}
	p := &planPrinter{paint: painter(isTerminal(c.stdout) && os.Getenv("NO_COLOR") == ""), all: c.plan.all}
	p.summary(&c.report)
	for _, group := range groupChanges(c.report.Changes, p.all) {
		p.group(group)
	}
	p.failures(&c.report)
	for _, note := range c.report.Notes {
		fmt.Fprintf(&p.out, "\nNote: %s.\n", plain(note))
	}
	switch {
	case c.report.failed():
	case !c.report.changes():
		p.out.WriteString("\nNothing would be changed.\n")
	}
	return printed(c.stdout.Write(p.out.Bytes()))
}

// summary writes a table of the definitions, and what there is to say of each.
func (p *planPrinter) summary(r *planReport) {
	var shown []planAction
	for _, action := range planActions {
		if slices.ContainsFunc(r.Definitions, func(d planDefinition) bool { return d.Counts[action] > 0 }) {
			shown = append(shown, action)
		}
	}
	head := []string{"DEFINITION", "STATE", "OBJECTS"}
	for _, action := range shown {
		head = append(head, strings.ToUpper(string(action)))
	}
	rows := [][]string{head}
	for _, d := range r.Definitions {
		state := string(d.State)
		if d.New {
			state += ", new"
		}
		row := []string{d.Name, state, fmt.Sprint(d.Objects)}
		for _, action := range shown {
			row = append(row, fmt.Sprint(d.Counts[action]))
		}
		rows = append(rows, row)
	}
	_ = writeTable(&p.out, rows) // A buffer takes everything.
	for _, d := range r.Definitions {
		switch d.State {
		case engine.PlanEffects:
			fmt.Fprintf(&p.out, "\n%s: what its plugin does to the objects is known only when it does it.\n", d.Name)
		case engine.PlanPaused:
			fmt.Fprintf(&p.out, "\n%s: it is paused, and does nothing.\n", d.Name)
		case engine.PlanWaiting:
			fmt.Fprintf(&p.out, "\n%s: it would wait, and do nothing: %s\n", d.Name, plain(d.Why))
		}
		for _, text := range d.Missing {
			fmt.Fprintf(&p.out, "\n%s: a right is missing: %s\n", d.Name, plain(text))
		}
		for _, text := range d.Notes {
			fmt.Fprintf(&p.out, "\n%s: %s.\n", d.Name, plain(text))
		}
	}
}

// failures writes what could not be worked out.
func (p *planPrinter) failures(r *planReport) {
	shown := map[string]int{}
	for _, f := range r.Failures {
		if key := f.Definition + "\x00" + f.At; f.Object != nil && !p.all {
			if shown[key]++; shown[key] > shownFailures {
				continue
			}
		}
		text := "Failure: "
		if f.At != "" {
			text += f.At + ": "
		}
		if f.Definition != "" {
			text += f.Definition + ": "
		}
		if f.Object != nil {
			text += f.Object.String() + ": "
		}
		fmt.Fprintf(&p.out, "\n%s\n", p.paint.line(colorRed, text+plain(f.Error)))
	}
	for _, n := range shown {
		if n > shownFailures {
			fmt.Fprintf(&p.out, "\nThere are %d more failures of this kind (--all shows each).\n", n-shownFailures)
		}
	}
}

// shownFailures is how many failures of one definition are shown.
const shownFailures = 3

// group writes changes that are the same.
func (p *planPrinter) group(group changeGroup) {
	c := group.changes[0]
	line := fmt.Sprintf("%s: %s %s", c.Definition, c.Action, &c)
	switch {
	case c.Patch:
		line += fmt.Sprintf(" (patch %s)", c.Child)
	case c.Child != "":
		line += fmt.Sprintf(" (child %s)", c.Child)
	}
	if c.Action != planObject && c.Object.Name != "" {
		line += " for " + strings.TrimPrefix(c.Object.String(), " ")
	}
	if c.Why != "" {
		line += ": " + plain(c.Why)
	}
	if c.Unconfirmed != "" {
		line += " [unconfirmed: " + plain(c.Unconfirmed) + "]"
	}
	fmt.Fprintf(&p.out, "\n%s\n", p.paint.line(colorOfPlan(c.Action), line))
	if text := c.text(); text != "" {
		p.out.WriteString(p.paint.diff(text))
	}
	more := group.changes[1:]
	if len(more) == 0 {
		return
	}
	names := make([]string, 0, shownNames)
	for i := 0; i < len(more) && i < shownNames; i++ {
		names = append(names, more[i].String())
	}
	etc := ""
	if len(more) > shownNames {
		etc = ", …"
	}
	fmt.Fprintf(&p.out, "The same for %d more: %s%s (--all shows each)\n", len(more), plain(strings.Join(names, ", ")), etc)
}

// shownNames is how many objects are named of those of which the same is not shown again.
const shownNames = 5

// colorOfPlan is the color of an action.
func colorOfPlan(action planAction) string {
	switch action {
	case planHandOver, planHold, planObject:
		return colorYellow
	case planOrphan:
		return colorRed
	}
	return colorOf(tryAction(action))
}

// text is what of the object is shown: what is made whole, and of what is changed what differs.
func (c *planChange) text() string {
	switch c.Action {
	case planAction(tryDelete), planAction(tryRetain), planAction(tryWait), planHold, planOrphan:
		return ""
	case planAction(tryCreate), planAction(tryRefuse):
		return objectYAML(c.After)
	}
	if c.Before == nil && c.After == nil {
		return ""
	}
	return objectDiff(c.String(), c.Before, c.After)
}

// changeGroup is changes that look the same but for the names of the objects.
type changeGroup struct {
	changes []planChange
}

// groupChanges puts changes together that look the same, by definition and action. With all, each
// is a group.
func groupChanges(changes []planChange, all bool) (groups []changeGroup) {
	byLook := map[string]int{}
	for _, c := range changes {
		look := c.look()
		i, known := byLook[look]
		if !known || all {
			byLook[look] = len(groups)
			groups = append(groups, changeGroup{changes: []planChange{c}})
			continue
		}
		groups[i].changes = append(groups[i].changes, c)
	}
	slices.SortStableFunc(groups, func(a, b changeGroup) int {
		if order := strings.Compare(a.changes[0].Definition, b.changes[0].Definition); order != 0 {
			return order
		}
		return slices.Index(planActions, a.changes[0].Action) - slices.Index(planActions, b.changes[0].Action)
	})
	return groups
}

// look is what two changes have in common that are shown as one: all but what names the objects.
func (c *planChange) look() string {
	var lines []string
	for line := range strings.Lines(c.text()) {
		isContext := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "@@") || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "+++")
		if c.Action != planAction(tryCreate) && c.Action != planAction(tryRefuse) && isContext {
			continue
		}
		lines = append(lines, line)
	}
	text := strings.Join(append(lines, c.Why), "\x00")
	for i, name := range []string{c.Object.Namespace + "/" + c.Object.Name, c.Name, c.Object.Name, c.Object.Namespace} {
		if len(name) > 1 {
			text = strings.ReplaceAll(text, name, fmt.Sprintf("\x01%d", i))
		}
	}
	return strings.Join([]string{c.Definition, string(c.Action), c.Child, c.APIVersion, c.Kind, string(c.Reason), c.Unconfirmed, text}, "\x00")
}
