package queue

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// model says what a queue must do with each key, without regard to the structures it uses.
type model struct {
	now      func() time.Duration
	backoff  Backoff
	keys     map[int]*modelKey
	shutDown bool
}

type modelKey struct {
	pending, processing, dropped bool
	postponed                    bool
	at                           time.Duration
	priority                     Priority
	failures, putOffs            int
}

func (m *model) key(key int) *modelKey {
	if m.keys[key] == nil {
		m.keys[key] = &modelKey{}
	}
	return m.keys[key]
}

func (m *model) add(key int, p Priority, d time.Duration) {
	if m.shutDown {
		return
	}
	k, now := m.key(key), m.now()
	at := now + max(d, 0)
	if k.postponed {
		p = min(p, k.priority)
	}
	k.postponed = false
	switch {
	case !k.pending || k.at > now && at < k.at:
		k.pending, k.at, k.priority = true, at, p
	case k.at <= now && at <= now || k.at == at:
		k.priority = min(k.priority, p)
	}
}

// ready returns how many keys can be handed out, and the most urgent priority among them.
func (m *model) ready() (n int, urgent Priority) {
	urgent = Initial
	for _, k := range m.keys {
		if k.pending && !k.processing && k.at <= m.now() {
			n++
			urgent = min(urgent, k.priority)
		}
	}
	return n, urgent
}

func (m *model) take(t *testing.T, item Item[int]) {
	k := m.key(item.Key)
	_, urgent := m.ready()
	if k.priority == Change {
		k.failures, k.putOffs = 0, 0
	}
	want := Item[int]{Key: item.Key, Priority: k.priority, Attempt: k.failures + k.putOffs, PutOffs: k.putOffs, Waited: m.now() - k.at}
	if !k.pending || k.processing || k.at > m.now() || item != want || k.priority != urgent {
		t.Fatalf("Get = %+v at %v, the key is %+v, the most urgent is %v", item, m.now(), *k, urgent)
	}
	k.pending, k.processing, k.postponed = false, true, false
}

// finish reports whether the call may come back.
func (m *model) finish(key int) bool {
	k := m.key(key)
	back := k.processing && !k.dropped && !m.shutDown
	k.processing, k.dropped = false, false
	return back
}

func (m *model) done(key int) bool {
	k := m.key(key)
	if k.processing {
		k.failures, k.putOffs = 0, 0
	}
	return m.finish(key)
}

func (m *model) retry(key int) (time.Duration, bool) {
	k := m.key(key)
	if !m.finish(key) {
		return 0, false
	}
	due := k.pending && k.at <= m.now()
	if !due && m.backoff.MaxRetries >= 0 && k.failures >= m.backoff.MaxRetries {
		k.failures, k.putOffs = 0, 0
		return 0, true
	}
	k.failures++
	if due {
		return 0, false
	}
	delay := min(m.backoff.Initial<<(k.failures-1), m.backoff.Max)
	m.add(key, Retry, delay)
	return delay, false
}

func (m *model) putOff(key int) time.Duration {
	k := m.key(key)
	if !m.finish(key) {
		return 0
	}
	k.putOffs++
	if k.pending && k.at <= m.now() {
		return 0
	}
	delay := min(m.backoff.Initial<<(k.putOffs-1), m.backoff.Max)
	m.add(key, Retry, delay)
	return delay
}

func (m *model) postpone(key int, p Priority, d time.Duration) {
	k := m.key(key)
	switch due := k.pending && k.at <= m.now(); {
	case !m.finish(key):
	case due:
		k.priority = min(k.priority, p)
	default:
		idle := !k.pending
		m.add(key, p, d)
		k.postponed = idle
	}
}

func (m *model) drop(key int) {
	k := m.key(key)
	*k = modelKey{processing: k.processing, dropped: k.processing}
}

func (m *model) stop() {
	m.shutDown = true
	for _, k := range m.keys {
		k.pending = false
	}
}

// step does one random operation on both and compares what comes of it.
func (m *model) step(t *testing.T, random *rand.Rand, q *Queue[int]) {
	key, p := random.IntN(12), Priority(random.IntN(priorities))
	d := time.Duration(random.Int64N(int64(20 * s)))
	switch op := random.IntN(20); {
	case op < 6:
		q.Add(key, p)
		m.add(key, p, 0)
	case op < 11:
		if n, _ := m.ready(); n > 0 {
			item, ok := q.Get(t.Context())
			if !ok {
				t.Fatal("Get returned false")
			}
			m.take(t, item)
		}
	case op < 16: // The key may be one that is not processed.
		m.end(t, random, q, key, d)
	case op == 16:
		q.Drop(key)
		m.drop(key)
	default:
		time.Sleep(d / 4)
	}
}

// end ends the processing of a key in one of the five ways.
func (m *model) end(t *testing.T, random *rand.Rand, q *Queue[int], key int, d time.Duration) {
	switch random.IntN(6) {
	case 0:
		q.Done(key)
		m.done(key)
	case 1:
		p := Priority(random.IntN(priorities))
		q.Postpone(key, p, d)
		m.postpone(key, p, d)
	case 2:
		q.Requeue(key, d)
		if m.done(key) {
			m.add(key, Requeue, d)
		}
	case 3:
		if delay, want := RetryAlways(q, key, 0), m.putOff(key); delay != want {
			t.Fatalf("RetryAlways = %v, want %v", delay, want)
		}
	default:
		delay, exhausted := q.Retry(key, 0)
		if wantDelay, want := m.retry(key); delay != wantDelay || exhausted != want {
			t.Fatalf("Retry = %v, %t, want %v, %t", delay, exhausted, wantDelay, want)
		}
	}
}

// TestModel compares long random runs of one goroutine with the model, and checks the structures
// after every step. The last steps come after the shutdown.
func TestModel(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			backoff := Backoff{Initial: s, Max: 10 * s, MaxRetries: random.IntN(5) - 1}
			// Without ageing the priorities alone decide.
			q := New[int](Options{AgeingPeriod: 1 << 60, Backoff: backoff})
			defer q.ShutDown()
			start := time.Now()
			m := &model{now: func() time.Duration { return time.Since(start) }, backoff: backoff, keys: make(map[int]*modelKey)}
			for step := range 1600 {
				m.step(t, random, q)
				if step == 1500 {
					q.ShutDown()
					m.stop()
				}
				if err := q.check(); err != nil {
					t.Fatalf("seed %d, step %d: %v", seed, step, err)
				}
				synctest.Wait()
				if n, _ := m.ready(); n != q.readyLen() {
					t.Fatalf("seed %d, step %d: %d keys are ready, want %d", seed, step, q.readyLen(), n)
				}
			}
		})
	}
}
