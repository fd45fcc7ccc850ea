package explain

import (
	"fmt"
	"regexp"
	"strings"

	"cuelang.org/go/cue"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// printed prints a value of a schema, or of a file when nothing of how it is written is known.
func printed(v cue.Value) string {
	if s, err := v.String(); err == nil {
		return diagnostic.Quote(s)
	}
	switch v.IncompleteKind() {
	case cue.StructKind:
		return "an object"
	case cue.ListKind:
		return "a list"
	}
	return diagnostic.Cut(fmt.Sprint(v))
}

// printed prints a scalar as the file has it: of 1.20 and 0123, the values alone are 1.2 and 83.
func (d *Document) printed(v cue.Value) string {
	if text := d.spelling(v); text != "" && v.Kind()&(cue.NumberKind|cue.BoolKind|cue.NullKind) != 0 {
		return diagnostic.Cut(text)
	}
	return printed(v)
}

// alignment is what CUE puts between a name and a value to align the values of several lines.
var alignment = regexp.MustCompile(`: +`)

// expression prints a constraint as CUE writes it, on one line.
func expression(v cue.Value) string {
	var b strings.Builder
	for line := range strings.Lines(fmt.Sprint(v)) {
		line = alignment.ReplaceAllString(strings.TrimSpace(line), ": ")
		before := b.String()
		opens := before == "" || strings.HasSuffix(before, "{") || strings.HasSuffix(before, "[")
		if !opens && !strings.HasPrefix(line, "}") && !strings.HasPrefix(line, "]") {
			b.WriteString(", ")
		}
		b.WriteString(line)
	}
	return diagnostic.Cut(diagnostic.OneLine(b.String()))
}

// Have describes a value that has the wrong kind.
func (d *Document) Have(v cue.Value) string {
	switch v.Kind() {
	case cue.StringKind:
		return "the string " + printed(v)
	case cue.IntKind, cue.FloatKind, cue.NumberKind:
		return "the number " + d.printed(v)
	default:
		return d.printed(v)
	}
}
