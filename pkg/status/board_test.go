package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestBoardReady(t *testing.T) {
	type step struct {
		definition string
		state      State
	}
	tests := map[string]struct {
		steps   []step
		stop    bool
		ok      bool
		unready []string
	}{
		"nothing to do":               {ok: true},
		"first list under way":        {steps: []step{{"pods", Syncing}}, unready: []string{"pods"}},
		"one of several, sorted":      {steps: []step{{"b", Syncing}, {"c", Running}, {"a", Syncing}}, unready: []string{"a", "b"}},
		"running":                     {steps: []step{{"pods", Syncing}, {"pods", Running}}, ok: true},
		"known to be unable":          {steps: []step{{"pods", Syncing}, {"pods", Degraded}}, ok: true},
		"kind not served":             {steps: []step{{"pods", Syncing}, {"pods", Waiting}}, ok: true},
		"paused":                      {steps: []step{{"pods", Paused}}, ok: true},
		"lists again":                 {steps: []step{{"pods", Running}, {"pods", Syncing}}, ok: true},
		"stopping":                    {steps: []step{{"pods", Running}}, stop: true, unready: []string{"shutting down"}},
		"stopping while listing":      {steps: []step{{"pods", Syncing}}, stop: true, unready: []string{"shutting down"}},
		"running after the stop call": {steps: []step{{"pods", Running}}, stop: true, unready: []string{"shutting down"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := NewBoard(NewMetrics(prometheus.NewRegistry()))
			for _, s := range tc.steps {
				b.Set(s.definition, s.state, "")
			}
			if tc.stop {
				b.Stop()
			}
			ok, unready := b.Ready()
			if ok != tc.ok || !slices.Equal(unready, tc.unready) {
				t.Errorf("Ready() = %t, %q, want %t, %q", ok, unready, tc.ok, tc.unready)
			}
		})
	}
}

func TestBoardKeepsWhenAStateBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard(NewMetrics(prometheus.NewRegistry()))
		if got := b.Get("pods"); got != (Status{}) {
			t.Errorf("before anything is set: %+v", got)
		}
		began := time.Now()
		changes := []bool{b.Set("pods", Degraded, "one")}
		time.Sleep(time.Minute)
		changes = append(changes, b.Set("pods", Degraded, "one"), b.Set("pods", Degraded, "two"))
		want := Status{State: Degraded, Reason: "two", Since: began}
		if diff := cmp.Diff(want, b.Get("pods")); diff != "" {
			t.Errorf("another reason (-want +got):\n%s", diff)
		}
		changes = append(changes, b.Set("pods", Running, ""))
		want = Status{State: Running, Since: began.Add(time.Minute)}
		if diff := cmp.Diff(want, b.Get("pods")); diff != "" {
			t.Errorf("another state (-want +got):\n%s", diff)
		}
		if want := []bool{true, false, true, true}; !slices.Equal(changes, want) {
			t.Errorf("Set reported changes %v, want %v", changes, want)
		}
	})
}

func TestBoardReasonIsOneLine(t *testing.T) {
	b := NewBoard(NewMetrics(prometheus.NewRegistry()))
	b.Set("pods", Degraded, "making the handler:\n\tline 2\n")
	if got, want := b.Get("pods").Reason, "making the handler: line 2"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestBoardAllIsACopy(t *testing.T) {
	b := NewBoard(NewMetrics(prometheus.NewRegistry()))
	b.Set("pods", Running, "")
	delete(b.All(), "pods")
	if len(b.All()) != 1 {
		t.Error("a caller's change of All is a change of the board")
	}
}

// Exactly one state of a definition is 1 at every moment that a scrape can see, whoever sets it.
func TestStateGaugeIsExclusive(t *testing.T) {
	registry := prometheus.NewRegistry()
	b := NewBoard(NewMetrics(registry))
	for _, state := range append(States(), States()...) {
		b.Set("pods", state, "")
		if got := states(t, registry, "pods"); !slices.Equal(got, []string{string(state)}) {
			t.Errorf("in state %s the gauge is 1 for %v", state, got)
		}
	}
	var setting sync.WaitGroup
	for i := range 4 {
		setting.Go(func() {
			for j := range 200 {
				b.Set("pods", States()[(i+j)%len(States())], fmt.Sprint(i, j))
			}
		})
	}
	setting.Wait()
	want := []string{string(b.Get("pods").State)}
	if got := states(t, registry, "pods"); !slices.Equal(got, want) {
		t.Errorf("after concurrent changes the gauge is 1 for %v, want %v", got, want)
	}
}

// states returns the states of a definition whose gauge is 1, and fails when the gauge of one is missing.
func states(t *testing.T, registry *prometheus.Registry, definition string) (found []string) {
	t.Helper()
	all := 0
	for name, v := range series(t, registry) {
		rest, ok := strings.CutPrefix(name, `kooperd_controller_state{controller="`+definition+`",state="`)
		if !ok {
			continue
		}
		if all++; v == 1 {
			found = append(found, strings.TrimSuffix(rest, `"}`))
		}
	}
	if all != len(States()) {
		t.Errorf("there are %d series, want one for each of %d states", all, len(States()))
	}
	return found
}

func TestRequirements(t *testing.T) {
	b := NewBoard(NewMetrics(prometheus.NewRegistry()))
	b.Set("pods", Degraded, "the API server cannot be reached")
	met := false
	b.Require("an answer", func() bool { return met })
	if ok, unready := b.Ready(); ok || !slices.Equal(unready, []string{"an answer"}) {
		t.Errorf("Ready() = %t, %q before", ok, unready)
	}
	met = true
	if ok, unready := b.Ready(); !ok {
		t.Errorf("Ready() = %t, %q after", ok, unready)
	}
}
