package failover_test

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// row is one line of the table of figures.
type row struct {
	section  string // what was done to the leader
	measure  string // what the times are
	program  string
	timing   string
	times    []time.Duration
	n        int // repetitions, if they are not as many as the times
	overlaps []overlap
	kept     int // repetitions in which the term went on; -1 where that is not the question
	note     string
	// disturbed are repetitions during which the machine stood still; they count, but limits do not
	// hold for them.
	disturbed int
}

// figures collects rows from all tests. It is safe for concurrent use.
type figures struct {
	mu     sync.Mutex
	rows   []row
	server string // version of the API server
}

// measuredOn notes the version of the API server.
func (f *figures) measuredOn(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = version
}

func (f *figures) add(r row) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.n == 0 {
		r.n = len(r.times)
	}
	f.rows = append(f.rows, r)
}

// header is that of the table.
var header = []string{"Fault", "Elector", "Lease", "n", "Measured", "p50", "p99", "max", "Term kept", "Overlapping", "Longest overlap"}

// cells are one line of the table.
func (r row) cells() []string {
	cells := []string{r.section, r.program, r.timing, fmt.Sprint(r.n), r.measure, "", "", "", "", "", ""}
	if len(r.times) > 0 {
		cells[5], cells[6], cells[7] = human(quantile(r.times, 0.5)), human(quantile(r.times, 0.99)), human(slices.Max(r.times))
	}
	if r.kept >= 0 {
		cells[8] = fmt.Sprintf("%d of %d", r.kept, r.n)
	}
	if r.overlaps != nil {
		overlapping, longest := 0, time.Duration(0)
		for _, o := range r.overlaps {
			if o.writes > 0 {
				overlapping++
			}
			longest = max(longest, o.duration)
		}
		cells[9], cells[10] = fmt.Sprintf("%d of %d", overlapping, len(r.overlaps)), human(longest)
	}
	if r.disturbed > 0 {
		r.note = strings.TrimPrefix(fmt.Sprintf("%s; machine stood still during %d", r.note, r.disturbed), "; ")
	}
	if r.note != "" {
		cells[4] += " (" + r.note + ")"
	}
	return cells
}

// quantile returns the smallest time that a share q of all does not exceed.
func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// human prints a time with three digits.
func human(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d.Abs() < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d.Abs() < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d.Abs() < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	default:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
}

// publish prints the table, and writes it into the page unless its path is empty.
func (f *figures) publish(w io.Writer, page string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rows) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, strings.Join(header, "\t"))
	for _, r := range f.rows {
		_, _ = fmt.Fprintln(table, strings.Join(r.cells(), "\t"))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the figures: %w", err)
	}
	if page == "" {
		return nil
	}
	return f.writePage(page)
}

// The marks between which the page holds figures.
const (
	beginMark = "<!-- figures: begin; written by make failover -->\n"
	endMark   = "<!-- figures: end -->\n"
)

// writePage replaces the figures in a page.
func (f *figures) writePage(page string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	before, rest, found := bytes.Cut(text, []byte(beginMark))
	_, after, closed := bytes.Cut(rest, []byte(endMark))
	if !found || !closed {
		return errors.New("writing the figures: " + page + " has no marks for them")
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(beginMark + "\n" + f.conditions() + "\n")
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, r := range f.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r.cells(), " | "))
	}
	b.WriteString("\n" + endMark)
	b.Write(after)
	if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	return nil
}

// conditions says when, where and with what the figures were measured.
func (f *figures) conditions() string {
	client := "unknown"
	if info, err := buildinfo.ReadFile(yardstick.binary); err == nil { // a test binary knows no versions
		for _, m := range info.Deps {
			if m.Path == "k8s.io/client-go" {
				client = m.Version
			}
		}
	}
	commit := "unknown"
	if out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("Measured on %s, kooperd %s against client-go %s, kube-apiserver %s, %s, %s/%s, %d cores shared with the control plane.\n",
		time.Now().UTC().Format(time.DateOnly), commit, client, f.server, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
