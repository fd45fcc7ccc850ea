package daemon

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// paint is how a text looks on a terminal, as the parameters of an SGR sequence.
type paint string

// The paints of what is printed. States have the ones that people expect.
const (
	plainly paint = ""
	bold    paint = "1"
	faint   paint = "2"
	red     paint = "31"
	green   paint = "32"
	yellow  paint = "33"
)

// cell is a text with its paint.
type cell struct {
	text  string
	paint paint
}

// sheet is text for people, written line by line for a terminal.
type sheet struct {
	terminal
	// short cuts lines at the width of the terminal instead of folding what is long.
	short bool
	lines []string
}

// gap is between the columns of a table.
const gap = "   "

// narrowest is how narrow the last column of a table may be. If less is left for it, it gets lines
// of its own.
const narrowest = 30

// line adds a line of cells, which are written one after the other.
func (s *sheet) line(cells ...cell) {
	var b strings.Builder
	left := s.width
	for _, c := range cells {
		text := plain(c.text)
		if s.short && s.width > 0 {
			text = cut(text, left)
			left -= utf8.RuneCountInString(text)
		}
		b.WriteString(s.painted(text, c.paint))
	}
	s.lines = append(s.lines, strings.TrimRight(b.String(), " "))
}

// title adds an empty line, unless it is the first, and a heading.
func (s *sheet) title(text string) {
	if len(s.lines) > 0 {
		s.lines = append(s.lines, "")
	}
	s.line(cell{text, bold})
}

// fields adds names with what they stand for. One without a text is left out.
func (s *sheet) fields(rows [][2]cell) {
	width := 0
	for _, row := range rows {
		if row[1].text != "" {
			width = max(width, utf8.RuneCountInString(row[0].text))
		}
	}
	for _, row := range rows {
		if row[1].text == "" {
			continue
		}
		for i, text := range s.fold(row[1].text, s.width-width-len(gap)) {
			name := row[0].text
			if i > 0 {
				name = ""
			}
			s.line(cell{pad(name, width) + gap, row[0].paint}, cell{text, row[1].paint})
		}
	}
}

// table adds rows in columns. The first row has the headings. The last column gets what the others
// leave of a terminal's width.
func (s *sheet) table(rows [][]cell) {
	if len(rows) == 0 {
		return
	}
	columns := len(rows[0]) - 1
	widths, used := make([]int, columns), 0
	for i := range columns {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(plain(row[i].text)))
		}
		used += widths[i] + len(gap)
	}
	below := s.width > 0 && s.width-used < narrowest
	if below { // Its heading would stand above nothing.
		rows = slices.Clone(rows)
		rows[0] = append(slices.Clone(rows[0][:columns]), cell{})
	}
	for _, row := range rows {
		s.row(row, widths, used, below)
	}
}

// row adds a row of a table. The last cell is on lines of its own if it is to be below.
func (s *sheet) row(row []cell, widths []int, used int, below bool) {
	cells := make([]cell, 0, len(row))
	for i, width := range widths {
		cells = append(cells, cell{pad(plain(row[i].text), width) + gap, row[i].paint})
	}
	last, indent := row[len(widths)], used
	if below {
		s.line(cells...)
		if last.text == "" {
			return
		}
		cells, indent = nil, 2*len(gap)
		cells = append(cells, cell{text: strings.Repeat(" ", indent)})
	}
	for _, text := range s.fold(last.text, s.width-indent) {
		s.line(append(cells, cell{text, last.paint})...)
		cells = []cell{{text: strings.Repeat(" ", indent)}}
	}
}

// fold breaks a text into lines of that width. It does not where the width is not known, or lines
// are cut.
func (s *sheet) fold(text string, width int) []string {
	text = plain(text)
	if s.short || s.width <= 0 || width <= 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

func (s *sheet) painted(text string, p paint) string {
	if !s.colors || p == plainly || strings.TrimSpace(text) == "" {
		return text
	}
	trimmed := strings.TrimRight(text, " ")
	return "\x1b[" + string(p) + "m" + trimmed + "\x1b[0m" + text[len(trimmed):]
}

// write writes everything.
func (s *sheet) write(w io.Writer) error {
	var b bytes.Buffer
	for _, line := range s.lines {
		b.WriteString(line + "\n")
	}
	return printed(w.Write(b.Bytes()))
}

// pad fills a text with spaces.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}
