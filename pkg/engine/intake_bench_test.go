package engine

import (
	"fmt"
	"testing"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
)

// BenchmarkIntake is the way of one object through the queue to a call and back, by the limits that are set.
func BenchmarkIntake(b *testing.B) {
	for name, limits := range map[string]*limits{
		"none":  {},
		"rate":  {rate: newRate(config.Rate{PerSecond: 1e6, Burst: 1e6})},
		"slots": {share: newSlots(100, 10).newShare()},
		"both":  {rate: newRate(config.Rate{PerSecond: 1e6, Burst: 1e6}), share: newSlots(100, 10).newShare()},
	} {
		b.Run(name, func(b *testing.B) {
			q := queue.New[kube.Key](queue.Options{})
			defer q.ShutDown()
			keys := make([]kube.Key, 1000)
			for i := range keys {
				keys[i].Name = fmt.Sprint(i)
			}
			in := intake{queue: q, limits: limits}
			defer in.dropSlot()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				q.Add(keys[i%len(keys)], queue.Change)
				item, ok := in.take(b.Context())
				if !ok {
					b.Fatal("nothing to do")
				}
				in.settle(true)
				q.Done(item.Key)
			}
		})
	}
}
