package compose

import (
	"context"
	"sync/atomic"
)

// Recording is one write of what a definition owns, which is under way. Nothing is made before it
// has ended: an object without a record could be left behind for ever.
type Recording struct {
	done chan struct{}
	ok   bool // read it after done
}

// NewRecording returns a Recording that has not ended. End must follow.
func NewRecording() *Recording { return &Recording{done: make(chan struct{})} }

// End is called once, with whether it is recorded. If not, the work is over.
func (r *Recording) End(ok bool) {
	r.ok = ok
	close(r.done)
}

// Recorded lets the passes of a Reconciler wait. It is safe for concurrent use.
type Recorded struct{ now atomic.Pointer[Recording] }

// Await makes passes wait, from now on, for the end of a recording before they change anything.
func (r *Recorded) Await(recording *Recording) { r.now.Store(recording) }

// isRecorded reports whether there is nothing to wait for.
func (r *Recorded) isRecorded() bool {
	now := r.now.Load()
	if now == nil {
		return true
	}
	select {
	case <-now.done:
		return now.ok
	default:
		return false
	}
}

// await reports whether all is recorded. The error is that of ctx, if that ends before.
func (r *Recorded) await(ctx context.Context) (bool, error) {
	now := r.now.Load()
	if now == nil {
		return true, nil
	}
	select {
	case <-now.done:
		return now.ok, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
