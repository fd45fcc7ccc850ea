package daemon

import (
	"context"
	"time"

	"github.com/go-logr/logr"
)

// shutdownDelay decides when a replica that was asked to stop begins to. One that leads goes on for
// a while, so that in a rolling update the replicas that stop anyway are gone when the lease is
// free.
type shutdownDelay struct {
	delay   time.Duration
	unready func() // called when the replica is asked to stop
	leading func() bool
	// next is signals.Next: its context ends with the next request to stop.
	next   func(context.Context) (context.Context, context.CancelFunc)
	logger logr.Logger
}

// await returns when the work has to stop: at once after asked has ended when this replica does not
// lead. Else it returns after the delay, with the next signal to stop, or when the work has ended
// already: drained is closed then.
func (d shutdownDelay) await(asked context.Context, drained <-chan struct{}) {
	select {
	case <-asked.Done():
	case <-drained:
		return
	}
	d.unready()
	if d.delay <= 0 || !d.leading() {
		return
	}
	next, release := d.next(asked)
	defer release()
	timer := time.NewTimer(d.delay)
	defer timer.Stop()
	d.logger.Info("asked to stop: this replica leads and goes on working", "shutdownDelayDuration", d.delay)
	select {
	case <-timer.C:
		d.logger.Info("the shutdown delay is over")
	case <-next.Done():
		d.logger.Info("asked to stop again: the shutdown delay ends")
	case <-drained:
	}
}
