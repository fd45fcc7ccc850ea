package handlerstest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/go-logr/logr"
)

// LogEntry is one line of a log.
type LogEntry struct {
	// Level is the V level, 0 for errors.
	Level int
	// Message is the constant message.
	Message string
	// Err is the error of an error line, which may be nil, as it may be in every other line.
	Err error
	// Values are the key-value pairs, those of the logger itself included.
	Values map[string]any
}

// Logs keeps what is logged, at every V level, and writes it to the test's log. It is safe for
// concurrent use, also after the test has ended.
type Logs struct {
	mu      sync.Mutex
	t       testing.TB // nil once the test has ended, as it may not be logged to any more
	entries []LogEntry
}

// NewLogs returns Logs for the test t.
func NewLogs(t testing.TB) *Logs {
	l := &Logs{t: t}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.t = nil
	})
	return l
}

// Logger returns a logger that writes to l.
func (l *Logs) Logger() logr.Logger { return logr.New(logSink{logs: l}) }

// Entries returns what was logged so far, in order. The slice is the caller's own.
func (l *Logs) Entries() []LogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

func (l *Logs) add(e LogEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	if l.t == nil {
		return
	}
	if e.Err != nil {
		l.t.Logf("log: %s: %v %v", e.Message, e.Err, e.Values)
		return
	}
	l.t.Logf("log: V(%d) %s %v", e.Level, e.Message, e.Values)
}

// logSink is one logger over Logs, with its own values.
type logSink struct {
	logs   *Logs
	values []any
}

var _ logr.LogSink = logSink{}

func (logSink) Init(logr.RuntimeInfo) {}

func (logSink) Enabled(int) bool { return true }

func (s logSink) Info(level int, msg string, values ...any) {
	s.logs.add(LogEntry{Level: level, Message: msg, Values: s.pairs(values)})
}

func (s logSink) Error(err error, msg string, values ...any) {
	s.logs.add(LogEntry{Message: msg, Err: err, Values: s.pairs(values)})
}

func (s logSink) WithValues(values ...any) logr.LogSink {
	return logSink{logs: s.logs, values: slices.Concat(s.values, values)}
}

func (s logSink) WithName(string) logr.LogSink { return s }

func (s logSink) pairs(values []any) map[string]any {
	all := slices.Concat(s.values, values)
	pairs := make(map[string]any, len(all)/2)
	for i := 0; i+1 < len(all); i += 2 {
		pairs[fmt.Sprint(all[i])] = all[i+1]
	}
	if len(all)%2 != 0 {
		pairs["!missing value of"] = all[len(all)-1]
	}
	return pairs
}
