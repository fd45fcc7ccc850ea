package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/engine"
)

// Bounds of the last waits. A request to the API server may obey no context, as while a credential
// plugin hangs, and foreign code may not return: the process ends without them.
const (
	// stopGrace is how long calls may take to return after the shutdown timeout has canceled them,
	// and how long a plugin may take after that to close its handlers.
	stopGrace = 5 * time.Second
	// partsGrace is how long servers and sources may take to stop when no code of a plugin is
	// running.
	partsGrace = 2 * time.Second
	// freeGrace is how long closing connections may take, and the last events on the lease.
	freeGrace = 2 * time.Second
)

var (
	errCallsStuck   = errors.New("handlers have not stopped")
	errPluginStuck  = errors.New("the constructor or the Close of a plugin has not returned")
	errElectorStuck = errors.New("the elector has not stopped")
)

// workload runs the definitions; it is an engine.Engine.
type workload interface {
	Run(ctx context.Context)
	Work(term context.Context, drain engine.Drain, group engine.Group)
	// Wants returns a channel that is closed once there is something to work on in the group.
	Wants(group engine.Group) <-chan struct{}
	// Unreturned names the plugins whose code is running: calls, constructors and Closes.
	Unreturned() []string
}

// elector competes for the lease; it is an election.Elector.
type elector interface {
	Run(ctx context.Context, lead func(term context.Context) error) error
	Leading() bool
}

// readiness is what /readyz shows; it is a status.Board.
type readiness interface {
	Synced() <-chan struct{}
	Ready() (ok bool, awaited []string)
	Stop()
}

// timeouts are the settings of a life cycle.
type timeouts struct {
	shutdown      time.Duration // how long calls under way may go on
	shutdownDelay time.Duration // how long a leader goes on after the request to stop
	warmUp        time.Duration // how long a new replica waits for its caches before it competes for the lease
}

// lifecycle takes the parts of a process from the start to the exit. Its order of a clean stop:
// readiness off, the delay if this replica leads, no new work, calls finish, lease released,
// sources and servers stop.
type lifecycle struct {
	workload workload
	elector  elector // nil without leader election
	standsBy bool    // competes again after it has lost the lease
	stores   bool    // the holder of the lease stores something, so one is needed without a definition, too
	board    readiness
	serve    func(ctx context.Context) error // answers requests until ctx ends
	beside   []func(ctx context.Context)     // run beside the work until ctx ends
	free     []func()                        // close what is left at the end
	// prepare is called at the beginning of each term, before the work; an error means that the
	// term or drain has ended. Nil if there is nothing to prepare.
	prepare  func(term context.Context, drain engine.Drain) error
	timeouts timeouts
	next     func(context.Context) (context.Context, context.CancelFunc) // signals.Next
	logger   logr.Logger
}

// stopping is how far the stop of a process has come. Its channels are closed in this order.
type stopping struct {
	requested <-chan struct{} // a stop was asked for; stays open when the work ends for another reason
	drain     engine.Drain    // no new work begins
	late      <-chan struct{} // calls should have returned long since
	overdue   <-chan struct{} // everything under the lease should have
}

// run works until requested ends, leadership is lost or something fails. It returns in bounded time
// after that, even if calls, plugins or requests to the API server do not.
func (l *lifecycle) run(requested context.Context) error {
	parts, stopParts := context.WithCancel(context.WithoutCancel(requested))
	defer stopParts()
	draining, startDrain := context.WithCancel(parts)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer startDrain()
	asking.Go(func() {
		l.awaitRequest(requested, draining.Done())
		startDrain()
		if requested.Err() != nil {
			l.logger.Info("stopping: no new work, waiting for handler calls", "shutdownTimeout", l.timeouts.shutdown)
		}
	})
	stop := stopping{
		requested: requested.Done(),
		drain:     engine.Drain(draining.Done()),
		late:      after(draining, l.timeouts.shutdown+stopGrace),
		overdue:   after(draining, l.timeouts.shutdown+2*stopGrace),
	}

	failed := make(chan error, 1)
	background := l.startParts(parts, failed)
	leased := make(chan error, 1)
	go func() { leased <- l.workUnderLease(draining, stop) }()
	replica, cutReplica := context.WithCancel(parts)
	defer cutReplica()
	everyReplica := make(chan struct{})
	go func() {
		defer close(everyReplica)
		l.workload.Work(replica, stop.drain, engine.EveryReplica)
	}()

	var err error
	select {
	case err = <-leased:
		leased = nil
		if err != nil {
			cutReplica() // Leadership lost or a failure: the process is about to end.
		}
		startDrain()
	case err = <-failed:
		startDrain()
	case <-draining.Done():
	}
	if err = l.awaitWork(err, leased, everyReplica, stop); isStuck(err) {
		return err // What still runs ends with the process.
	}
	stopParts()
	return errors.Join(err, l.awaitParts(background))
}

// startParts starts what runs beside the work until parts ends. An error of the servers goes to
// failed. The channel that it returns is closed when all of it has ended.
func (l *lifecycle) startParts(parts context.Context, failed chan<- error) <-chan struct{} {
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.serve(parts); err != nil {
			failed <- err
		}
	})
	running.Go(func() { l.workload.Run(parts) })
	for _, f := range l.beside {
		running.Go(func() { f(parts) })
	}
	return done(running.Wait)
}

