package main

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/bench/order"
)

func TestPair(t *testing.T) {
	const ms = int64(1e6)
	sent := []sentChange{{"a", 1 * ms}, {"b", 2 * ms}, {"a", 3 * ms}, {"a", 4 * ms}}
	bare := []order.Sample{{Sent: 1 * ms, Entered: 3 * ms}, {Sent: 2 * ms, Entered: 4 * ms}, {Sent: 4 * ms, Entered: 6 * ms}, {Sent: 3 * ms, Entered: 9 * ms}}
	seen := []float64{2, 2, 2, 6}
	tests := map[string]struct {
		own         []order.Sample
		bare        []order.Sample
		definitions int
		want        arrivals
	}{
		"every change has come": {
			own: []order.Sample{
				{Sent: 3 * ms, Entered: 30, Done: 31}, {Sent: 1 * ms, Entered: 10, Done: 11},
				{Sent: 2 * ms, Entered: 20, Done: 21}, {Sent: 4 * ms, Entered: 40, Done: 41}, {Sent: 99, Entered: 1},
			},
			bare: bare, definitions: 1,
			want: arrivals{seen: seen, of: 4, came: []arrival{
				{1 * ms, 3 * ms, 10, 11}, {2 * ms, 4 * ms, 20, 21}, {3 * ms, 9 * ms, 30, 31}, {4 * ms, 6 * ms, 40, 41},
			}},
		},
		"overtaken by the change that the watch has seen later": {
			own:  []order.Sample{{Sent: 3 * ms, Entered: 30, Done: 31}, {Sent: 2 * ms, Entered: 20, Done: 21}},
			bare: bare, definitions: 1,
			want: arrivals{seen: seen, of: 4, came: []arrival{
				{1 * ms, 3 * ms, 30, 31}, {2 * ms, 4 * ms, 20, 21}, {3 * ms, 9 * ms, 30, 31}, {4 * ms, 6 * ms, 30, 31},
			}},
		},
		"the newest and that of another object are missing": {
			own:  []order.Sample{{Sent: 4 * ms, Entered: 40, Done: 41}},
			bare: bare, definitions: 1,
			want: arrivals{seen: seen, of: 4, missing: 2, came: []arrival{{1 * ms, 3 * ms, 40, 41}, {4 * ms, 6 * ms, 40, 41}}},
		},
		"by definition": {
			own:  []order.Sample{{Definition: 1, Sent: 3 * ms, Entered: 30, Done: 31}, {Definition: 0, Sent: 2 * ms, Entered: 20, Done: 21}},
			bare: bare, definitions: 2,
			want: arrivals{seen: seen, of: 8, missing: 4, came: []arrival{
				{1 * ms, 3 * ms, 30, 31}, {2 * ms, 4 * ms, 20, 21}, {3 * ms, 9 * ms, 30, 31}, {4 * ms, 6 * ms, 30, 31},
			}},
		},
		"the watch has missed one": {
			own:  []order.Sample{{Sent: 2 * ms, Entered: 20, Done: 21}, {Sent: 4 * ms, Entered: 40, Done: 41}},
			bare: bare[1:3], definitions: 1,
			want: arrivals{seen: []float64{2, 2}, of: 4, missing: 2, came: []arrival{{2 * ms, 4 * ms, 20, 21}, {4 * ms, 6 * ms, 40, 41}}},
		},
		"nothing has come": {bare: bare, definitions: 1, want: arrivals{seen: seen, of: 4, missing: 4}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := pair(sent, tt.own, tt.bare, tt.definitions)
			slices.SortFunc(got.came, func(a, b arrival) int { return cmp.Compare(a.due, b.due) })
			slices.Sort(got.seen)
			if diff := gocmp.Diff(tt.want, got, gocmp.AllowUnexported(arrivals{}, arrival{})); diff != "" {
				t.Errorf("arrivals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	came := []arrival{{}}
	tests := map[string]struct {
		arrivals arrivals
		fails    bool
	}{
		"none":              {arrivals{came: came, of: 1000}, false},
		"one in a hundred":  {arrivals{came: came, missing: 10, of: 1000}, false},
		"more than that":    {arrivals{came: came, missing: 11, of: 1000}, true},
		"nothing was there": {arrivals{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.arrivals.check(); (err != nil) != tt.fails {
				t.Errorf("have error %v, want one: %t", err, tt.fails)
			}
		})
	}
}

func TestLatencyReadings(t *testing.T) {
	const ms = int64(1e6)
	// The slowest at the watch is not the slowest at the handler: quantiles differ by less than
	// changes do.
	a := arrivals{seen: []float64{3, 5, 4}, missing: 0, of: 3, came: []arrival{
		{due: 0, seen: 3 * ms, entered: 8 * ms}, {due: 0, seen: 5 * ms, entered: 6 * ms}, {due: 0, seen: 4 * ms, entered: 5 * ms},
	}}
	got, err := latencyReadings(kooperd, a)
	if err != nil {
		t.Fatal(err)
	}
	want := readings{
		kooperd: {measureP50: 6, measureP99: 8, measureP50Above: 2, measureP99Above: 3, measureP50Paired: 1, measureP99Paired: 5,
			measureMissing: 0, measureBehind: 0},
		informer: {measureP50: 4, measureP99: 5},
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("readings (-want +got):\n%s", diff)
	}
	if _, err := latencyReadings(kooperd, arrivals{missing: 3, of: 3}); err == nil {
		t.Error("comparing nothing with the bare watch: want an error, have none")
	}
	a.seen = []float64{3, 1001, 2000}
	got, err = latencyReadings(manager, a)
	if diff := gocmp.Diff(readings{manager: {measureBehind: 1}}, got); diff != "" || err != nil {
		t.Errorf("the API server is late by a second: error %v, readings (-want +got):\n%s", err, diff)
	}
}

func TestResyncReadings(t *testing.T) {
	fresh := arrivals{of: 2, came: []arrival{{seen: 100, entered: 105, done: 115}, {seen: 200, entered: 210, done: 220}}}
	aged := arrivals{of: 1, came: []arrival{{seen: 300, entered: 320, done: 330}}}
	got, err := resyncReadings(manager, 12, fresh, aged)
	if err != nil {
		t.Fatal(err)
	}
	want := readings{manager: {measureBacklog: 12, measureMissing: 0, measureHandled: 1.5, measureWorst: 2,
		measureHandledAged: 3, measureWorstAged: 3}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("readings (-want +got):\n%s", diff)
	}
	if _, err := resyncReadings(manager, 12, fresh, arrivals{missing: 1, of: 1}); err == nil {
		t.Error("no change has come after ageing: want an error, have none")
	}
}
