package queue

import (
	"slices"
	"time"
)

// Stats is what a queue holds at one moment.
type Stats struct {
	// Ready are the keys whose turn it is, with those that AddAll has added.
	Ready int
	// Oldest is how long the key that was added first of them has waited.
	Oldest time.Duration
	// Delayed are the keys that are not to be called before a time.
	Delayed int
}

// StatsOf returns what a queue holds. It costs the same for any number of keys.
func StatsOf[K comparable](q *Queue[K]) Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := &q.schedule
	now := s.now()
	s.promote(now)
	stats := Stats{Ready: depth(s), Delayed: len(s.delays)}
	for _, list := range s.ready.lists {
		if list.head != nil {
			stats.Oldest = max(stats.Oldest, now-list.head.added)
		}
	}
	if len(s.backlog.keys) > 0 {
		stats.Oldest = max(stats.Oldest, now-s.backlog.added)
	}
	return stats
}

// State is what a queue knows of one key.
type State struct {
	// Processing is true while the key is handed out.
	Processing bool
	// Ready is true when the key is going to be handed out as soon as its turn comes, or after the
	// processing that is under way.
	Ready bool
	// Waited is since when it is ready.
	Waited time.Duration
	// Delay is after how long the key becomes ready; 0 if it does not by itself.
	Delay time.Duration
	// Priority is that of the call that is to come.
	Priority Priority
	// Attempt counts the calls that have failed in a row.
	Attempt int
}

// StateOf returns what a queue knows of a key. It looks at all keys that AddAll has added and whose
// turn has not come, and nobody waits for that.
func StateOf[K comparable](q *Queue[K], key K) State {
	state, backlog := stateOf(q, key)
	if len(backlog) > 0 {
		state.Ready = slices.Contains(backlog, key)
	}
	return state
}

// stateOf is StateOf for a key with an entry. One that has none may be in the backlog, whose keys
// do not change.
func stateOf[K comparable](q *Queue[K], key K) (state State, backlog []K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.schedule.now()
	q.schedule.promote(now)
	e := q.schedule.entries.find(key)
	if e == nil {
		if _, early := q.schedule.backlog.early[key]; !early {
			backlog = q.schedule.backlog.keys
		}
		return State{Priority: Initial}, backlog
	}
	state = State{Processing: e.processing, Ready: e.pending == due, Priority: e.priority, Attempt: int(e.failures) + int(e.putOffs)}
	switch e.pending {
	case due:
		state.Waited = now - e.added
	case delayed:
		state.Delay = max(e.readyAt-now, 1)
	}
	return state, nil
}
