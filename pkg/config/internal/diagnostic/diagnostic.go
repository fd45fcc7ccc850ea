package diagnostic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file, as messages print it.
type Position struct {
	// File is the file as it was named on the command line, or found below a directory named there.
	File string `json:"file"`
	// Line counts from 1; 0 means the file as a whole.
	Line int `json:"line,omitempty"`
	// Column counts characters from 1.
	Column int `json:"column,omitempty"`
}

// String returns file:line:column, or the file alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// ComparePositions orders positions by file, line and column, as cmp.Compare does.
func ComparePositions(a, b Position) int {
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// Diagnostic is one mistake in a config.
type Diagnostic struct {
	Position
	// Path is the field, such as controllers.backup.watch.kind; empty for a mistake of the file as
	// a whole.
	Path string `json:"path,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Hint says what would be right, when that is known.
	Hint string `json:"hint,omitempty"`
	// Related are the other places that take part in the mistake, such as the other value of a
	// conflict.
	Related []Position `json:"related,omitempty"`
	// Exceeded says that evaluating the files took more time or memory than it may. How much there
	// is can depend on the moment, so another try may come to something else.
	Exceeded bool `json:"exceeded,omitempty"`
}

// String returns the diagnostic as one line: file:line:column: path: message; hint.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.Position.String())
	for _, part := range []string{d.Path, d.Message} {
		if part != "" {
			b.WriteString(": ")
			b.WriteString(part)
		}
	}
	if d.Hint != "" {
		b.WriteString("; ")
		b.WriteString(d.Hint)
	}
	return OneLine(b.String())
}

// Diagnostics are all mistakes of a config, sorted by position. It is the error that Load returns
// for a bad config, and it is never empty there.
type Diagnostics []Diagnostic

// Exceeded reports whether one of the mistakes is Exceeded.
func (ds Diagnostics) Exceeded() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Exceeded })
}

// Error returns one line for each mistake, without a trailing newline.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// JSONLines returns each mistake as a JSON object on a line of its own, with the fields file, line,
// column, path, message, hint, related and exceeded.
func (ds Diagnostics) JSONLines() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, d := range ds {
		if err := enc.Encode(d); err != nil {
			// Texts and numbers always encode, and a bytes.Buffer never refuses a write.
			panic(fmt.Sprintf("encoding a diagnostic: %v", err))
		}
	}
	return b.Bytes()
}

// MaxDiagnostics bounds what one load reports: a mistake in a template of a thousand definitions is
// one mistake.
const MaxDiagnostics = 200

// Tidy sorts, removes duplicates and caps; a cap is said in a last entry.
func (ds Diagnostics) Tidy() Diagnostics {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(ComparePositions(a.Position, b.Position), strings.Compare(a.Path, b.Path),
			strings.Compare(a.Message, b.Message))
	})
	ds = slices.CompactFunc(ds, func(a, b Diagnostic) bool {
		return a.Position == b.Position && a.Path == b.Path && a.Message == b.Message
	})
	if len(ds) <= MaxDiagnostics {
		return ds
	}
	return append(ds[:MaxDiagnostics:MaxDiagnostics], Diagnostic{
		Position: ds[MaxDiagnostics].Position,
		Message:  "the mistakes from here on are not listed",
	})
}
