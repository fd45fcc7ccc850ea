package daemon

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

type noObserver struct{}

func (noObserver) SetState(string, status.State) {}

// fakeScreen is a terminal that keeps what is written to it.
type fakeScreen struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (*fakeScreen) Fd() uintptr { return ^uintptr(0) }

func (f *fakeScreen) Write(text []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.Write(text)
}

// taken returns what was written since the last call.
func (f *fakeScreen) taken() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.out.Reset()
	return strings.NewReplacer("\x1b[K", "^", "\r", "<").Replace(f.out.String())
}

// syncRig is a start with two definitions, of which 1000 objects arrive in a second.
type syncRig struct {
	*testing.T
	board *status.Board
	out   *fakeScreen
	log   io.Writer
	began time.Time
	done  chan struct{}
	end   context.CancelFunc
}

// startSync begins to show progress, on a terminal or not.
func startSync(t *testing.T, onTerminal bool) *syncRig {
	t.Helper()
	rig := &syncRig{T: t, board: status.NewBoard(noObserver{}), out: &fakeScreen{}, began: time.Now(), done: make(chan struct{})}
	rig.board.Set("pods", status.Syncing, "")
	rig.board.Set("nodes", status.Syncing, "")
	var line *bottomLine
	rig.log = rig.out
	if onTerminal {
		line = &bottomLine{terminalFile: rig.out, width: func() int { return 60 }, turn: make(chan struct{}, 1)}
		rig.log = line
	}
	logger, err := telemetry.NewLogger(rig.log, telemetry.FormatText, 0)
	if err != nil {
		t.Fatal(err)
	}
	received := func() int64 { return int64(time.Since(rig.began) / time.Millisecond) }
	progress := &syncProgress{board: rig.board, received: received, line: line, logger: logger}
	ctx, end := context.WithCancel(t.Context())
	rig.end = end
	go func() {
		defer close(rig.done)
		progress.run(ctx)
	}()
	t.Cleanup(end)
	return rig
}

// after returns what is shown until d after the start.
func (r *syncRig) after(d time.Duration) string {
	r.Helper()
	time.Sleep(d - time.Since(r.began))
	synctest.Wait()
	text := r.out.taken()
	if i := strings.Index(text, "level="); i >= 0 && strings.HasPrefix(text, "time=") {
		return text[i:]
	}
	return text
}

func (r *syncRig) want(d time.Duration, want string) {
	r.Helper()
	if got := r.after(d); got != want {
		r.Errorf("until %s after the start there is\n%q, want\n%q", d, got, want)
	}
}

func TestSyncProgressInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := startSync(t, false)
		rig.want(9999*time.Millisecond, "")
		rig.board.Set("nodes", status.Running, "")
		rig.want(10001*time.Millisecond, "level=INFO msg=\"reading the first lists\" synced=1 definitions=2 objects=10000 objectsPerSecond=1000\n")
		rig.want(19999*time.Millisecond, "")
		rig.want(20001*time.Millisecond, "level=INFO msg=\"reading the first lists\" synced=1 definitions=2 objects=20000 objectsPerSecond=1000\n")
		rig.board.Set("pods", status.Degraded, "forbidden")
		rig.want(20002*time.Millisecond, "level=INFO msg=\"definitions have got past their first lists\" definitions=2 objects=20001 took=20.001s\n")
		<-rig.done
	})
}

func TestSyncProgressOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := startSync(t, true)
		rig.want(1999*time.Millisecond, "")
		rig.want(2001*time.Millisecond, "<^reading the first lists: 0 of 2 definitions, 2000 objects,…")
		_, _ = io.WriteString(rig.log, "a line of the log\n")
		rig.want(2002*time.Millisecond, "<^a line of the log\nreading the first lists: 0 of 2 definitions, 2000 objects,…")
		rig.board.Set("nodes", status.Running, "")
		rig.want(2501*time.Millisecond, "<^reading the first lists: 1 of 2 definitions, 2500 objects,…")
		rig.end()
		<-rig.done
		rig.want(2502*time.Millisecond, "<^")
	})
}

// TestSyncProgressOfASmallCluster says nothing at all.
func TestSyncProgressOfASmallCluster(t *testing.T) {
	for _, onTerminal := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			rig := startSync(t, onTerminal)
			rig.want(time.Second, "")
			rig.board.Set("nodes", status.Running, "")
			rig.board.Set("pods", status.Running, "")
			<-rig.done
			rig.want(time.Minute, "")
		})
	}
}

// TestTheBottomLineGoes also while the log is written: nothing is left that would be written again.
func TestTheBottomLineGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := &fakeScreen{}
		line := &bottomLine{terminalFile: screen, width: func() int { return 0 }, turn: make(chan struct{}, 1)}
		line.show("reading")
		line.turn <- struct{}{} // the log
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			line.show("")
		}()
		synctest.Wait()
		<-line.turn
		<-gone
		_, _ = io.WriteString(line, "later\n")
		if got := screen.taken(); got != "<^reading<^later\n" {
			t.Errorf("the terminal has %q", got)
		}
	})
}

// TestABottomLineThatHangs keeps nobody but the log.
func TestABottomLineThatHangs(t *testing.T) {
	line := &bottomLine{terminalFile: &fakeScreen{}, width: func() int { return 0 }, turn: make(chan struct{}, 1)}
	line.turn <- struct{}{} // somebody writes
	line.show("reading")
	<-line.turn
	if line.shown != "" {
		t.Errorf("shown is %q", line.shown)
	}
	synctest.Test(t, func(t *testing.T) {
		line := &bottomLine{terminalFile: &fakeScreen{}, width: func() int { return 0 }, turn: make(chan struct{}, 1)}
		began := time.Now()
		line.turn <- struct{}{}
		line.show("") // It gives up at last.
		if took := time.Since(began); took != syncPatience {
			t.Errorf("it has waited %s", took)
		}
		<-line.turn
	})
	var none *bottomLine
	var out bytes.Buffer
	if none.or(&out) != io.Writer(&out) {
		t.Error("without a terminal the log goes elsewhere than to standard error")
	}
	if newBottomLine(&out) != nil {
		t.Error("a buffer is taken for a terminal")
	}
}
