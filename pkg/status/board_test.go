package status

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// discard is an Observer that ignores every state.
type discard struct{}

func (discard) SetState(string, State) {}

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
			b := NewBoard(discard{})
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
		b := NewBoard(discard{})
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
	b := NewBoard(discard{})
	b.Set("pods", Degraded, "making the handler:\n\tline 2\n")
	if got, want := b.Get("pods").Reason, "making the handler: line 2"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestBoardAllIsACopy(t *testing.T) {
	b := NewBoard(discard{})
	b.Set("pods", Running, "")
	delete(b.All(), "pods")
	if len(b.All()) != 1 {
		t.Error("a caller's change of All is a change of the board")
	}
}

func TestReadyChecks(t *testing.T) {
	b := NewBoard(discard{})
	b.Set("pods", Degraded, "the API server cannot be reached")
	met := false
	b.AddReadyCheck("an answer", func() bool { return met })
	if ok, unready := b.Ready(); ok || !slices.Equal(unready, []string{"an answer"}) {
		t.Errorf("Ready() = %t, %q before", ok, unready)
	}
	met = true
	if ok, unready := b.Ready(); !ok {
		t.Errorf("Ready() = %t, %q after", ok, unready)
	}
}

// TestReadyCheckUsesTheBoard has a check that writes to the board.
func TestReadyCheckUsesTheBoard(t *testing.T) {
	b := NewBoard(discard{})
	b.AddReadyCheck("a definition", func() bool { return !b.Set("pods", Running, "") })
	if ok, unready := b.Ready(); ok || !slices.Equal(unready, []string{"a definition"}) {
		t.Errorf("Ready() = %t, %q at first", ok, unready)
	}
	if ok, unready := b.Ready(); !ok {
		t.Errorf("Ready() = %t, %q then", ok, unready)
	}
}

// TestSyncedAgain has definitions that come later.
func TestSyncedAgain(t *testing.T) {
	b := NewBoard(discard{})
	b.Set("first", Running, "")
	before := b.Synced()
	b.Set("second", Syncing, "")
	b.Set("third", Syncing, "")
	again := b.Synced()
	for i, step := range []func(){
		func() {}, func() { b.Set("second", Waiting, "") }, func() { b.Remove("third") },
	} {
		step()
		synced := false
		select {
		case <-again:
			synced = true
		default:
		}
		if want := i == 2; synced != want {
			t.Errorf("after step %d all are synced: %t, want %t", i, synced, want)
		}
	}
	<-before
}
