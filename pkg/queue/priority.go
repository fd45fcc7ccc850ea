package queue

import "time"

// Priority says how urgent an add is, and so why its key is handed out. The smaller value is the
// more urgent one; values beyond Initial count as Initial.
type Priority uint8

// The priorities, the most urgent first.
const (
	// Change is for a key whose object has changed.
	Change Priority = iota
	// Retry is for a key whose last call failed; Queue.Retry adds it.
	Retry
	// Requeue is for a key whose last call asked to be made again; Queue.Requeue adds it.
	Requeue
	// Resync is for the periodic handling of every key.
	Resync
	// Initial is for the keys that existed before the queue did.
	Initial

	priorities = int(Initial) + 1
)

var priorityNames = [priorities]string{"change", "retry", "requeue", "resync", "initial"}

// String returns the priority in lower case, such as "change".
func (p Priority) String() string { return priorityNames[p.valid()] }

func (p Priority) valid() Priority { return min(p, Initial) }

// aged is the priority that p counts as after a wait: one more urgent for each full period.
func (p Priority) aged(waited, period time.Duration) Priority {
	steps := waited / period
	if steps >= time.Duration(p) {
		return Change
	}
	return p - Priority(steps)
}
