package election

import (
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// maxLines bounds the lines that wait for a log that cannot be written.
	maxLines = 64
	// flushTimeout is for how long Run waits at its end for its last lines.
	flushTimeout = 500 * time.Millisecond
)

// lineQueue writes log lines on another goroutine. The elector's loop must never wait for a log:
// one that cannot be written would delay renewals and releases. What does not fit is dropped and
// counted.
type lineQueue struct {
	mu      sync.Mutex
	lines   []func()
	dropped int
	idle    chan struct{} // closed when the last line is written; nil while no goroutine is running
}

// add puts a line behind the others. report says in the log how many were dropped before.
func (q *lineQueue) add(line func(), report func(dropped int)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) >= maxLines {
		q.dropped++
		return
	}
	if n := q.dropped; n > 0 {
		q.dropped = 0
		q.lines = append(q.lines, func() { report(n) })
	}
	q.lines = append(q.lines, line)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.write()
	}
}

// write writes lines until there are none.
func (q *lineQueue) write() {
	for {
		q.mu.Lock()
		if len(q.lines) == 0 {
			close(q.idle)
			q.idle = nil
			q.mu.Unlock()
			return
		}
		line := q.lines[0]
		q.lines = q.lines[1:]
		q.mu.Unlock()
		line()
	}
}

// flush waits until all lines are written, at most for the limit.
func (q *lineQueue) flush(limit time.Duration) {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// queuedSink is a log whose lines go through a queue.
type queuedSink struct {
	logr.LogSink
	queue *lineQueue
}

func (s queuedSink) Info(level int, message string, values ...any) {
	s.add(func() { s.LogSink.Info(level, message, values...) })
}

func (s queuedSink) Error(err error, message string, values ...any) {
	s.add(func() { s.LogSink.Error(err, message, values...) })
}

func (s queuedSink) add(line func()) {
	s.queue.add(line, func(dropped int) { s.LogSink.Info(0, "log lines were dropped", "count", dropped) })
}

func (s queuedSink) WithValues(values ...any) logr.LogSink {
	return queuedSink{s.LogSink.WithValues(values...), s.queue}
}

func (s queuedSink) WithName(name string) logr.LogSink {
	return queuedSink{s.LogSink.WithName(name), s.queue}
}

// logLimiter bounds how often one kind of failure is logged: at once when it is new, then once per
// interval. That the namespace does not exist is logged only once: it stays so until it is
// created.
type logLimiter struct {
	interval time.Duration
	kinds    map[string]*rate.Sometimes
}

// do calls log if the failure is to be logged now.
func (l *logLimiter) do(err error, log func()) {
	kind := kindOf(err)
	if l.kinds == nil {
		l.kinds = map[string]*rate.Sometimes{}
	}
	if l.kinds[kind] == nil {
		l.kinds[kind] = &rate.Sometimes{First: 1, Interval: l.interval}
		if kind == noNamespace {
			l.kinds[kind].Interval = 0
		}
	}
	l.kinds[kind].Do(log)
}

// reset makes the next failure a new one.
func (l *logLimiter) reset() { l.kinds = nil }

// noNamespace is the kind of a failure that says that the namespace does not exist.
const noNamespace = "no namespace"

// kindOf is the API server's reason, or "connection" for an error that is not its answer: those
// differ in ports and the like.
func kindOf(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && gone(err) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces" {
		return noNamespace
	}
	if reason := apierrors.ReasonForError(err); reason != "" {
		return string(reason)
	}
	return "connection"
}
