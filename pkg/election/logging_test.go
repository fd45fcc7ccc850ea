package election

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
)

// blockedSink is a log that nobody reads, until it is opened.
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

// TestBlockedLog: a log that cannot be written delays nothing, and keeps nobody in office.
func TestBlockedLog(t *testing.T) {
	tests := map[string]struct {
		end    func(a *candidate) error
		within time.Duration // until the standby leads
		lost   bool
	}{
		"stopped": {(*candidate).stop, hop, false},
		"done":    {func(a *candidate) error { a.leave <- nil; return <-a.result }, hop, false},
		"cut off": {func(a *candidate) error { a.link.cut(); return <-a.result }, DefaultLeaseDuration + hop, true},
		"robbed":  {func(a *candidate) error { a.link.server.edit(steal); return <-a.result }, DefaultLeaseDuration + hop, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, sink := newServer(), newBlockedSink()
				blocked := func(o *Options) { o.Logger = logr.New(sink) }
				a, b := newCandidate(t, s, "a", blocked), newCandidate(t, s, "b", blocked)
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
				if took := time.Since(start); took > DefaultLeaseDuration+flushTimeout+hop {
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
		if n := len(sink.lines.text); n > maxLines+1 {
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
