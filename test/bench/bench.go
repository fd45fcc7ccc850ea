package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/test/bench/order"
	"kooperd.dev/kooperd/test/cluster"
)

// row is one kind of work.
type row struct {
	name, title string
	fixture     fixture
	measures    []measure
	// measured are the programs to run, and columns those of the table; none means programs.
	measured, columns []program
	// reps is how often they run at most, where once is enough; 0 means as often as others.
	reps int
	// once runs one program once. It may measure something of another program that ran beside it.
	once func(ctx context.Context, s *scene, p program) (readings, error)
	// together is instead of once and runs all programs side by side: for what does not depend on
	// the speed of the machine.
	together func(ctx context.Context, s *scene) (readings, error)
	// order is what once gives to the program, where a profile of it is worth something.
	order func() order.Order
	// run is instead of once and runs one program with the order.
	run func(ctx context.Context, s *scene, p program, o order.Order) (readings, error)
}

// yardsticks are the names of the rows that figures of r are compared with and that are not among
// known.
func (r row) yardsticks(known []string) []string {
	var names []string
	need := func(name string) {
		if name != "" && !slices.Contains(known, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, m := range r.measures {
		for _, t := range m.targets {
			need(t.row)
		}
		if m.marginal != nil {
			need(m.marginal.base)
		}
	}
	return names
}

// measure is one line of the table.
type measure struct {
	name, unit string
	targets    []target
	marginal   *marginal // of a measure that is derived from others
	difference bool      // whether it is one, which no ratio says anything of
}

// marginal is what each further object adds to a figure: the difference to a row with next to no
// objects.
type marginal struct {
	of      string  // the measure, of both rows
	base    string  // the other row
	objects float64 // how many more this row has
	scale   float64 // from the unit of that measure to the unit of this one
}

// readings are what one run measures: numbers by program and by the name of the measure.
type readings map[program]map[string]float64

// results are all numbers by row, measure and program.
type results map[string]map[string]map[program][]float64

func (r results) add(rowName string, got readings) {
	if r[rowName] == nil {
		r[rowName] = map[string]map[program][]float64{}
	}
	for p, numbers := range got {
		for name, number := range numbers {
			if r[rowName][name] == nil {
				r[rowName][name] = map[program][]float64{}
			}
			r[rowName][name][p] = append(r[rowName][name][p], number)
		}
	}
}

// derive calculates the measures that are derived from others. What they need may not have been
// measured.
func (r results) derive(rows []row) {
	for _, row := range rows {
		for _, m := range row.measures {
			if m.marginal == nil {
				continue
			}
			for p, values := range r[row.name][m.marginal.of] {
				base := r[m.marginal.base][m.marginal.of][p]
				if len(base) == 0 {
					continue
				}
				for _, v := range values {
					r.add(row.name, readings{p: {m.name: (v - median(base)) * m.marginal.scale / m.marginal.objects}})
				}
			}
		}
	}
}

// bench is one run of this command.
type bench struct {
	settings
	dir     string // of what it writes meanwhile
	bin     string // of the programs
	built   []program
	begun   time.Time
	results results
	server  string // version of the API server
	sizes   []string
}

// scene is a cluster with its objects.
type scene struct {
	*bench
	cluster *cluster.Cluster
	client  kubernetes.Interface // speaks protobuf, to leave the CPU to those who are measured
	objects int
	audited cluster.AuditMark // where the audit log begins to matter
	graphs  bool              // kro has its kinds in the cluster, and made that of its parents
}

// table returns the programs that the row has columns of.
func (r row) table() []program {
	if r.columns == nil {
		return programs
	}
	return r.columns
}

// measure measures the rows, with one cluster after the other. A row that fails does not keep
// others from being measured.
func (b *bench) measure(ctx context.Context, rows []row) error {
	var failed error
	for len(rows) > 0 && ctx.Err() == nil {
		var same, others []row
		for _, r := range rows {
			if r.fixture == rows[0].fixture {
				same = append(same, r)
			} else {
				others = append(others, r)
			}
		}
		f := same[0].fixture
		err := cluster.Run(ctx, cluster.Options{Audit: f.audit}, func(c *cluster.Cluster) error {
			s, err := b.furnish(ctx, c, f)
			if err != nil {
				return err
			}
			for _, r := range same {
				if err := s.repeat(ctx, r); err != nil {
					delete(s.results, r.name) // A part of the repetitions is not what the page says.
					failed = errors.Join(failed, fmt.Errorf("measuring %s: %w", r.name, err))
				}
			}
			return nil
		})
		failed = errors.Join(failed, err)
		rows = others
	}
	return errors.Join(failed, ctx.Err())
}

// play runs one program once.
func (r row) play(ctx context.Context, s *scene, p program) (readings, error) {
	if r.run != nil {
		return r.run(ctx, s, p, r.order())
	}
	return r.once(ctx, s, p)
}

// repeat runs the programs of a row in turn, each time in another order.
func (s *scene) repeat(ctx context.Context, r row) error {
	if err := s.profiled(ctx, r); err != nil {
		return err
	}
	reps := s.reps
	if r.reps > 0 {
		reps = min(reps, r.reps)
	}
	for rep := range reps {
		if r.together != nil {
			got, err := r.together(ctx, s)
			if err != nil {
				return err
			}
			progressf("%s, repetition %d of %d: %v", r.name, rep+1, reps, got)
			s.results.add(r.name, got)
			continue
		}
		for _, p := range turn(r.measured, rep) {
			start := time.Now()
			got, err := r.play(ctx, s, p)
			if err != nil {
				return fmt.Errorf("running %s: %w", p, err)
			}
			progressf("%s, repetition %d of %d: %s took %s: %v", r.name, rep+1, reps, p, time.Since(start).Round(time.Millisecond), got[p])
			s.results.add(r.name, got)
		}
	}
	return nil
}

// turn returns the programs in the order of one repetition. Six repetitions have every order of
// three programs, and two every order of two; after an even number each program has come before
// each other one as often as after it.
func turn(of []program, rep int) []program {
	first := rep / 2 % len(of)
	order := slices.Concat(of[first:], of[:first])
	if rep%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// profiled runs kooperd once more, for its profiles, with the plugins of the benchmark.
func (s *scene) profiled(ctx context.Context, r row) error {
	if s.profile == "" || r.order == nil || !slices.Contains(r.measured, r.table()[0]) {
		return nil
	}
	o := r.order()
	o.CPUProfile, o.HeapProfile = filepath.Join(s.profile, r.name+".cpu.pprof"), filepath.Join(s.profile, r.name+".heap.pprof")
	var err error
	if r.run != nil {
		_, err = r.run(ctx, s, kooperd, o)
	} else {
		_, err = s.drain(ctx, kooperd, o)
	}
	return err
}

// progressf prints what is being done, where it does not get into the table.
func progressf(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().UTC().Format(time.TimeOnly)}, args...)...)
}
