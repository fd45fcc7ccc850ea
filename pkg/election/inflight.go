package election

import (
	"context"
	"errors"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// operation is what a request to the API server is for.
type operation string

const (
	opRead      operation = "reading"
	opAcquire   operation = "acquiring"
	opTombstone operation = "creating"
	opRenew     operation = "renewing"
	opRelease   operation = "releasing"
)

// call is one request.
type call func(ctx context.Context) (*coordinationv1.Lease, error)

// reply is what became of a request.
type reply struct {
	op      operation
	write   write                 // what was to be stored; zero for opRead
	viewed  string                // the latest resourceVersion observed when it was sent
	known   string                // the latest resourceVersion known when it was sent
	lease   *coordinationv1.Lease // as stored; nil when err is not
	err     error
	latency time.Duration
}

// requester carries one request at a time, so that the elector's loop never waits for the network.
type requester struct {
	replies chan reply // buffered: the request's goroutine ends even if the reply is never taken
	cancel  context.CancelFunc
	op      operation // of the request under way; empty when there is none
}

func newRequester() *requester { return &requester{replies: make(chan reply, 1), cancel: func() {}} }

// busy reports whether a request is under way.
func (c *requester) busy() bool { return c.op != "" }

// send starts a request, whose reply must be taken from replies and passed to arrived. r carries
// what the reply shall repeat.
func (c *requester) send(ctx context.Context, timeout time.Duration, r reply, do call) {
	ctx, c.cancel = context.WithTimeout(ctx, timeout)
	c.op = r.op
	cancel := c.cancel
	go func() {
		defer cancel()
		started := time.Now()
		r.lease, r.err = do(ctx)
		if r.err == nil && r.lease == nil {
			r.err = errors.New("the API server's answer holds no lease")
		}
		r.latency = time.Since(started)
		c.replies <- r
	}()
}

// arrived notes that the reply was taken.
func (c *requester) arrived() { c.op = "" }

// wait takes the reply of the request under way. It gives up at the limit, because a credential
// plugin, say, may not obey the request's context; the request is then abandoned and ok is false.
func (c *requester) wait(limit time.Duration) (r reply, ok bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r = <-c.replies:
		c.arrived()
		return r, true
	case <-timer.C:
		c.cancel()
		return reply{}, false
	}
}

// quit cancels the request under way, if there is one, and waits for its end, at most until the
// limit.
func (c *requester) quit(limit time.Duration) {
	if !c.busy() {
		return
	}
	c.cancel()
	c.wait(limit)
}
