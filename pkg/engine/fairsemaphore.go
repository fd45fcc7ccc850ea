package engine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// fairSemaphore holds the slots for the calls that all definitions together may make at a time.
// Slots and clients may come and go while it is in use.
//
// A slot cannot be taken back from a call, so fairness is about who gets the next one, and how many
// stay free for clients that do not ask yet:
//
//  1. Of the clients that wait, the one with the fewest slots is next; of those with as few, the
//     one that has waited longest. A worker that goes on to its next object gives its slot back and
//     asks again in one step, so many short calls lose nothing to a few long ones.
//  2. A client with a slot gets another only while more slots are free than are reserved for the
//     clients without one: one for each of those, or at most half of all slots if there are fewer
//     slots than clients.
//
// docs/decisions/0012 shows what follows from the two rules.
type fairSemaphore struct {
	unlimited atomic.Bool // as total is 0, to be read without mu

	mu      sync.Mutex
	total   int
	clients int // that are in use, also on a standby, which may lead at any moment
	inUse   int
	busy    int       // clients that have a slot
	asked   uint64    // how often
	waiting []*client // those that wait for a slot
}

// client is one definition's use of the semaphore. Several goroutines may use it at a time. A nil
// client is not limited.
type client struct {
	semaphore *fairSemaphore

	// These are guarded by semaphore.mu.
	users    int
	held     int
	requests []request // the longest waiting first
}

// request is an acquire that waits.
type request struct {
	number  uint64        // in the order of all requests
	granted chan struct{} // closed with the grant
}

// newFairSemaphore returns a semaphore of so many slots; 0 is any number.
func newFairSemaphore(total int) *fairSemaphore {
	s := &fairSemaphore{}
	s.setTotal(total)
	return s
}

// setTotal changes the number of slots. Calls under way keep theirs, so there may be more of those
// for a while. Those that began while the number was not limited hold none.
func (s *fairSemaphore) setTotal(total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total = total
	s.unlimited.Store(total <= 0)
	s.grant()
}

// newClient returns a client, which does not count before join.
func (s *fairSemaphore) newClient() *client { return &client{semaphore: s} }

// join counts one more user of the client. With the first one, slots are reserved for it.
func (c *client) join() {
	s := c.semaphore
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.users++; c.users == 1 {
		s.clients++
	}
}

// leave counts one user less. With the last one, the client must hold no slot and wait for none.
func (c *client) leave() {
	s := c.semaphore
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.users--; c.users == 0 {
		s.clients--
		s.grant()
	}
}

// limited reports whether the calls of c need a slot at all.
func (c *client) limited() bool { return c != nil && !c.semaphore.unlimited.Load() }

// acquire waits for a slot. It returns false when ctx ends before that.
func (c *client) acquire(ctx context.Context) bool {
	c.semaphore.mu.Lock()
	return c.ask(ctx)
}

// renew gives a slot back and waits for one, which is the same unless it is the turn of another
// client.
func (c *client) renew(ctx context.Context) bool {
	c.semaphore.mu.Lock()
	c.giveBack()
	return c.ask(ctx)
}

// release gives a slot back.
func (c *client) release() {
	c.semaphore.mu.Lock()
	defer c.semaphore.mu.Unlock()
	c.giveBack()
	c.semaphore.grant()
}

// ask is called with the lock held, and gives it up.
func (c *client) ask(ctx context.Context) bool {
	s := c.semaphore
	s.asked++
	r := request{number: s.asked, granted: make(chan struct{})}
	if c.requests = append(c.requests, r); len(c.requests) == 1 {
		s.waiting = append(s.waiting, c)
	}
	s.grant()
	s.mu.Unlock()
	select {
	case <-r.granted:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(c.requests, func(w request) bool { return w.number == r.number })
	if i >= 0 {
		c.removeRequest(i)
		return false
	}
	c.giveBack() // The grant came together with the end.
	s.grant()
	return false
}

// giveBack is called with the lock held, as all that follow.
func (c *client) giveBack() {
	c.semaphore.inUse--
	if c.held--; c.held == 0 {
		c.semaphore.busy--
	}
}

// grant gives slots to those that wait, as far as the rules allow.
func (s *fairSemaphore) grant() {
	for c := s.next(); c != nil; c = s.next() {
		s.inUse++
		if c.held++; c.held == 1 {
			s.busy++
		}
		close(c.requests[0].granted)
		c.removeRequest(0)
	}
}

func (c *client) removeRequest(i int) {
	s := c.semaphore
	if c.requests = slices.Delete(c.requests, i, i+1); len(c.requests) == 0 {
		s.waiting = slices.DeleteFunc(s.waiting, func(other *client) bool { return other == c })
	}
}

// next returns the client that gets a slot now, nil if none does.
func (s *fairSemaphore) next() *client {
	if s.total > 0 && s.free() <= 0 {
		return nil
	}
	var first *client
	for _, c := range s.waiting {
		if first == nil || c.before(first) {
			first = c
		}
	}
	if first == nil || s.total > 0 && first.held > 0 && s.free() <= s.reserved() {
		return nil
	}
	return first
}

// before reports whether c is served before another client that waits.
func (c *client) before(other *client) bool {
	if c.held != other.held {
		return c.held < other.held
	}
	return c.requests[0].number < other.requests[0].number
}

func (s *fairSemaphore) free() int { return s.total - s.inUse }

// reserved is how many slots are reserved for clients that have none.
func (s *fairSemaphore) reserved() int {
	idle := s.clients - s.busy
	if s.total >= s.clients {
		return idle
	}
	return min(idle, s.total/2)
}
