// Command bench measures kooperd beside a manager of controller-runtime and beside bare client-go,
// the floor: the same work on the same API server, each in its own process, in turn, several
// times. It prints one table. docs/performance.md says how to read it.
//
//	go run . -rows=start,metadata -n=5000 -reps=3
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/signals"
)

// settings are the flags.
type settings struct {
	rows    string
	n, reps int
	quick   bool
	doc     string
	bin     string
	profile string
	settle  time.Duration
	latency time.Duration
	idle    time.Duration

	given []string // the flags that say what is measured, for the table
}

func main() {
	s, err := parseFlags(os.Args[1:])
	if err != nil {
		os.Exit(2) // the flag set has said why
	}
	if err := run(signals.Context(), s); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// parseFlags reads the command line. An error has been printed.
func parseFlags(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&s.rows, "rows", "", "comma-separated `names` of the rows to measure; default: all; \"list\" lists them")
	flags.IntVar(&s.n, "n", 20000, "number of objects where a row does not say its own; rows with their own number take the same share of it")
	flags.IntVar(&s.reps, "reps", 5, "repetitions")
	flags.BoolVar(&s.quick, "quick", false, "see that everything works: few objects, two repetitions, short times; the figures mean little")
	flags.StringVar(&s.doc, "doc", "", "write the table into this `file`, between its two marks, in place of what that has of the same rows")
	flags.StringVar(&s.bin, "bin", "", "run the programs in this `folder` instead of building them")
	flags.StringVar(&s.profile, "profile", "", "write profiles of kooperd into this `folder`, from an additional run of each row that is not counted")
	flags.DurationVar(&s.settle, "settle", 20*time.Second, "time from the last object handled to the measurement of memory and requests")
	flags.DurationVar(&s.latency, "latency", time.Minute, "how long changes are counted at most for a row that measures latency")
	flags.DurationVar(&s.idle, "idle", 5*time.Minute, "how long requests of idle programs are counted")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) {
		given[f.Name] = true
		if !slices.Contains([]string{"doc", "bin", "profile"}, f.Name) {
			s.given = append(s.given, "-"+f.Name+"="+f.Value.String())
		}
	})
	if s.quick {
		s.shorten(given)
	}
	if flags.NArg() > 0 || s.n < 100 || s.reps < 1 {
		_, _ = fmt.Fprintln(os.Stderr, "bench: want no arguments, -n of 100 or more, -reps of 1 or more")
		return settings{}, errors.New("bad usage")
	}
	return s, nil
}

// shorten sets what was not given for a quick run.
func (s *settings) shorten(given map[string]bool) {
	set := func(name string, change func()) {
		if !given[name] {
			change()
		}
	}
	set("n", func() { s.n = 400 })
	set("reps", func() { s.reps = 2 })
	set("settle", func() { s.settle = 2 * time.Second })
	set("latency", func() { s.latency = 4 * time.Second })
	set("idle", func() { s.idle = 15 * time.Second })
}

// run builds the programs, measures the rows and publishes the table.
func run(ctx context.Context, s settings) error {
	rows := allRows(s)
	if s.rows == "list" {
		for _, r := range rows {
			_, _ = fmt.Fprintf(os.Stdout, "%-20s %s\n", r.name, r.title)
		}
		return nil
	}
	rows, err := chosen(rows, s.rows)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kooperd-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{settings: s, dir: dir, bin: s.bin, results: results{}, begun: time.Now()}
	if err := b.build(ctx, rows); err != nil {
		return err
	}
	failed := b.measure(ctx, rows)
	b.results.derive(rows)
	if err := b.publish(os.Stdout, rows); err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

// chosen returns the rows with the comma-separated names, all for none, and those that they are
// compared with.
func chosen(rows []row, names string) ([]row, error) {
	if names == "" {
		return rows, nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return nil, fmt.Errorf("choosing rows: there is none called %q; -rows=list lists them", name)
		}
	}
	for i := 0; i < len(wanted); i++ { // It grows meanwhile.
		at := slices.IndexFunc(rows, func(r row) bool { return r.name == wanted[i] })
		wanted = append(wanted, rows[at].yardsticks(wanted)...)
	}
	return slices.DeleteFunc(rows, func(r row) bool { return !slices.Contains(wanted, r.name) }), nil
}
