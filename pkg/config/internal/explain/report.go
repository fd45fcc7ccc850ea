package explain

import (
	"maps"
	"strings"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// Report collects the diagnostics of one load, and knows which fields have one, so that a mistake
// is reported once.
type Report struct {
	Diags    diagnostic.Diagnostics
	reported map[string]bool // by the keys of paths
}

// NewReport returns an empty report.
func NewReport() *Report { return &Report{reported: map[string]bool{}} }

// Add reports a mistake of a field.
func (r *Report) Add(pos diagnostic.Position, at diagnostic.Path, message, hint string, related ...diagnostic.Position) {
	r.Mark(at)
	r.Diags = append(r.Diags, diagnostic.Diagnostic{Position: pos, Path: at.String(), Message: message, Hint: hint, Related: related})
}

// Has reports whether the field itself has a diagnostic.
func (r *Report) Has(at diagnostic.Path) bool { return r.reported[at.Key()] }

// Explained reports whether the field, one around it or one below it has a diagnostic.
func (r *Report) Explained(at diagnostic.Path) bool {
	for p := at; len(p) > 0; p = p.Parent() {
		if r.Has(p) {
			return true
		}
	}
	prefix := at.Key() + "\x00"
	for key := range r.reported {
		if len(at) > 0 && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// Fields returns a report without diagnostics that has the same fields as r marked.
func (r *Report) Fields() *Report { return &Report{reported: maps.Clone(r.reported)} }

// Mark notes that a field needs no further diagnostic.
func (r *Report) Mark(at diagnostic.Path) { r.reported[at.Key()] = true }

// take adds the diagnostics of other, which began with the fields of r.
func (r *Report) take(other *Report) {
	r.reported = other.reported
	r.Diags = append(r.Diags, other.Diags...)
}
