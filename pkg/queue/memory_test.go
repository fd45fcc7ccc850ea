package queue

import (
	"runtime"
	"testing"
	"time"
)

func heapInUse() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestMemoryIsGivenBack checks that nothing of many keys is left, whatever became of them.
func TestMemoryIsGivenBack(t *testing.T) {
	const keys = 50_000
	// drain ends the call of each key.
	drain := func(end func(*Queue[int], int)) func(*Queue[int]) {
		return func(q *Queue[int]) {
			for q.readyLen() > 0 {
				item, _ := q.Get(t.Context())
				end(q, item.Key)
			}
		}
	}
	dropAll := func(q *Queue[int]) {
		for key := range keys {
			q.Drop(key)
		}
	}
	for name, test := range map[string]struct {
		delayed bool
		then    func(*Queue[int])
	}{
		"done":                  {then: drain((*Queue[int]).Done)},
		"exhausted":             {then: drain(func(q *Queue[int], key int) { q.Retry(key, 0) })},
		"dropped while waiting": {then: dropAll},
		"dropped while delayed": {delayed: true, then: dropAll},
		"shut down":             {then: (*Queue[int]).ShutDown},
		"dropped while processed": {then: drain(func(q *Queue[int], key int) {
			q.Drop(key)
			q.Requeue(key, time.Hour)
		})},
	} {
		t.Run(name, func(t *testing.T) {
			q := New[int](Options{})
			defer q.ShutDown()
			before := heapInUse()
			for key := range keys {
				if test.delayed {
					delay(q, key, Retry, time.Hour)
				} else {
					q.Add(key, Initial)
				}
			}
			full := heapInUse() - before
			test.then(q)
			left := heapInUse() - before
			if n := len(q.schedule.entries.byKey); n != 0 {
				t.Errorf("%d keys are left", n)
			}
			// 256 spare entries and a small map take about 100 KB.
			if left > 256<<10 || full < 1<<20 {
				t.Errorf("heap: %d KB with %d keys, %d KB after them", full>>10, keys, left>>10)
			}
			t.Logf("%d B per waiting key", full/keys)
			runtime.KeepAlive(q)
		})
	}
}
