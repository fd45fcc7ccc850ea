package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/signals"
)

// stopGrace is how long handlers may take to return after the shutdown timeout has cancelled them, and how long everything
// else may take after that, before the process ends without them.
const stopGrace = 5 * time.Second

var (
	errHandlersStuck = errors.New("handlers have not stopped: the lease is left to expire")
	errPartsStuck    = errors.New("the constructor or the Close of a plugin has not returned")
)

// run works until ctx ends, leadership is lost or something fails. Its order of a clean stop: readiness off, the delay if
// this replica leads, no new work, calls finish, lease released, sources and servers stop.
func (p *process) run(ctx context.Context) error {
	p.logger.Info("starting kooperd", "version", Version(), "config", p.cfg.Files, "configHash", p.cfg.Hash,
		"controllers", len(p.cfg.Definitions), "leaderElection", !p.cfg.LeaderElection.Disabled)
	base, stopAll := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAll()
	var background sync.WaitGroup
	failed := make(chan error, 1)
	background.Go(func() {
		if err := p.server.Serve(base); err != nil {
			failed <- err
		}
	})
	background.Go(func() { p.engine.Run(base) })
	background.Go(func() { p.watchLeaseRights(base) })

	err := p.work(ctx, base, failed)
	if errors.Is(err, election.ErrStuck) || errors.Is(err, errHandlersStuck) {
		return err // Whatever still runs ends with the process.
	}
	stopAll()
	if !returns(&background, stopGrace) {
		return errors.Join(err, errPartsStuck)
	}
	p.cluster.Close()
	if p.elector != nil {
		p.elector.close()
	}
	return err
}

// returns waits for wg, at most for d.
func returns(wg *sync.WaitGroup, d time.Duration) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// work runs both groups of definitions until they have stopped.
func (p *process) work(ctx, base context.Context, failed <-chan error) error {
	drain, startDrain := context.WithCancel(base)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer startDrain()
	asking.Go(func() {
		p.awaitRequest(ctx, drain.Done())
		startDrain()
	})
	replica, cutReplica := context.WithCancel(base)
	defer cutReplica()
	late := p.late(drain)
	leased := make(chan error, 1)
	go func() { leased <- p.workUnderLease(ctx, drain, base, late) }()
	everyReplica := make(chan struct{})
	go func() {
		defer close(everyReplica)
		p.engine.Work(replica, drain, engine.EveryReplica)
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
	case <-drain.Done():
	}
	return awaitStop(err, leased, everyReplica, late)
}

// awaitStop waits for both groups. What is under the lease ends in bounded time by itself.
func awaitStop(err error, leased <-chan error, everyReplica, late <-chan struct{}) error {
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
		case <-late:
			if late = nil; everyReplica != nil {
				return errors.Join(err, errHandlersStuck)
			}
		}
	}
	return err
}

// late returns a channel that is closed when handlers should have stopped long since the end of drain.
func (p *process) late(drain context.Context) <-chan struct{} {
	late := make(chan struct{})
	context.AfterFunc(drain, func() {
		time.AfterFunc(p.flags.shutdownTimeout+stopGrace, func() { close(late) })
	})
	return late
}

// awaitRequest returns when the work has to stop because ctx has ended, or when drained is closed for another reason.
func (p *process) awaitRequest(ctx context.Context, drained <-chan struct{}) {
	delay := shutdownDelay{
		delay: p.flags.shutdownDelay, unready: p.board.Stop, leading: p.underLease, next: signals.Next, logger: p.logger,
	}
	delay.await(ctx, drained)
	if ctx.Err() != nil {
		p.logger.Info("stopping: no new work, waiting for handler calls", "shutdownTimeout", p.flags.shutdownTimeout)
	}
}

// underLease tells whether this replica leads by the lease, and not because there is no leader election.
func (p *process) underLease() bool { return p.elector != nil && p.elector.Leading() }

// workUnderLease works on the definitions under the lease while this replica leads. It returns nil when drain has ended
// and the work with it, or when the lease was lost in the delay after ctx has ended and the config says to stand by: who
// was asked to stop does not compete again.
func (p *process) workUnderLease(ctx, drain, base context.Context, late <-chan struct{}) error {
	if p.elector == nil {
		err := p.workTerm(base, drain, late)
		<-drain.Done()
		return err
	}
	if !p.engine.Has(engine.UnderLease) {
		p.logger.Info("no definition needs the lease, so this replica does not compete for it")
		<-drain.Done()
		return nil
	}
	p.awaitCaches(drain)
	for {
		err := p.elector.Run(drain, func(term context.Context) error { return p.workTerm(term, drain, late) })
		switch {
		case err == nil:
			return nil
		case p.standsBy(err) && ctx.Err() != nil:
			p.logger.Info("stopping after the loss of the lease", "cause", err.Error())
			return nil //nolint:nilerr // the config takes a loss for nothing special, and a stop was asked for
		case p.standsBy(err):
			// Every handler has returned, and the caches are still followed: nothing is left to do but compete again.
			p.logger.Info("standing by after the loss of the lease", "cause", err.Error())
		default:
			return fmt.Errorf("leading: %w", err)
		}
	}
}

// workTerm works on the definitions under the lease for one term. When handlers have not stopped long after the drain
// began, it returns without them and keeps the lease from being released: the process is about to end.
func (p *process) workTerm(term, drain context.Context, late <-chan struct{}) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.engine.Work(term, drain, engine.UnderLease)
	}()
	select {
	case <-done:
		return nil
	case <-late:
		return errors.Join(errHandlersStuck, election.ErrKeepLease)
	}
}

// awaitCaches keeps a replica that has just started from taking the lease before its caches are warm, while another one,
// whose caches are, may be waiting for it too. One list that hangs must not keep everything from running, so it waits no
// longer than a lease lasts.
func (p *process) awaitCaches(drain context.Context) {
	limit := time.NewTimer(p.cfg.LeaderElection.LeaseDuration)
	defer limit.Stop()
	select {
	case <-p.board.Synced():
	case <-drain.Done():
	case <-limit.C:
		_, awaited := p.board.Ready()
		p.logger.Info("competing for the lease before all caches are warm", "awaited", awaited)
	}
}

// standsBy tells whether the same process competes again after err.
func (p *process) standsBy(err error) bool {
	return p.cfg.LeaderElection.OnLost == config.Standby && errors.Is(err, election.ErrLost) && !errors.Is(err, election.ErrStuck)
}
