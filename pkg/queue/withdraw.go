package queue

// Withdraw takes back what was asked for with priority p and has not begun, and returns the keys,
// without those of AddAll whose turn has not come. A key whose last call failed is left: whatever
// its priority, its call is a retry. A key that is being processed is not called again after that.
func Withdraw[K comparable](q *Queue[K], p Priority) (withdrawn []K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := &q.schedule
	for key, e := range s.entries.byKey {
		if e.pending != idle && e.priority == p && e.failures+e.putOffs == 0 {
			withdrawn = append(withdrawn, key)
		}
	}
	for _, key := range withdrawn {
		e := s.entries.find(key)
		s.cancel(e)
		s.release(e)
	}
	if p == Initial && s.backlog.clear() {
		s.depthChanged()
	}
	return withdrawn
}
