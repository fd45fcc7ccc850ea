package config

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

func TestSupervisePanic(t *testing.T) {
	_, err := supervise(t.Context(), Options{}, "f.cue", func(*activity) (*Config, diagnostic.Diagnostics) {
		panic("no way out")
	})
	if diags, ok := errors.AsType[diagnostic.Diagnostics](err); !ok || !strings.HasPrefix(diags.Error(), "f.cue: evaluating the config panicked: no way out; ") {
		t.Errorf("supervise returned %v", err)
	}
}

func TestSuperviseDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		start := time.Now()
		_, err := supervise(t.Context(), Options{}, "f.cue", func(*activity) (*Config, diagnostic.Diagnostics) { <-release; return nil, nil })
		if err == nil || !strings.Contains(err.Error(), "takes longer than 10s") || time.Since(start) != 10*time.Second {
			t.Errorf("supervise returned %v after %s", err, time.Since(start))
		}
	})
}

func TestSuperviseContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		gone := errors.New("the caller has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		_, err := supervise(ctx, Options{}, "f.cue", func(*activity) (*Config, diagnostic.Diagnostics) { <-release; return nil, nil })
		if _, bad := errors.AsType[diagnostic.Diagnostics](err); bad || !errors.Is(err, gone) {
			t.Errorf("supervise returned %v, want the cause of the context", err)
		}
	})
}

func TestSuperviseMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		_, err := supervise(t.Context(), Options{MemoryLimit: 16 << 20}, "f.cue", func(*activity) (*Config, diagnostic.Diagnostics) {
			much := make([]byte, 64<<20)
			<-release
			runtime.KeepAlive(much)
			return nil, nil
		})
		if err == nil || !strings.Contains(err.Error(), "takes more than 16 MiB of memory") {
			t.Errorf("supervise returned %v", err)
		}
	})
}

func TestSuperviseGoexit(t *testing.T) {
	_, err := supervise(t.Context(), Options{}, "f.cue", func(*activity) (*Config, diagnostic.Diagnostics) {
		runtime.Goexit()
		return nil, nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "f.cue: evaluating the config panicked: runtime.Goexit was called; ") {
		t.Errorf("supervise returned %v", err)
	}
}

func TestSupervisePlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		_, err := supervise(t.Context(), Options{}, "f.cue", func(doing *activity) (*Config, diagnostic.Diagnostics) {
			defer doing.calling("slack")()
			<-release
			return nil, nil
		})
		want := `f.cue: plugin "slack" takes longer than 10s to check its config; ` + pluginHint
		if err == nil || err.Error() != want {
			t.Errorf("supervise returned %v, want %s", err, want)
		}
	})
}

// TestSuperviseBound gives up on evaluations until no more may be begun, and then lets them end.
func TestSuperviseBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hang := func(*activity) (*Config, diagnostic.Diagnostics) { <-release; return &Config{}, nil }
		for range maxAbandoned {
			if _, err := supervise(t.Context(), Options{}, "f.cue", hang); err == nil || !strings.Contains(err.Error(), "takes longer") {
				t.Fatalf("supervise returned %v", err)
			}
		}
		if _, err := supervise(t.Context(), Options{}, "f.cue", hang); err == nil || !strings.Contains(err.Error(), "still running") {
			t.Errorf("supervise returned %v, want a refusal", err)
		}
		close(release)
		synctest.Wait()
		if _, err := supervise(t.Context(), Options{}, "f.cue", hang); err != nil {
			t.Errorf("supervise returned %v after all evaluations have ended", err)
		}
	})
}
