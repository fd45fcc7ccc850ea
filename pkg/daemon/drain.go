package daemon

import (
	"context"
	"time"

	"github.com/go-logr/logr"
)

// Notify returns a context that ends with parent, or with the next signal that asks the program to stop, and a function
// that gives the signals their default effect again; as signal.NotifyContext does.
type Notify func(parent context.Context) (context.Context, context.CancelFunc)

// shutdownDelay decides when a replica that was asked to stop begins to. One that leads goes on for a while, so that in a
// rolling update the replicas that are going to stop anyway are gone when the lease is free.
type shutdownDelay struct {
	delay   time.Duration
	unready func() // is called when the replica is asked to stop
	leading func() bool
	// again is called when the delay begins; its context ends with the next request to stop, which ends the delay. Nil:
	// nothing ends it early but the loss of the lease.
	again  Notify
	logger logr.Logger
}

// await returns when the work has to stop: at once after asked has ended when this replica does not lead, else after the
// delay, with the next request to stop, or when the work has ended already. drained is closed then, be it asked for or not.
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
	again := context.WithoutCancel(asked)
	if d.again != nil {
		var stop context.CancelFunc
		again, stop = d.again(again)
		defer stop()
	}
	d.logger.Info("asked to stop: this replica leads and goes on working", "shutdownDelayDuration", d.delay)
	timer := time.NewTimer(d.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		d.logger.Info("the shutdown delay is over")
	case <-again.Done():
		d.logger.Info("asked to stop again: the shutdown delay ends")
	case <-drained:
	}
}
