package queue

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const s = time.Second

// scenario is what happens to a queue with one worker, and which calls the worker is handed.
type scenario struct {
	backoff Backoff
	finish  finish // default: done
	script  func(*Queue[string])
	want    []string // as describe writes them
}

// play runs scenarios.
func play(t *testing.T, scenarios map[string]scenario) {
	t.Helper()
	for name, test := range scenarios {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if diff := cmp.Diff(test.want, test.calls(t)); diff != "" {
					t.Errorf("calls (-want +have):\n%s", diff)
				}
			})
		})
	}
}

// calls lets the script fill the queue while the worker works it off, until everything has come to
// rest for a day.
func (c scenario) calls(t *testing.T) (calls []string) {
	t.Helper()
	q := New[string](Options{Backoff: c.backoff})
	if c.finish == nil {
		c.finish = done
	}
	start := time.Now()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			item, ok := q.Get(t.Context())
			if !ok {
				return
			}
			calls = append(calls, describe(item, time.Since(start)))
			c.finish(q, item)
		}
	}()
	synctest.Wait()
	c.script(q)
	time.Sleep(24 * time.Hour)
	q.ShutDown()
	<-stopped
	if err := q.check(); err != nil {
		t.Error(err)
	}
	if n := len(q.schedule.entries.byKey); n != 0 {
		t.Errorf("%d keys are remembered after the end, want none", n)
	}
	return calls
}

// describe writes when a key was handed out and why, such as "3s shop/web retry#2 +1s": with the
// attempt and the wait when there are some.
func describe(item Item[string], at time.Duration) string {
	text := fmt.Sprintf("%s %s %s", at, item.Key, item.Priority)
	if item.Attempt != 0 {
		text += fmt.Sprintf("#%d", item.Attempt)
	}
	if item.Waited != 0 {
		text += fmt.Sprintf(" +%s", item.Waited)
	}
	return text
}

// finish is a way to end a call.
type finish func(*Queue[string], Item[string])

func done(q *Queue[string], item Item[string]) { q.Done(item.Key) }

func retry(q *Queue[string], item Item[string]) { q.Retry(item.Key, 0) }

func putOff(after time.Duration) finish {
	return func(q *Queue[string], item Item[string]) { RetryAlways(q, item.Key, after) }
}

func requeue(d time.Duration) finish {
	return func(q *Queue[string], item Item[string]) { q.Requeue(item.Key, d) }
}

func postpone(d time.Duration) finish {
	return func(q *Queue[string], item Item[string]) { q.Postpone(item.Key, item.Priority, d) }
}

// takes makes each call last for d.
func takes(d time.Duration, end finish) finish {
	return func(q *Queue[string], item Item[string]) {
		time.Sleep(d)
		end(q, item)
	}
}

// inTurn ends each call in another way, and those that remain in the last one.
func inTurn(ways ...finish) finish {
	return func(q *Queue[string], item Item[string]) {
		end := ways[0]
		ways = ways[min(1, len(ways)-1):]
		end(q, item)
	}
}

// failing makes the first n calls fail and the others succeed.
func failing(n int) finish { return inTurn(append(slices.Repeat([]finish{retry}, n), done)...) }

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
