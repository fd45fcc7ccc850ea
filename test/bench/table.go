package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Units of measures.
const (
	seconds      = "s"
	milliseconds = "ms"
	microseconds = "µs"
	megabytes    = "MB"
	kilobytes    = "kB"
	perMinute    = "/min"
	times        = "×"
)

// header returns that of a table with columns of some programs.
func header(of []program) []string {
	cells := []string{"Work", "Measured"}
	for _, p := range of {
		cells = append(cells, columns[p])
	}
	for _, p := range of[1:] {
		cells = append(cells, "÷ "+columns[p])
	}
	return append(cells, "Target", "Met")
}

// lines returns the cells of the table of rows that have the same columns. A measure that nothing
// was measured of is left out.
func (b *bench) lines(rows []row) [][]string {
	var lines [][]string
	for _, r := range rows {
		for _, m := range r.measures {
			got := b.results[r.name][m.name]
			if len(got) == 0 {
				continue
			}
			name := m.name
			if m.unit != "" {
				name += ", " + m.unit
			}
			cells := []string{"`" + r.name + "`, " + r.title, name}
			for _, p := range r.table() {
				cells = append(cells, spread(got[p]))
			}
			for _, p := range r.table()[1:] {
				if m.difference {
					cells = append(cells, "")
				} else {
					cells = append(cells, ratio(got[r.table()[0]], got[p]))
				}
			}
			wanted, met := b.judge(r, m)
			lines = append(lines, append(cells, wanted, met))
		}
	}
	return lines
}

// judge returns the targets of a measure, and whether kooperd's median is within each, with a tilde
// where the smallest and largest values of what is compared leave that open.
func (b *bench) judge(r row, m measure) (wanted, met string) {
	var targets, verdicts []string
	for _, t := range m.targets {
		text, yardstick := b.limit(r, m, t)
		targets = append(targets, text)
		own := b.results[r.name][m.name][r.table()[0]]
		if len(yardstick) == 0 || len(own) == 0 {
			verdicts = append(verdicts, "not measured")
			continue
		}
		verdict := "**no**"
		if median(own) <= median(yardstick) {
			verdict = "yes"
		}
		if slices.Min(own) <= slices.Max(yardstick) && slices.Max(own) > slices.Min(yardstick) {
			verdict += " ~"
		}
		verdicts = append(verdicts, verdict)
	}
	return strings.Join(targets, ", "), strings.Join(verdicts, ", ")
}

// columns are the names of the programs in the table.
var columns = map[program]string{kooperd: "kooperd", manager: "controller-runtime", informer: "client-go", shipped: "kooperd", kro: "kro",
	forgetful: "kooperd without history"}

// limit returns a target in words and as numbers, one for each repetition of what it compares with;
// none if that was not measured.
func (b *bench) limit(r row, m measure, t target) (text string, yardstick []float64) {
	if t.of == "" {
		return "≤ " + number(t.factor), []float64{t.factor}
	}
	rowName, measureName := r.name, m.name
	text = fmt.Sprintf("≤ %s × %s", number(t.factor), columns[t.of])
	if t.row != "" {
		rowName = t.row
		text += " of " + t.row
	}
	if t.measure != "" {
		measureName = t.measure
		text += ", " + t.measure
	}
	for _, v := range b.results[rowName][measureName][t.of] {
		yardstick = append(yardstick, t.factor*v)
	}
	return text, yardstick
}

// median returns the middle one of values, of which there is one at least.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread prints the median with the smallest and the largest value.
func spread(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	if len(values) == 1 {
		return number(values[0])
	}
	return fmt.Sprintf("%s (%s–%s)", number(median(values)), number(slices.Min(values)), number(slices.Max(values)))
}

// ratio prints the one median in terms of the other.
func ratio(values, of []float64) string {
	if len(values) == 0 || len(of) == 0 || median(of) <= 0 || median(values) < 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", median(values)/median(of))
}

// number prints three digits.
func number(v float64) string {
	switch a := max(v, -v); {
	case a >= 100 || v == float64(int64(v)):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

// tables returns the rows by their columns, in the order in which these come first.
func tables(rows []row) [][]row {
	var all [][]row
	for _, r := range rows {
		i := slices.IndexFunc(all, func(same []row) bool { return slices.Equal(same[0].table(), r.table()) })
		if i < 0 {
			all = append(all, []row{r})
			continue
		}
		all[i] = append(all[i], r)
	}
	return all
}

// publish prints the tables, and writes them into a page if the settings say so.
func (b *bench) publish(w io.Writer, rows []row) error {
	var names []string
	for _, r := range allRows(b.settings) {
		names = append(names, r.name)
	}
	for _, same := range tables(rows) {
		lines := b.lines(same)
		if len(lines) == 0 {
			continue
		}
		head := header(same[0].table())
		_, _ = fmt.Fprintln(w, b.conditions(same[0].table()))
		table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for _, cells := range append([][]string{head}, lines...) {
			_, _ = fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("printing the table: %w", err)
		}
		if b.doc == "" {
			continue
		}
		if err := writePage(b.doc, b.conditions(same[0].table()), head, lines, names); err != nil {
			return err
		}
	}
	return nil
}

// count prints a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
