package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/compose"
)

// What keeps one scope from being done keeps no other one from being looked at.
func TestScopesThatAreLeftDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		server := newFakeServer()
		server.clientOf = func(string) error {
			tries.Add(1)
			return errUnreachable
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l := leftovers{shared: &shared{api: server}, id: "pods", logger: logr.Discard()}
			l.finish(ctx, []compose.Scope{{Kind: "Site"}, {Kind: "Shop"}})
		}()
		synctest.Wait()
		if n := tries.Load(); n != 2 {
			t.Errorf("%d of the scopes are looked at, want both", n)
		}
		cancel()
		<-ended
	})
}
