package queue

import "time"

// Len returns how many keys are ready to be handed out. Keys that are delayed, and keys that were added while they are
// being processed, are not ready.
func (q *Queue[K]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready.len
}

// Delayed returns how many keys wait for their time, for a retry as a rule.
func (q *Queue[K]) Delayed() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.delays.heap)
}

// Processing returns how many keys have been handed out and are not done.
func (q *Queue[K]) Processing() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.processing
}

// Oldest returns how long the longest waiting of the keys that are next in their class has waited, as in Item; 0 if no
// key is ready. It tells a queue that stands still from one that is merely long.
func (q *Queue[K]) Oldest() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	added, ok := q.ready.oldest()
	if !ok {
		return 0
	}
	return q.now() - added
}
