package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kooperd.dev/kooperd/pkg/telemetry"
)

// hangingWriter is a pipe that may not be read.
type hangingWriter struct {
	hang chan struct{} // nil: it does not hang; else a write waits for a value, or for its close

	mu   sync.Mutex
	err  error
	text bytes.Buffer
}

func (w *hangingWriter) Write(p []byte) (int, error) {
	if w.hang != nil {
		<-w.hang
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	return w.text.Write(p)
}

func (w *hangingWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *hangingWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// timed returns how long f takes.
func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// TestLogWriterIsInTime looks after each write: a process that crashes then has lost nothing.
func TestLogWriterIsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &hangingWriter{}
		w := telemetry.NewLogWriter(out)
		defer w.Close(time.Second)
		want := ""
		for i := range 100 {
			line := fmt.Sprintf("line %d\n", i)
			want += line
			if n, err := io.WriteString(w, line); n != len(line) || err != nil {
				t.Fatalf("Write returned %d, %v", n, err)
			}
			if got := out.String(); got != want {
				t.Fatalf("after line %d the log is %q", i, got)
			}
		}
	})
}

// TestLogWriterKeepsAllOfAHealthyLog has many writers at once.
func TestLogWriterKeepsAllOfAHealthyLog(t *testing.T) {
	out := &hangingWriter{}
	w := telemetry.NewLogWriter(out)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for j := range 500 {
				_, _ = fmt.Fprintf(w, "%d %d\n", i, j)
			}
		})
	}
	writers.Wait()
	w.Close(time.Minute)
	next := map[int]int{}
	for line := range strings.Lines(out.String()) {
		var writer, number int
		if _, err := fmt.Sscanf(line, "%d %d\n", &writer, &number); err != nil || next[writer] != number {
			t.Fatalf("line %q of a writer whose next one is %d: %v", line, next[writer], err)
		}
		next[writer]++
	}
	for i := range 8 {
		if next[i] != 500 {
			t.Errorf("writer %d has %d lines, want 500", i, next[i])
		}
	}
	if w.Dropped() != 0 {
		t.Errorf("dropped %d lines", w.Dropped())
	}
}

// slowWriter stalls once and is slow afterwards.
type slowWriter struct {
	lines int
}

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.lines++; w.lines == 1 {
		time.Sleep(150 * time.Millisecond)
	}
	time.Sleep(time.Millisecond)
	return len(p), nil
}

// TestLogWriterOfASlowReader writes more than the queue holds, faster than it is read.
func TestLogWriterOfASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slowWriter{}
		w := telemetry.NewLogWriter(out)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		const lines = 5000
		for range lines {
			if _, err := w.Write(line); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond / 2)
		}
		w.Close(time.Minute)
		if out.lines != lines || w.Dropped() != 0 {
			t.Errorf("%d lines written and %d dropped, want all of %d written", out.lines, w.Dropped(), lines)
		}
	})
}

// TestLogWriterHangs does not hold up its callers: only the first write waits, and shortly.
func TestLogWriterHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &hangingWriter{hang: make(chan struct{})}
		w := telemetry.NewLogWriter(out)
		logger, err := telemetry.NewLogger(w, telemetry.FormatJSON, 0)
		if err != nil {
			t.Fatal(err)
		}
		if took := timed(func() { logger.Info("first") }); took != 100*time.Millisecond {
			t.Errorf("the first line took %s, want 100ms", took)
		}
		big := strings.Repeat("x", 10_000)
		if took := timed(func() {
			for range 200 {
				logger.Info("more", "big", big)
			}
		}); took != 0 {
			t.Errorf("the next 200 took %s, want no time", took)
		}
		dropped := w.Dropped()
		if dropped < 80 || dropped > 120 { // 1 MiB has room for about a hundred of them
			t.Errorf("dropped %d of 200 lines of 10 KB, want what is above 1 MiB", dropped)
		}

		close(out.hang)
		synctest.Wait()
		logger.Info("last")
		w.Close(time.Second)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if want := 1 + 200 - int(dropped) + 2; len(lines) != want {
			t.Errorf("the log has %d lines, want %d", len(lines), want)
		}
		var notice struct {
			Msg     string
			Dropped uint64
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-2]), &notice); err != nil || notice.Dropped != dropped ||
			notice.Msg != "log lines were dropped, because the log could not be written" {
			t.Errorf("the line before the last is %s (%v), want that %d lines were dropped", lines[len(lines)-2], err, dropped)
		}
		if !strings.Contains(lines[len(lines)-1], `"last"`) {
			t.Errorf("the last line is %s", lines[len(lines)-1])
		}
	})
}

// TestLogWriterRecovers is quick again, and in time, after the writer was.
func TestLogWriterRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &hangingWriter{hang: make(chan struct{})}
		w := telemetry.NewLogWriter(out)
		defer w.Close(time.Second)
		_, _ = io.WriteString(w, "first\n")
		_, _ = io.WriteString(w, "second\n")
		close(out.hang)
		synctest.Wait()
		if took := timed(func() { _, _ = io.WriteString(w, "third\n") }); took != 0 {
			t.Errorf("the third line took %s", took)
		}
		if got := out.String(); got != "first\nsecond\nthird\n" {
			t.Errorf("the log is %q", got)
		}
	})
}

// TestLogWriterOfAClosedPipe counts what an error has lost, and says so when there is none any
// more.
func TestLogWriterOfAClosedPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &hangingWriter{}
		w := telemetry.NewLogWriter(out)
		logger, err := telemetry.NewLogger(w, telemetry.FormatText, 0)
		if err != nil {
			t.Fatal(err)
		}
		out.fail(errors.New("no space left on device"))
		for range 3 {
			logger.Info("lost")
		}
		if w.Dropped() != 3 {
			t.Errorf("dropped %d lines, want 3", w.Dropped())
		}
		out.fail(nil)
		logger.Info("kept")
		w.Close(time.Second)
		got := out.String()
		if !strings.Contains(got, "dropped=3\n") || !strings.HasSuffix(got, "msg=kept\n") || strings.Count(got, "\n") != 2 {
			t.Errorf("the log is %q, want that 3 lines were dropped, and the line kept", got)
		}
	})
}

// TestLogWriterClose leaves a write behind that hangs, and takes nothing afterwards.
func TestLogWriterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &hangingWriter{hang: make(chan struct{})}
		w := telemetry.NewLogWriter(out)
		_, _ = io.WriteString(w, "a line\n")
		if took := timed(func() { w.Close(2 * time.Second) }); took != 2*time.Second {
			t.Errorf("Close took %s, want 2s", took)
		}
		if _, err := io.WriteString(w, "too late\n"); err == nil {
			t.Error("a write after Close is no error")
		}
		close(out.hang)
		synctest.Wait()
		if got := out.String(); got != "a line\n" {
			t.Errorf("the log is %q", got)
		}
		w.Close(time.Second) // Twice does no harm.
	})
}

func BenchmarkLogWriter(b *testing.B) {
	for name, wrap := range map[string]bool{"LogWriter": true, "file": false} {
		b.Run(name, func(b *testing.B) {
			file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			var out io.Writer = file
			if wrap {
				w := telemetry.NewLogWriter(out)
				defer w.Close(time.Second)
				out = w
			}
			line := []byte(strings.Repeat("x", 200) + "\n")
			for b.Loop() {
				_, _ = out.Write(line)
			}
		})
	}
}
