package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kooperd.dev/kooperd/test/bench/order"
	"kooperd.dev/kooperd/test/cluster"
)

// composing is a run of programs that make children, and the observer of what they do.
type composing struct {
	*scene
	*observer
	kind  order.Kind // of the parents
	group *errgroup.Group

	mu      sync.Mutex
	running []replica
}

// ofChildren is the run of a row about the children of so many parents, which measure fills in.
func ofChildren(
	parents int, measure func(c *composing, ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error,
) func(context.Context, *scene, program, order.Order) (readings, error) {
	return func(ctx context.Context, s *scene, p program, o order.Order) (readings, error) {
		numbers := map[string]float64{}
		err := s.compose(ctx, o, func(ctx context.Context, c *composing) error { return measure(c, ctx, p, o, parents, numbers) })
		return readings{p: numbers}, err
	}
}

// compose clears away what was before, and does work before the eyes of an observer who expects
// the children of an order. Programs that are still running at the end of work are stopped.
func (s *scene) compose(ctx context.Context, o order.Order, work func(ctx context.Context, c *composing) error) error {
	if err := s.clearSites(ctx); err != nil {
		return err
	}
	var err error
	if s.audited, err = s.cluster.AuditSize(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	c := &composing{scene: s, observer: newObserver(o), kind: o.KindOf(0), group: group}
	if err := c.begin(ctx, group, s); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	group.Go(func() error {
		defer stop()
		err := work(ctx, c)
		for _, r := range c.replicas() {
			err = errors.Join(err, c.end(r))
		}
		return err
	})
	return group.Wait()
}

// launch starts a program. That it ends before c.end fails the run.
func (c *composing) launch(p program, o order.Order) (replica, error) {
	user := c.newUser()
	proc, err := c.startAs(p, o, user)
	if err != nil {
		return replica{}, err
	}
	r := replica{process: proc, user: user}
	c.mu.Lock()
	c.running = append(c.running, r)
	c.mu.Unlock()
	c.group.Go(func() error {
		<-proc.done
		if c.forget(r) {
			return fmt.Errorf("%s has ended: %w\n%s", p, errors.Join(proc.err, errors.New("before its time")), proc.tail())
		}
		return nil
	})
	return r, nil
}

// serve starts a program that is to do what an order says, wherever the program takes that from.
func (c *composing) serve(ctx context.Context, p program, o order.Order) (replica, error) {
	if p != kro {
		return c.launch(p, o)
	}
	if err := c.writeGraph(ctx, o); err != nil {
		return replica{}, err
	}
	r, err := c.launch(p, o)
	if err != nil {
		return replica{}, err
	}
	return r, c.awaitGraph(ctx)
}

// end stops a program.
func (c *composing) end(r replica) error {
	c.forget(r)
	return r.stop()
}

// forget takes a program from those that have to run, and reports whether it was one of them.
func (c *composing) forget(r replica) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.running)
	c.running = slices.DeleteFunc(c.running, func(other replica) bool { return other.process == r.process })
	return len(c.running) < before
}

// replicas are the programs that run.
func (c *composing) replicas() []replica {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.running)
}

// converge creates the parents from one number up to another, waits until these and the ones below
// are right, and returns how long that took.
func (c *composing) converge(ctx context.Context, from, to int) (time.Duration, error) {
	begun := time.Now()
	if err := c.createSites(ctx, c.kind, from, to); err != nil {
		return 0, err
	}
	last, err := c.awaitAll(ctx, to, allRight)
	return last.Sub(begun), err
}

// prepare starts a program and lets it make the children of so many parents.
func (c *composing) prepare(ctx context.Context, p program, o order.Order, parents int) (replica, error) {
	r, err := c.serve(ctx, p, o)
	if err != nil {
		return replica{}, err
	}
	_, err = c.converge(ctx, 0, parents)
	return r, err
}

// asked is what a user has asked of the API server.
type asked []cluster.AuditEvent

// askedBy returns what one user, whose program is gone or has settled, has asked of the API server
// between two moments.
func (s *scene) askedBy(ctx context.Context, user string, from, to time.Time) (asked, error) {
	all, err := s.requests(ctx, from, to)
	return all[user], err
}

// writes are the requests that would change an object, dry runs among them. To ask what one may do
// is to create something that is kept nowhere.
func (a asked) writes() asked {
	return slices.DeleteFunc(slices.Clone(a), func(e cluster.AuditEvent) bool {
		return !e.IsWrite() || e.ObjectRef.APIGroup == "authorization.k8s.io"
	})
}

// about are the requests about objects of a resource, as a path: "configmaps", "sites/status".
func (a asked) about(resource string) asked {
	return slices.DeleteFunc(slices.Clone(a), func(e cluster.AuditEvent) bool { return subject(e) != resource })
}

// count sets the measures about requests for each of so many parents or changes; name is that of
// the one about all.
func (a asked) count(numbers map[string]float64, name string, of int) {
	each := func(some asked) float64 { return float64(len(some)) / float64(of) }
	numbers[name] = each(a)
	numbers[measureEachChildren] = each(a.writes().about("configmaps"))
	numbers[measureEachStatus] = each(a.writes().about(siteKind.Resource + "/status"))
	numbers[measureEachReads] = each(a) - each(a.writes())
}