// awaitParts waits for the parts and frees what they have used. Only code of a plugin that does not
// return is an error: a request that does not end, as while a credential plugin hangs, ends with
// the process and harms nothing.
func (l *lifecycle) awaitParts(background <-chan struct{}) error {
	if !within(partsGrace, background) {
		if len(l.workload.Unreturned()) > 0 && !within(stopGrace-partsGrace, background) {
			if stuck := l.workload.Unreturned(); len(stuck) > 0 {
				return named(errPluginStuck, stuck)
			}
		}
		if !isClosed(background) {
			l.logger.Info("stopping without waiting for requests to the API server that do not end")
		}
	}
	freed := done(func() {
		for _, f := range l.free {
			f()
		}
	})
	if !within(freeGrace, freed) {
		l.logger.Info("stopping without waiting for connections to close")
	}
	return nil
}

// awaitWork waits for both groups of definitions, err being how the work has ended so far.
func (l *lifecycle) awaitWork(err error, leased <-chan error, everyReplica <-chan struct{}, stop stopping) error {
	for leased != nil || everyReplica != nil {
		if errors.Is(err, election.ErrStuck) {
			return err
		}
		select {
		case e := <-leased:
			leased = nil
			err = errors.Join(err, e)
		case <-everyReplica:
			everyReplica = nil
		case <-stop.late:
			if stop.late = nil; everyReplica != nil {
				return errors.Join(err, named(errCallsStuck, l.workload.Unreturned()))
			}
		case <-stop.overdue:
			return errors.Join(err, errElectorStuck)
		}
	}
	return err
}

// isStuck reports whether work that should have ended may still be going on.
func isStuck(err error) bool {
	return errors.Is(err, election.ErrStuck) || errors.Is(err, errCallsStuck) || errors.Is(err, errElectorStuck)
}

// awaitRequest returns when the work has to stop because requested has ended, or when drained is
// closed for another reason.
func (l *lifecycle) awaitRequest(requested context.Context, drained <-chan struct{}) {
	delay := shutdownDelay{
		delay: l.timeouts.shutdownDelay, unready: l.board.Stop, leading: l.underLease, next: l.next, logger: l.logger,
	}
	delay.await(requested, drained)
}

// underLease reports whether this replica leads by the lease, and not because there is no leader
// election.
func (l *lifecycle) underLease() bool { return l.elector != nil && l.elector.Leading() }

// workUnderLease works on the definitions under the lease while this replica leads. It returns nil
// when draining has ended and the work with it. It also returns nil when the lease was lost in the
// delay after a stop was asked for and the config says to stand by: a replica that was asked to
// stop does not compete again.
func (l *lifecycle) workUnderLease(draining context.Context, stop stopping) error {
	lead := func(term context.Context) error { return l.workTerm(term, stop) }
	if l.elector == nil {
		err := lead(context.WithoutCancel(draining))
		<-stop.drain
		return err
	}
	if !l.awaitDefinition(stop) {
		return nil
	}
	l.awaitCaches(stop)
	for {
		err := l.elector.Run(draining, lead)
		switch {
		case err == nil:
			return nil
		case !l.competesAgain(err):
			return fmt.Errorf("leading: %w", err)
		case isClosed(stop.requested):
			l.logger.Info("stopping after the loss of the lease", "cause", err.Error())
			return nil
		default:
			// Every handler has returned, and the caches are still followed: nothing is left to do
			// but compete again.
			l.logger.Info("standing by after the loss of the lease", "cause", err.Error())
		}
	}
}

// awaitDefinition waits until a definition needs the lease. It returns false when the drain ends
// before. A lease that was needed once is kept when the last of those definitions goes.
func (l *lifecycle) awaitDefinition(stop stopping) bool {
	wanted := l.workload.Wants(engine.UnderLease)
	if l.stores || isClosed(wanted) {
		return true
	}
	l.logger.Info("no definition needs the lease, so this replica does not compete for it")
	select {
	case <-wanted:
		l.logger.Info("a definition needs the lease now, so this replica competes for it")
		return true
	case <-stop.drain:
		return false
	}
}

// competesAgain reports whether the same process competes again after err.
func (l *lifecycle) competesAgain(err error) bool {
	return l.standsBy && errors.Is(err, election.ErrLost) && !errors.Is(err, election.ErrStuck)
}

// workTerm works on the definitions under the lease for one term. When calls have not returned long
// after the drain began, it returns without them and keeps the lease from being released: the
// process is about to end.
func (l *lifecycle) workTerm(term context.Context, stop stopping) error {
	returned := done(func() {
		if l.prepare != nil {
			if err := l.prepare(term, stop.drain); err != nil {
				l.logger.Info("the term ends before its work has begun", "cause", err.Error())
				return
			}
		}
		l.workload.Work(term, stop.drain, engine.UnderLease)
	})
	select {
	case <-returned:
		return nil
	case <-stop.late:
		err := named(errCallsStuck, l.workload.Unreturned())
		if l.elector == nil {
			return err
		}
		return fmt.Errorf("%w: %w", err, election.ErrKeepLease)
	}
}

// awaitCaches keeps a replica that has just started from taking the lease before its caches are
// warm, while another one, whose caches are, may be waiting for it too. It waits for a bounded
// time: one list that hangs must not keep everything else from running.
func (l *lifecycle) awaitCaches(stop stopping) {
	limit := time.NewTimer(l.timeouts.warmUp)
	defer limit.Stop()
	select {
	case <-l.board.Synced():
	case <-stop.drain:
	case <-limit.C:
		_, awaited := l.board.Ready()
		l.logger.Info("competing for the lease before all caches are warm", "awaited", awaited)
	}
}

// named adds what is stuck to an error.
func named(err error, stuck []string) error {
	if len(stuck) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.Join(stuck, ", "))
}
