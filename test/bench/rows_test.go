package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A target that names a row or a measure which does not exist would never be judged.
func TestTargetsExist(t *testing.T) {
	rows := allRows(settings{n: 20000})
	measures := map[string][]string{}
	for _, r := range rows {
		if _, twice := measures[r.name]; twice {
			t.Errorf("two rows are called %q", r.name)
		}
		for _, m := range r.measures {
			measures[r.name] = append(measures[r.name], m.name)
		}
	}
	for _, r := range rows {
		for _, m := range r.measures {
			for _, target := range m.targets {
				of, name := r.name, m.name
				if target.row != "" {
					of = target.row
				}
				if target.measure != "" {
					name = target.measure
				}
				if !slices.Contains(measures[of], name) {
					t.Errorf("%s, %s: the target names %s, %s, which is not measured", r.name, m.name, of, name)
				}
			}
		}
	}
}

func TestChosen(t *testing.T) {
	rows := allRows(settings{n: 20000})
	got, err := chosen(slices.Clone(rows), "metadata,start")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range got {
		names[r.name] = true
	}
	if diff := cmp.Diff([]string{"metadata", "start"}, slices.Sorted(maps.Keys(names))); diff != "" {
		t.Errorf("chosen rows (-want +got):\n%s", diff)
	}
	if _, err := chosen(rows, "start,strat"); err == nil {
		t.Error("choosing a row that does not exist: want an error, have none")
	}
}

// A row that is compared with others is measured together with them.
func TestChosenYardsticks(t *testing.T) {
	tests := map[string][]string{
		"scale-10":           {"scale-0", "scale-1", "scale-10"},
		"startup-1000,start": {"start", "startup-1", "startup-1000"},
	}
	for names, want := range tests {
		t.Run(names, func(t *testing.T) {
			rows, err := chosen(allRows(settings{n: 20000}), names)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rows {
				got = append(got, r.name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("chosen rows (-want +got):\n%s", diff)
			}
		})
	}
}

// Every program comes before each other one as often as after it, and each is the first as often as
// any other.
func TestTurn(t *testing.T) {
	for _, of := range [][]program{programs, {kooperd, manager}} {
		before := map[[2]program]int{}
		for rep := range 6 {
			order := turn(of, rep)
			for i, p := range order {
				for _, later := range order[i+1:] {
					before[[2]program{p, later}]++
				}
			}
		}
		for pair, n := range before {
			if n != 3 {
				t.Errorf("%v: %s comes before %s in %d of 6 repetitions, want 3", of, pair[0], pair[1], n)
			}
		}
	}
	if diff := cmp.Diff([]program{kooperd, manager, informer}, programs); diff != "" {
		t.Errorf("the programs have changed places (-want +got):\n%s", diff)
	}
}

func TestDerive(t *testing.T) {
	each := measure{name: "each", marginal: &marginal{of: "memory", base: "none", objects: 10, scale: 1000}}
	got := results{}
	got.add("none", readings{kooperd: {"memory": 40}})
	got.add("none", readings{kooperd: {"memory": 42}})
	got.add("many", readings{kooperd: {"memory": 51}, manager: {"memory": 100}})
	got.add("many", readings{kooperd: {"memory": 61}})
	got.derive([]row{{name: "none"}, {name: "many", measures: []measure{{name: "memory"}, each}}})
	want := map[program][]float64{kooperd: {1000, 2000}}
	if diff := cmp.Diff(want, got["many"]["each"]); diff != "" {
		t.Errorf("cost of each further object (-want +got):\n%s", diff)
	}
}
