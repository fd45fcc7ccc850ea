package engine

import (
	"fmt"
	"testing"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
)

// BenchmarkThrottledQueue is the way of one object through the queue to a call and back, by the
// limits that are set.
func BenchmarkThrottledQueue(b *testing.B) {
	for name, limits := range map[string]*limits{
		"none":  newLimits(nil, nil),
		"rate":  newLimits(newRate(config.Rate{PerSecond: 1e6, Burst: 1e6}), nil),
		"slots": newLimits(nil, semaphoreClient(100, 10)),
		"both":  newLimits(newRate(config.Rate{PerSecond: 1e6, Burst: 1e6}), semaphoreClient(100, 10)),
	} {
		b.Run(name, func(b *testing.B) {
			q := queue.New[kube.Key](queue.Options{})
			defer q.ShutDown()
			keys := make([]kube.Key, 1000)
			for i := range keys {
				keys[i].Name = fmt.Sprint(i)
			}
			tq := throttledQueue{queue: q, limits: limits}
			defer tq.releaseSlot()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				q.Add(keys[i%len(keys)], queue.Change)
				item, ok := tq.next(b.Context())
				if !ok {
					b.Fatal("nothing to do")
				}
				tq.commit()
				q.Done(item.Key)
			}
		})
	}
}

// semaphoreClient is one of so many clients.
func semaphoreClient(total, clients int) *client {
	s := newFairSemaphore(total)
	for range clients - 1 {
		joined(s)
	}
	return joined(s)
}
