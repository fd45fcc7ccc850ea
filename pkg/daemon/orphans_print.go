package daemon

import (
	"fmt"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/compose"
)

// orphansReport is what the command prints as JSON.
type orphansReport struct {
	Installation string       `json:"installation"`
	Lease        leaseRef     `json:"lease"`
	Children     int          `json:"children"` // with the mark of the installation
	Patches      int          `json:"patches"`  // that were found
	Orphans      []orphanLine `json:"orphans"`
	Unseen       []string     `json:"unseen"` // what could not be looked at
}

type leaseRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// orphanLine is one orphan, and what has become of it if it was to be deleted.
type orphanLine struct {
	compose.Orphan
	Outcome compose.OrphanOutcome `json:"outcome,omitempty"`
	Message string                `json:"message,omitempty"`
}

func (r *orphansRun) report(found []compose.Orphan) orphansReport {
	report := orphansReport{
		Installation: r.installation(), Lease: leaseRef{Namespace: r.lease.Namespace, Name: r.lease.Name},
		Children: r.found.Children, Patches: r.found.Patches, Orphans: []orphanLine{}, Unseen: append([]string{}, r.found.Unseen...),
	}
	for _, orphan := range found {
		report.Orphans = append(report.Orphans, orphanLine{Orphan: orphan})
	}
	return report
}

// print lists the orphans.
func (r *orphansRun) print() error {
	if r.flags.format == formatJSON {
		return writeJSON(r.stdout, r.report(r.found.Found))
	}
	if len(r.found.Found) == 0 {
		return r.printNone()
	}
	if err := writeTable(r.stdout, orphanRows(r.found.Found, time.Now())); err != nil {
		return err
	}
	r.note(summary(r.found))
	return nil
}

// summary says how many there are.
func summary(found *compose.Orphans) string {
	children, patches, proven := 0, 0, 0
	for _, orphan := range found.Found {
		if orphan.Patch {
			patches++
		} else {
			children++
		}
		if orphan.Proven {
			proven++
		}
	}
	var what []string
	if children > 0 || patches == 0 {
		what = append(what, fmt.Sprintf("%d of %d children", children, found.Children))
	}
	if patches > 0 {
		what = append(what, fmt.Sprintf("%d of %d patches", patches, found.Patches))
	}
	return fmt.Sprintf("%s are orphans, %d of them provably kooperd's; --delete deletes those", strings.Join(what, " and "), proven)
}

func (r *orphansRun) printNone() error {
	among := fmt.Sprintf("%d children", r.found.Children)
	if r.found.Patches > 0 {
		among += fmt.Sprintf(" and %d patches", r.found.Patches)
	}
	text := fmt.Sprintf("no orphans among the %s of installation %s, which is that of lease %s", among, r.installation(), r.lease)
	if r.found.Children+r.found.Patches == 0 {
		text = fmt.Sprintf("no object carries the mark of installation %s, which is that of lease %s", r.installation(), r.lease)
	}
	return printed(fmt.Fprintln(r.stdout, plain(text)))
}

func orphanRows(orphans []compose.Orphan, now time.Time) [][]string {
	rows := [][]string{{"KIND", "NAMESPACE", "NAME", "DEFINITION", "PARENT", "PROVEN", "AGE", "WHY"}}
	for _, o := range orphans {
		proven := "no"
		if o.Proven {
			proven = "yes"
		}
		kind, parent := o.Kind, o.Parent.String()
		if o.Patch {
			kind += " (patch)"
		}
		if o.Parent.Name == "" {
			parent = string(o.Parent.UID)
		}
		rows = append(rows, []string{kind, o.Namespace, o.Name, o.Definition, parent, proven, age(o.Created, now), o.Why})
	}
	return rows
}

// printOutcome says what has become of one orphan, unless all is to be one document.
func (r *orphansRun) printOutcome(line orphanLine) error {
	if r.flags.format == formatJSON {
		return nil
	}
	what := line.Orphan.String()
	if line.Patch {
		what = "patch of " + what
	}
	text := fmt.Sprintf("%s: %s", what, strings.ToLower(string(line.Outcome)))
	if line.Message != "" {
		text += ": " + line.Message
	}
	return printed(fmt.Fprintln(r.stdout, plain(text)))
}

// printOutcomes is the end of all.
func (r *orphansRun) printOutcomes(report orphansReport) error {
	switch {
	case r.flags.format == formatJSON:
		return writeJSON(r.stdout, report)
	case len(report.Orphans) == 0:
		return r.printNone()
	}
	return nil
}
