package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kooperd.dev/kooperd/pkg/statusz"
)

// TestStatesOfManyDefinitions has changes of eight definitions at the same time, and room for one.
func TestStatesOfManyDefinitions(t *testing.T) {
	for range 300 {
		h := New(64 << 10)
		var asked atomic.Int64
		var running sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			log := h.Definition()
			running.Go(func() {
				<-begin
				log.Changed(object(1), largeChange{size: 3000, asked: &asked})
			})
		}
		close(begin)
		running.Wait()
		if kept := 8 - asked.Load(); kept != 1 {
			t.Fatalf("the states of %d changes are kept", kept)
		}
	}
}

// TestCountIsRight notes, takes, and forgets at the same time in all ways that there are.
func TestCountIsRight(t *testing.T) {
	h := New(64 << 10)
	logs := []*Log{h.Definition(), h.Definition(), h.Definition()}
	var asked atomic.Int64
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for j := range 2000 {
				log, key := logs[(i+j)%len(logs)], object(j%40)
				log.Changed(key, largeChange{size: j, asked: &asked})
				log.CalledBy(key, strings.Repeat("x", j%100))
				if j%3 == 0 {
					log.Add(key, log.Take(key), new(full()))
				}
				switch {
				case i == 0 && j%500 == 100:
					log.Pause()
				case i == 0 && j%500 == 200:
					log.SetKind(fmt.Sprint(j))
				case i == 1 && j == 1000:
					logs[2].Remove()
				}
				if pending := h.pending.Load(); pending < 0 || pending > h.pendingLimit() {
					t.Errorf("%d bytes are noted", pending)
				}
			}
		})
	}
	running.Wait()
	if n := logs[2].pending.len(); n != 0 {
		t.Errorf("%d calls of a definition that is gone are noted", n)
	}
	left := int64(0)
	for _, log := range logs {
		left += log.pending.clear()
	}
	if left != h.pending.Load() {
		t.Errorf("noted are %d bytes, and counted %d", left, h.pending.Load())
	}
}

// TestLessHasRoom replaces a state by paths when there is no room for any more.
func TestLessHasRoom(t *testing.T) {
	h := New(64 << 10)
	log := h.Definition()
	var asked atomic.Int64
	log.Changed(object(1), largeChange{size: 3000, asked: &asked})
	h.pending.Add(h.pendingLimit() - h.pending.Load()) // as if others had taken the rest
	log.Changed(object(1), largeChange{size: 3000, asked: &asked})
	if got := log.Take(object(1)); got.change != nil || !slices.Equal(got.changed, []string{"spec"}) {
		t.Errorf("noted: %+v", got)
	}
}

// TestFewAgain edits a call that is in the map when there is room beside it again.
func TestFewAgain(t *testing.T) {
	log := New(4 << 20).Definition()
	for i := range maxFew + 4 {
		log.Changed(object(i), paths{"spec"})
	}
	log.Take(object(0))
	log.CalledBy(object(maxFew), "by")
	if got := log.Take(object(maxFew)); log.pending.len() != maxFew+2 || got.by != "by" || !slices.Equal(changedOf(got), []string{"spec"}) {
		t.Errorf("%+v, and %d others", got, log.pending.len())
	}
}

// TestLongErrorsDoNotWait has errors that are far longer than what is remembered of them.
func TestLongErrorsDoNotWait(t *testing.T) {
	h := New(1 << 20)
	log := h.Definition()
	for i := range 50 {
		log.Add(object(i), Cause{}, &statusz.Handling{Error: strings.Repeat("x", 1<<20)})
		if n := len(h.inbox.ended); n > 0 {
			t.Fatalf("%d of them wait", n)
		}
	}
}
