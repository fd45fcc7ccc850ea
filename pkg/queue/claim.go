package queue

import "context"

// A claim is the right to a key without saying which: it is for whoever needs something else for a call, such as a permit,
// asks for that only when there is something to do, and wants the most urgent key of the moment at which it has both. There
// are never more claims than ready keys when one is made, so the number of those who hold one is what there is to do. Each
// claim ends with Redeem or Waive. Get takes no notice of claims: use one or the other.

// Reserve waits for a ready key that nobody else has claimed. It returns false when ctx has ended or ShutDown has been called.
func (q *Queue[K]) Reserve(ctx context.Context) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if ctx.Err() != nil {
			q.wake() // The wake-up may have been for this Claim.
			return false
		}
		if q.claim() {
			return true
		}
		if q.shutDown {
			return false
		}
		q.wait(ctx)
	}
}

// TryReserve is a Claim that does not wait.
func (q *Queue[K]) TryReserve() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.claim()
}

// Take ends a claim and hands out what Get would now. It returns false when there is nothing any more: the key has been
// dropped, or ShutDown has been called.
func (q *Queue[K]) Take() (Item[K], bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims--
	if q.shutDown {
		return Item[K]{}, false
	}
	return q.take()
}

// Cancel ends a claim without a key.
func (q *Queue[K]) Cancel() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims--
	q.wake()
}

// claim needs the queue to be locked.
func (q *Queue[K]) claim() bool {
	if q.shutDown {
		return false
	}
	q.promote(q.now())
	if q.ready.len <= q.claims {
		return false
	}
	q.claims++
	return true
}
