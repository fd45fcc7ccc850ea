package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRemovalsOfOneDefinition has a definition that goes, comes and goes before the first removal
// has ended. When it is there again, none may be under way.
func TestRemovalsOfOneDefinition(t *testing.T) {
	var all removals
	var working sync.WaitGroup
	var underWay atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	defer working.Wait()
	defer cancel()
	for range 3 {
		begun := make(chan struct{})
		working.Go(func() {
			all.run(ctx, "d", func(ctx context.Context) {
				underWay.Add(1)
				close(begun)
				<-ctx.Done()
				underWay.Add(-1)
			})
		})
		<-begun
	}
	if all.stop("d"); underWay.Load() != 0 {
		t.Errorf("%d removals are under way", underWay.Load())
	}
	if len(all.running) != 0 {
		t.Errorf("%d are remembered", len(all.running))
	}
}
