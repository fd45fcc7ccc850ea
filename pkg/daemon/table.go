package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// The formats of commands whose output is for people first.
const (
	formatText = "text"
	formatJSON = "json"
)

// writeTable writes rows in columns, as kubectl does. The first row has the headings.
func writeTable(w io.Writer, rows [][]string) error {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 8, 3, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = plain(cell)
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) // A buffer takes everything.
	}
	_ = table.Flush()
	var out bytes.Buffer
	for line := range bytes.Lines(text.Bytes()) {
		out.Write(append(bytes.TrimRight(line, " \n"), '\n')) // The last columns may be empty.
	}
	return printed(w.Write(out.Bytes()))
}

// plain is a text as one line of a terminal. What others have written into an object may be more
// than that.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, text)
}

// plainLines is plain for a text of several lines, which may be indented.
func plainLines(text string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, text)
}

// unprintable says whether a terminal may do something else with a rune than show it: move, ask,
// or turn the direction in which text is written.
func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// plainJSON is a JSON document with escapes for what is unprintable in its strings, which JSON
// itself wants only of the characters below the space.
func plainJSON(document []byte) []byte {
	if bytes.IndexFunc(document, escaped) < 0 {
		return document
	}
	var out []byte
	for _, r := range string(document) {
		if !escaped(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, "\\u%04x", unit)
		}
	}
	return out
}

// escaped says whether plainJSON escapes a rune. Bytes that are no UTF-8 are among them.
func escaped(r rune) bool { return r == utf8.RuneError || r > ' ' && unprintable(r) }

// writeJSON writes one JSON document.
func writeJSON(w io.Writer, document any) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(document); err != nil {
		return printed(0, err)
	}
	return printed(w.Write(plainJSON(out.Bytes())))
}

// writeRawJSON writes a document that is JSON already, indented or in one line.
func writeRawJSON(w io.Writer, document []byte, indented bool) error {
	var out bytes.Buffer
	var err error
	if indented {
		err = json.Indent(&out, bytes.TrimSpace(document), "", "  ")
	} else {
		err = json.Compact(&out, document)
	}
	if err != nil {
		return &runError{fmt.Errorf("reading a document: %w", err)}
	}
	out.WriteByte('\n')
	return printed(w.Write(plainJSON(out.Bytes())))
}

// age is how old an object is, as kubectl says it.
func age(created metav1.Time, now time.Time) string {
	if created.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(created.Time))
}
