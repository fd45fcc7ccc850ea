package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/compose"
)

// What keeps one scope from being done keeps no other one from being looked at, unless that deletes
// what the first may have to leave.
func TestScopesThatAreLeftDoNotWaitForEachOther(t *testing.T) {
	for name, tc := range map[string]struct {
		left []compose.Scope
		want int32
	}{
		"nothing is deleted":                {[]compose.Scope{{Kind: "Site"}, {Kind: "Shop"}}, 2},
		"what leaves something comes first": {[]compose.Scope{{Kind: "Site", OnRemove: "orphan"}, {Kind: "Shop", OnRemove: "delete"}}, 1},
		"all is deleted":                    {[]compose.Scope{{Kind: "Site", OnRemove: "delete"}, {Kind: "Shop", OnRemove: "delete"}}, 2},
		"what is deleted came first":        {[]compose.Scope{{Kind: "Site", OnRemove: "delete"}, {Kind: "Shop"}}, 2},
		"it was left before":                {[]compose.Scope{{Kind: "Site", Done: true}, {Kind: "Shop", OnRemove: "delete"}}, 2},
	} {
		t.Run(name, func(t *testing.T) { testScopesThatAreLeft(t, tc.left, tc.want) })
	}
}

func testScopesThatAreLeft(t *testing.T, left []compose.Scope, want int32) {
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
			l.finish(ctx, left)
		}()
		synctest.Wait()
		if n := tries.Load(); n != want {
			t.Errorf("%d of the scopes are looked at, want %d", n, want)
		}
		cancel()
		<-ended
	})
}

// The tries become slower while they do not help, and no longer than that.
func TestNextRemoval(t *testing.T) {
	delay := removalInterval
	for range 10 {
		delay = nextRemoval(delay, true)
	}
	if delay != lastRemovalInterval {
		t.Errorf("after ten failures, the next try comes after %s", delay)
	}
	if delay = nextRemoval(delay, false); delay != removalInterval {
		t.Errorf("after one that has helped, the next try comes after %s", delay)
	}
}
