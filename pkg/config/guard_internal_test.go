package config

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuardPanic(t *testing.T) {
	_, err := guard(t.Context(), Options{}, "f.cue", func() (*Config, Diagnostics) {
		panic("no way out")
	})
	if diags, ok := errors.AsType[Diagnostics](err); !ok || !strings.HasPrefix(diags.Error(), "f.cue: evaluating the config panicked: no way out; ") {
		t.Errorf("guard returned %v", err)
	}
}

func TestGuardDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		start := time.Now()
		_, err := guard(t.Context(), Options{}, "f.cue", func() (*Config, Diagnostics) { <-release; return nil, nil })
		if err == nil || !strings.Contains(err.Error(), "takes longer than 10s") || time.Since(start) != 10*time.Second {
			t.Errorf("guard returned %v after %s", err, time.Since(start))
		}
	})
}

func TestGuardContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		gone := errors.New("the caller has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		_, err := guard(ctx, Options{}, "f.cue", func() (*Config, Diagnostics) { <-release; return nil, nil })
		if _, bad := errors.AsType[Diagnostics](err); bad || !errors.Is(err, gone) {
			t.Errorf("guard returned %v, want the cause of the context", err)
		}
	})
}

func TestGuardMemory(t *testing.T) {
	release := make(chan struct{})
	ended := make(chan struct{})
	_, err := guard(t.Context(), Options{MemoryLimit: 16 << 20}, "f.cue", func() (*Config, Diagnostics) {
		defer close(ended)
		much := make([]byte, 64<<20)
		<-release
		runtime.KeepAlive(much)
		return nil, nil
	})
	close(release)
	<-ended
	if err == nil || !strings.Contains(err.Error(), "takes more than 16 MiB of memory") {
		t.Errorf("guard returned %v", err)
	}
}
