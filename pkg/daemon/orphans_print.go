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
		Children: r.found.Children, Orphans: []orphanLine{}, Unseen: append([]string{}, r.found.Unseen...),
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
	proven := 0
	for _, orphan := range r.found.Found {
		if orphan.Proven {
			proven++
		}
	}
	r.note(fmt.Sprintf("%d of %d children are orphans, %d of them provably kooperd's; --delete deletes those", len(r.found.Found), r.found.Children, proven))
	return nil
}

func (r *orphansRun) printNone() error {
	text := fmt.Sprintf("no orphans among the %d children of installation %s, which is that of lease %s", r.found.Children, r.installation(), r.lease)
	if r.found.Children == 0 {
		text = fmt.Sprintf("no object carries the mark of installation %s, which is that of lease %s", r.installation(), r.lease)
	}
	return printed(fmt.Fprintln(r.stdout, text))
}

func orphanRows(orphans []compose.Orphan, now time.Time) [][]string {
	rows := [][]string{{"KIND", "NAMESPACE", "NAME", "DEFINITION", "PARENT", "PROVEN", "AGE", "WHY"}}
	for _, o := range orphans {
		proven := "no"
		if o.Proven {
			proven = "yes"
		}
		rows = append(rows, []string{o.Kind, o.Namespace, o.Name, o.Definition, o.Parent.String(), proven, age(o.Created, now), o.Why})
	}
	return rows
}

// printOutcome says what has become of one orphan, unless all is to be one document.
func (r *orphansRun) printOutcome(line orphanLine) error {
	if r.flags.format == formatJSON {
		return nil
	}
	text := fmt.Sprintf("%s: %s", line.Orphan, strings.ToLower(string(line.Outcome)))
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
