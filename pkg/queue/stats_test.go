package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string](Options{Backoff: Backoff{MaxRetries: -1}})
		want := func(what string, want Stats) {
			t.Helper()
			if diff := cmp.Diff(want, StatsOf(q)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		wantState := func(key string, want State) {
			t.Helper()
			if diff := cmp.Diff(want, StateOf(q, key)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", key, diff)
			}
		}
		want("nothing", Stats{})
		wantState("web", State{Priority: Initial})
		keys := make([]string, 2*backlogAhead)
		for i := range keys {
			keys[i] = string(rune('A' + i))
		}
		q.AddAll(keys)
		time.Sleep(time.Second)
		q.Add("web", Change)
		want("all, and one", Stats{Ready: len(keys) + 1, Oldest: time.Second})
		wantState(keys[len(keys)-1], State{Ready: true, Priority: Initial})
		wantState(keys[0], State{Ready: true, Waited: time.Second, Priority: Initial})
		item, ok := q.Get(t.Context())
		if !ok || item.Key != "web" {
			t.Fatalf("got %+v", item)
		}
		wantState("web", State{Processing: true})
		if delay, _ := q.Retry("web", 5*time.Second); delay != 5*time.Second {
			t.Fatalf("the retry comes after %s", delay)
		}
		time.Sleep(2 * time.Second)
		wantState("web", State{Delay: 3 * time.Second, Priority: Retry, Attempt: 1})
		want("one later", Stats{Ready: len(keys), Oldest: 3 * time.Second, Delayed: 1})
		for range keys {
			item, _ := q.Get(t.Context())
			q.Done(item.Key)
		}
		want("one is left", Stats{Delayed: 1})
		time.Sleep(4 * time.Second)
		want("its time has come", Stats{Ready: 1, Oldest: time.Second})
		wantState("web", State{Ready: true, Waited: time.Second, Priority: Retry, Attempt: 1})
		q.ShutDown()
		want("shut down", Stats{})
	})
}
