package compose

import (
	"context"
	"sync/atomic"
)

// askingKey is where a context keeps whether the composer was asked.
type askingKey struct{}

// TrackAsking returns a context for one call of Handle, and a function that reports whether the
// composer has been asked in it. A call for a parent that is paused, has left, or is being deleted
// mostly asks nobody, and so says nothing about what the composer needs.
func TrackAsking(ctx context.Context) (tracked context.Context, asked func() bool) {
	noted := &atomic.Bool{}
	return context.WithValue(ctx, askingKey{}, noted), noted.Load
}

// noteAsking notes that the composer is being asked.
func noteAsking(ctx context.Context) {
	if noted, ok := ctx.Value(askingKey{}).(*atomic.Bool); ok {
		noted.Store(true)
	}
}
