package queue

import (
	"testing"
	"testing/synctest"
	"time"
)

// call is what a worker was handed, and when: time counts from the start of the test.
type call struct {
	Key      string
	Priority Priority
	Attempt  int
	Waited   time.Duration
	At       time.Duration
}

// recorder runs one worker and keeps what it was handed.
type recorder struct {
	calls []call
}

// run lets script fill the queue while one worker works it off, which ends each item with finish,
// until everything has come to rest for a day. It must be called in a synctest bubble.
func (r *recorder) run(
	t *testing.T, q *Queue[string], finish func(*Queue[string], Item[string]), script func(*Queue[string]),
) {
	t.Helper()
	start := time.Now()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			item, ok := q.Get(t.Context())
			if !ok {
				return
			}
			r.calls = append(r.calls, call{item.Key, item.Priority, item.Attempt, item.Waited, time.Since(start)})
			finish(q, item)
		}
	}()
	synctest.Wait()
	script(q)
	time.Sleep(24 * time.Hour)
	q.ShutDown()
	<-stopped
	if err := q.check(); err != nil {
		t.Error(err)
	}
	if n := len(q.schedule.entries.byKey); n != 0 {
		t.Errorf("%d keys are remembered after the end, want none", n)
	}
}

// sleep is time.Sleep and lets the worker come to rest, so that what follows happens after what is
// due at that moment.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// delay asks for a call of key, which is not processed, after d.
func delay[K comparable](q *Queue[K], key K, p Priority, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.schedule.add(q.schedule.entries.findOrCreate(key), p, d, q.schedule.now())
}

// readyLen is the number of keys that can be handed out.
func (q *Queue[K]) readyLen() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.schedule.promote(q.schedule.now())
	return q.schedule.ready.len
}

func done(q *Queue[string], item Item[string]) { q.Done(item.Key) }

func retry(q *Queue[string], item Item[string]) { q.Retry(item.Key) }

// takes makes each call of the worker last for d.
func takes(d time.Duration, finish func(*Queue[string], Item[string])) func(*Queue[string], Item[string]) {
	return func(q *Queue[string], item Item[string]) {
		time.Sleep(d)
		finish(q, item)
	}
}

// failing makes the first n calls fail and the others succeed.
func failing(n int) func(*Queue[string], Item[string]) {
	return func(q *Queue[string], item Item[string]) {
		if n--; n >= 0 {
			q.Retry(item.Key)
			return
		}
		q.Done(item.Key)
	}
}
