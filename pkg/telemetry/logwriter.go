package telemetry

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// logPatience is how long a line of the log is waited for. What takes longer is not written
	// before Write returns.
	logPatience = 100 * time.Millisecond
	// logQueueBytes is how much of the log is kept in memory while it cannot be written.
	logQueueBytes = 1 << 20
)

// errLogClosed is the error of a write after Close.
var errLogClosed = errors.New("the log is closed")

// LogWriter writes the log to another writer, and keeps one that hangs from holding up the program,
// such as a pipe that is not read. While the writer takes what it gets, Write returns when it has
// been written, as without a LogWriter, so a crash loses nothing. When a write takes longer than a
// tenth of a second, lines are queued, up to 1 MiB of them, and what does not fit is dropped and
// counted. When the writer takes lines again, one says how many were dropped. While a slow writer
// makes progress, Write waits a tenth of a second for its line, so the queue does not fill up.
//
// It is safe for concurrent use, keeps the order of lines, and needs a Close.
type LogWriter struct {
	out     io.Writer
	dropped atomic.Uint64
	wake    chan struct{} // has a value when the queue may have grown, or the writer is closed
	drained chan struct{} // closed when all has been written after Close

	mu      sync.Mutex
	notice  func(dropped uint64) []byte // the line that says how many were dropped; nil for none
	queue   []queuedLine                // the first one is being written
	bytes   int                         // in the queue
	missing uint64                      // dropped since the last notice
	stalled bool                        // no line has been written since one was waited for in vain
	closed  bool
}

// queuedLine is one line of the log.
type queuedLine struct {
	text    []byte
	lines   uint64        // what is lost when it cannot be written; 0 for a notice
	notice  uint64        // how many dropped lines it tells of, for a notice
	written chan struct{} // closed when it has been
}

// NewLogWriter returns a writer to out. The caller has to close it.
func NewLogWriter(out io.Writer) *LogWriter {
	w := &LogWriter{out: out, wake: make(chan struct{}, 1), drained: make(chan struct{})}
	go w.run()
	return w
}

// Write writes one or more whole lines. It never waits longer than a tenth of a second and returns
// an error only after Close.
func (w *LogWriter) Write(text []byte) (int, error) {
	line := queuedLine{text: bytes.Clone(text), lines: max(1, uint64(bytes.Count(text, []byte{'\n'}))), written: make(chan struct{})}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return 0, errLogClosed
	}
	if w.bytes > 0 && w.bytes+len(text) > logQueueBytes {
		w.lose(line.lines)
		w.mu.Unlock()
		return len(text), nil
	}
	w.addNotice()
	w.add(line)
	stalled := w.stalled
	w.mu.Unlock()
	if !stalled {
		w.await(line)
	}
	return len(text), nil
}

// await waits until a line is written, but not for long.
func (w *LogWriter) await(line queuedLine) {
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	select {
	case <-line.written:
	case <-timer.C:
		w.mu.Lock()
		w.stalled = len(w.queue) > 0 // It may just have been written.
		w.mu.Unlock()
	}
}

// Dropped returns how many lines have been dropped so far.
func (w *LogWriter) Dropped() uint64 { return w.dropped.Load() }

// Close waits until everything is written, at most for patience. A write that hangs is left behind.
func (w *LogWriter) Close(patience time.Duration) {
	w.mu.Lock()
	if !w.closed {
		w.addNotice()
		w.closed = true
		w.signal()
	}
	w.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.drained:
	case <-timer.C:
	}
}

// run writes what is in the queue until the writer is closed.
func (w *LogWriter) run() {
	defer close(w.drained)
	for {
		line, ok := w.first()
		if !ok {
			return
		}
		_, err := w.out.Write(line.text)
		w.mu.Lock()
		w.queue[0] = queuedLine{} // for the garbage collector
		w.queue = w.queue[1:]
		w.bytes -= len(line.text)
		if err != nil {
			w.missing += line.notice
			w.lose(line.lines)
		}
		w.stalled = false // The writer takes lines again, so Write waits and does not outrun it.
		if len(w.queue) == 0 {
			w.queue = nil
			if err == nil {
				w.addNotice()
			}
		}
		w.mu.Unlock()
		close(line.written)
	}
}

// first waits for the first line of the queue. There is none after Close when everything is
// written.
func (w *LogWriter) first() (line queuedLine, ok bool) {
	for {
		w.mu.Lock()
		closed := w.closed
		if len(w.queue) > 0 {
			line, ok = w.queue[0], true
		}
		w.mu.Unlock()
		if ok || closed {
			return line, ok
		}
		<-w.wake
	}
}

// add puts a line into the queue. The lock is held.
func (w *LogWriter) add(line queuedLine) {
	w.queue = append(w.queue, line)
	w.bytes += len(line.text)
	w.signal()
}

// addNotice puts the notice about dropped lines into the queue when there are any. The lock is
// held.
func (w *LogWriter) addNotice() {
	if w.missing == 0 || w.notice == nil || w.closed {
		return
	}
	w.add(queuedLine{text: w.notice(w.missing), notice: w.missing, written: make(chan struct{})})
	w.missing = 0
}

// lose counts dropped lines. The lock is held.
func (w *LogWriter) lose(lines uint64) {
	w.missing += lines
	w.dropped.Add(lines)
}

// signal wakes run.
func (w *LogWriter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// describe sets the line that says how many were dropped.
func (w *LogWriter) describe(notice func(dropped uint64) []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notice = notice
}
