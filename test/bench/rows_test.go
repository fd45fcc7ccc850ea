package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/bench/order"
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

func TestLatencyReadings(t *testing.T) {
	const ms = 1e6
	bare := []order.Sample{{Sent: 1, Entered: 1 + 3*ms}, {Sent: 2, Entered: 2 + 5*ms}, {Sent: 3, Entered: 3 + 4*ms}}
	own := []order.Sample{{Sent: 3, Entered: 3 + 5*ms}, {Sent: 1, Entered: 1 + 4*ms}, {Sent: 2, Entered: 2 + 8*ms}}
	got, err := latencyReadings(kooperd, own, bare)
	if err != nil {
		t.Fatal(err)
	}
	want := readings{
		kooperd:  {measureP50: 5, measureP99: 8, measureP50Above: 1, measureP99Above: 3},
		informer: {measureP50: 4, measureP99: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("readings (-want +got):\n%s", diff)
	}
	if _, err := latencyReadings(kooperd, nil, bare); err == nil {
		t.Error("comparing nothing with the bare watch: want an error, have none")
	}
}

func TestResyncReadings(t *testing.T) {
	bare := []order.Sample{{Sent: 1, Entered: 100}, {Sent: 2, Entered: 200}}
	own := []order.Sample{{Sent: 1, Entered: 105, Done: 115}, {Sent: 2, Entered: 210, Done: 220}, {Sent: 9, Entered: 1000, Done: 5000}}
	got, err := resyncReadings(manager, 12, own, bare)
	if err != nil {
		t.Fatal(err)
	}
	want := readings{manager: {measureBacklog: 12, measureHandled: 1.5, measureWorst: 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("readings (-want +got):\n%s", diff)
	}
}
