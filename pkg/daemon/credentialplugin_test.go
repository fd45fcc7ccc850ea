package daemon

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
)

// logLines collects the lines of a logger.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) add(_, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, args)
}

func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// transportFunc is a function as a transport.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestCredentialPluginWatch lets one run of the plugin take a minute: that is logged after five
// seconds, and again when it has returned.
func TestCredentialPluginWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logLines
		began := time.Now()
		p := &credentialPlugin{
			logger: funcr.New(log.add, funcr.Options{}),
			transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				if since := time.Since(began); since >= 10*time.Second && since < 20*time.Second {
					time.Sleep(time.Minute) // It obeys no context.
				}
				return answering{}.RoundTrip(r)
			}),
		}
		ctx, cancel := context.WithCancel(t.Context())
		watching := done(func() { p.watch(ctx) })
		time.Sleep(14 * time.Second)
		if got := log.all(); len(got) != 0 {
			t.Errorf("after 14s the log has %q", got)
		}
		time.Sleep(2 * time.Second)
		if got := log.all(); len(got) != 1 || !strings.Contains(got[0], "does not return") {
			t.Errorf("after 16s the log has %q, want that the program does not return", got)
		}
		time.Sleep(time.Minute)
		if got := log.all(); len(got) != 2 || !strings.Contains(got[1], "has returned") {
			t.Errorf("after 76s the log has %q, want that it has returned", got)
		}
		cancel()
		<-watching
	})
}

// TestCredentialPluginWatchEnds does not wait for the plugin.
func TestCredentialPluginWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logLines
		release := make(chan struct{})
		defer close(release)
		p := &credentialPlugin{
			logger:    funcr.New(log.add, funcr.Options{}),
			transport: transportFunc(func(*http.Request) (*http.Response, error) { <-release; return nil, io.EOF }),
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p.watch(ctx)
		if _, ok := ctx.Deadline(); !ok || ctx.Err() == nil {
			t.Error("watch has returned before its context ended")
		}
	})
}

// TestCredentialPluginOutput bounds what is logged of it.
func TestCredentialPluginOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logLines
		text := strings.Repeat("x", 2*credentialLine) + "\n\n" + strings.Repeat("a word\n", 100) + "the rest"
		p := &credentialPlugin{logger: funcr.New(log.add, funcr.Options{}), stderr: io.NopCloser(strings.NewReader(text))}
		p.watchOutput()
		got := log.all()
		if len(got) != credentialBurst {
			t.Fatalf("the log has %d lines, want %d", len(got), credentialBurst)
		}
		if len(got[0]) > credentialLine+200 {
			t.Errorf("the first line has %d bytes, want no more than %d of the plugin", len(got[0]), credentialLine)
		}
		if !strings.Contains(got[1], "a word") {
			t.Errorf("the second line is %q", got[1])
		}
	})
}
