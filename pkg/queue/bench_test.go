package queue

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/util/workqueue"
)

// contender is a queue under the benchmarks.
type contender struct {
	add  func(string)
	get  func() (string, bool)
	done func(string)
	stop func()
}

// contenders are a queue of this package and one of client-go, which has neither priorities nor
// ageing nor a context.
var contenders = map[string]func(context.Context) contender{
	"kooperd": func(ctx context.Context) contender {
		q := New[string](Options{})
		get := func() (string, bool) {
			item, ok := q.Get(ctx)
			return item.Key, ok
		}
		return contender{add: func(key string) { q.Add(key, Change) }, get: get, done: q.Done, stop: q.ShutDown}
	},
	"client-go": func(context.Context) contender {
		q := workqueue.NewTyped[string]()
		get := func() (string, bool) {
			key, shutDown := q.Get()
			return key, !shutDown
		}
		return contender{add: q.Add, get: get, done: q.Done, stop: q.ShutDown}
	},
}

// BenchmarkAddGetDone is the life of one key in a queue that holds others already.
func BenchmarkAddGetDone(b *testing.B) {
	for _, backlog := range []int{0, 1000, 50_000} {
		b.Run(fmt.Sprintf("backlog=%d", backlog), func(b *testing.B) {
			for name, open := range contenders {
				b.Run("queue="+name, func(b *testing.B) {
					q := open(b.Context())
					defer q.stop()
					keys := names(backlog + 1)
					for _, key := range keys[:backlog] {
						q.add(key)
					}
					next := backlog
					b.ReportAllocs()
					for b.Loop() {
						q.add(keys[next])
						key, _ := q.get()
						q.done(key)
						next = (next + 1) % len(keys)
					}
				})
			}
		})
	}
}

// BenchmarkFillAndDrain is the initial list of 50,000 objects: each operation is one key that is
// added, and handed out when all have been.
func BenchmarkFillAndDrain(b *testing.B) {
	keys := names(50_000)
	for name, open := range contenders {
		b.Run("queue="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q := open(b.Context())
				for _, key := range keys {
					q.add(key)
				}
				for range keys {
					key, _ := q.get()
					q.done(key)
				}
				q.stop()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(keys)), "ns/key")
		})
	}
}

// BenchmarkWorkers has four workers that wait for what one producer adds.
func BenchmarkWorkers(b *testing.B) {
	keys := names(10_000)
	for name, open := range contenders {
		b.Run("queue="+name, func(b *testing.B) {
			q := open(b.Context())
			var workers, handled sync.WaitGroup
			for range 4 {
				workers.Go(func() {
					for {
						key, ok := q.get()
						if !ok {
							return
						}
						q.done(key)
						handled.Done()
					}
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				handled.Add(len(keys))
				for _, key := range keys {
					q.add(key)
				}
				handled.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(keys)), "ns/key")
			q.stop()
			workers.Wait()
		})
	}
}

// BenchmarkCoalesce adds a key that stands in the queue already.
func BenchmarkCoalesce(b *testing.B) {
	for name, open := range contenders {
		b.Run("queue="+name, func(b *testing.B) {
			q := open(b.Context())
			defer q.stop()
			q.add("shop/web")
			b.ReportAllocs()
			for b.Loop() {
				q.add("shop/web")
			}
		})
	}
}

// BenchmarkPriorities is the life of a key while every class has a backlog that ages.
func BenchmarkPriorities(b *testing.B) {
	q, ctx := New[string](Options{AgeingPeriod: time.Millisecond}), b.Context()
	defer q.ShutDown()
	keys := names(1000)
	for i, key := range keys {
		q.Add(key, Priority(i%priorities))
	}
	b.ReportAllocs()
	for b.Loop() {
		item, _ := q.Get(ctx)
		q.Done(item.Key)
		q.Add(item.Key, item.Priority)
	}
}

// BenchmarkRetry is a key that fails and is taken over by a change, with a thousand others that
// wait for their retry.
func BenchmarkRetry(b *testing.B) {
	q := New[string](Options{Backoff: Backoff{Initial: time.Hour, MaxRetries: -1}})
	ctx := b.Context()
	defer q.ShutDown()
	for _, key := range names(1000) {
		delay(q, key, Retry, time.Hour)
	}
	b.ReportAllocs()
	for b.Loop() {
		q.Add("shop/failing", Change)
		item, _ := q.Get(ctx)
		q.Retry(item.Key, 0)
	}
}
