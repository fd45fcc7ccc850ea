package queue_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"kooperd.dev/kooperd/pkg/queue"
)

func Example() {
	q := queue.New[string](queue.Options{Backoff: queue.Backoff{Initial: time.Millisecond, MaxRetries: 1}})
	q.Add("shop/cart", queue.Initial)
	q.Add("shop/cart", queue.Change) // coalesces with the add before

	work := func(string) error { return errors.New("out of stock") }
	for {
		item, ok := q.Get(context.Background())
		if !ok {
			return
		}
		fmt.Printf("%s: %s, attempt %d\n", item.Key, item.Priority, item.Attempt)
		err := work(item.Key)
		if err == nil {
			q.Done(item.Key)
			continue
		}
		delay, exhausted := q.Retry(item.Key, 0)
		if exhausted {
			fmt.Printf("%s: given up: %v\n", item.Key, err)
			q.ShutDown()
			continue
		}
		fmt.Printf("%s: again in %s: %v\n", item.Key, delay, err)
	}
	// Output:
	// shop/cart: change, attempt 0
	// shop/cart: again in 1ms: out of stock
	// shop/cart: retry, attempt 1
	// shop/cart: given up: out of stock
}

// A worker that needs something else for a call, such as a token, asks for it only when there is a
// key, and then gets the key that is most urgent at that moment.
func ExampleQueue_Reserve() {
	ctx := context.Background()
	q := queue.New[string](queue.Options{})
	defer q.ShutDown()
	q.Add("shop/old", queue.Initial)

	if !q.Reserve(ctx) {
		return
	}
	q.Add("shop/cart", queue.Change) // while the worker waits for its token
	item, ok := q.Take()
	fmt.Println(item.Key, ok)
	q.Done(item.Key)
	// Output: shop/cart true
}

func ExampleResyncer() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	q := queue.New[string](queue.Options{})
	defer q.ShutDown()

	resync := queue.Resyncer[string]{
		Period: 100 * time.Millisecond,
		Keys:   func() iter.Seq[string] { return slices.Values([]string{"shop/cart"}) },
		Hash:   func(key string) uint64 { return queue.Hash(key) },
		Due:    func(key string) { q.Add(key, queue.Resync) },
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		resync.Run(ctx)
	}()

	item, _ := q.Get(ctx)
	fmt.Println(item.Key, item.Priority)
	cancel()
	<-stopped
	// Output: shop/cart resync
}
