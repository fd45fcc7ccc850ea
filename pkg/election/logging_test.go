package election

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// blockedSink is a log that is not read until it is opened.
type blockedSink struct {
	opened chan struct{}
	lines  *lines
}

type lines struct {
	mu   sync.Mutex
	text []string
}

func newBlockedSink() blockedSink { return blockedSink{opened: make(chan struct{}), lines: &lines{}} }

func (s blockedSink) write(message string) {
	<-s.opened
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	s.lines.text = append(s.lines.text, message)
}

func (blockedSink) Init(logr.RuntimeInfo)                     {}
func (blockedSink) Enabled(int) bool                          { return true }
func (s blockedSink) Info(_ int, message string, _ ...any)    { s.write(message) }
func (s blockedSink) Error(_ error, message string, _ ...any) { s.write(message) }
func (s blockedSink) WithValues(...any) logr.LogSink          { return s }
func (s blockedSink) WithName(string) logr.LogSink            { return s }

// TestBlockedLog: a log that cannot be written delays nothing, and lengthens no term.
func TestBlockedLog(t *testing.T) {
	tests := map[string]struct {
		end    func(a *testElector) error
		within time.Duration // until the standby leads
		lost   bool
	}{
		"stopped": {(*testElector).stop, moment, false},
		"done":    {func(a *testElector) error { a.leave <- nil; return <-a.result }, moment, false},
		"cut off": {func(a *testElector) error { a.link.cut(); return <-a.result }, DefaultLeaseDuration + moment, true},
		"robbed":  {func(a *testElector) error { a.link.server.edit(steal); return <-a.result }, DefaultLeaseDuration + moment, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, sink := newServer(), newBlockedSink()
				blocked := func(o *Options) { o.Logger = logr.New(sink) }
				a, b := newTestElector(t, s, "a", blocked), newTestElector(t, s, "b", blocked)
				a.start()
				term := a.leads()
				b.start()
				time.Sleep(time.Hour)
				if term.Err() != nil || a.Remaining() < 7*time.Second {
					t.Fatalf("%s remain after an hour of renewals", a.Remaining())
				}
				ended := make(chan error, 1)
				start := time.Now()
				go func() { ended <- tt.end(a) }()
				b.leads()
				if took := time.Since(start); took > tt.within {
					t.Errorf("the standby led after %s, want at most %s", took, tt.within)
				}
				if err := <-ended; errors.Is(err, ErrLost) != tt.lost {
					t.Errorf("Run returned %v", err)
				}
				if took := time.Since(start); took > DefaultLeaseDuration+flushTimeout+moment {
					t.Errorf("Run returned after %s", took)
				}
				if err := b.stop(); err != nil {
					t.Error(err)
				}
				close(sink.opened)
			})
		})
	}
}

// TestDroppedLinesAreCounted: what does not fit is not kept, and the log says how much that was.
func TestDroppedLinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, queue := newBlockedSink(), &lineQueue{}
		log := logr.New(queuedSink{sink, queue})
		for range 10 * maxLines {
			log.Info("line")
		}
		close(sink.opened)
		queue.flush(time.Minute)
		if n := len(sink.lines.text); n > maxLines+2 {
			t.Errorf("%d lines were kept", n)
		}
		log.Info("next")
		queue.flush(time.Minute)
		last := sink.lines.text[len(sink.lines.text)-2:]
		if last[0] != "log lines were dropped" || last[1] != "next" {
			t.Errorf("the last lines are %q", last)
		}
	})
}

func TestLogLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := logLimiter{interval: time.Minute}
		logged := 0
		fail := func(err error) { limiter.do(err, func() { logged++ }) }
		want := func(n int, what string) {
			t.Helper()
			if logged != n {
				t.Errorf("%s: %d lines, want %d", what, logged, n)
			}
			logged = 0
		}
		forbidden := apierrors.NewForbidden(leases, testName, errors.New("no"))
		for range 600 {
			fail(forbidden)
			time.Sleep(time.Second)
		}
		want(10, "ten minutes of one failure a second")
		fail(errors.New("dial tcp: refused"))
		want(1, "a new kind of failure")
		fail(errors.New("dial tcp: timeout"))
		want(0, "failures of the network that differ in their text only")
		limiter.reset()
		fail(errors.New("dial tcp: timeout"))
		want(1, "the first failure after a success")
		noNamespace := fmt.Errorf("creating the lease: %w", apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "none"))
		for range 600 {
			fail(noNamespace)
			time.Sleep(time.Second)
		}
		want(1, "ten minutes without the namespace")
		limiter.reset()
		fail(noNamespace)
		want(1, "the namespace that is gone again")
	})
}
