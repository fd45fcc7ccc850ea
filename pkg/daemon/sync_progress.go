package daemon

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/status"
)

// How often and from when on a syncProgress says something: a small cluster needs nothing of it.
const (
	// syncQuiet is how long the first lists may take without a line on a terminal.
	syncQuiet = 2 * time.Second
	// syncRedraw is how often that line is written anew.
	syncRedraw = 500 * time.Millisecond
	// syncLogged is how often the log has a line where there is no terminal, and how long the first
	// lists may take without any.
	syncLogged = 10 * time.Second
	// syncPatience is how long taking the line away waits for a terminal that takes nothing.
	syncPatience = time.Second
)

// syncBoard is what is known of the first lists; it is a status.Board.
type syncBoard interface {
	Synced() <-chan struct{}
	All() map[string]status.Status
}

// syncProgress says at the start how far the first lists are, when they take long: on a terminal in
// a line below the log, otherwise in the log.
type syncProgress struct {
	board syncBoard
	// received returns how many objects have arrived.
	received func() int64
	// line is the line on the terminal; nil if there is none.
	line   *bottomLine
	logger logr.Logger

	began, counted time.Time
	objects        int64 // at counted
}

// run returns when all definitions have got past their first lists, or ctx ends.
func (p *syncProgress) run(ctx context.Context) {
	p.began = time.Now()
	p.counted = p.began
	interval, quiet := syncLogged, syncLogged
	if p.line != nil {
		interval, quiet = syncRedraw, syncQuiet
	}
	defer p.line.show("")
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for said := false; ; said = true {
		select {
		case <-p.board.Synced():
			if said {
				p.line.show("") // The log would write it once more.
				_, all := p.synced()
				p.logger.Info("definitions have got past their first lists", "definitions", all, "objects", p.received(), "took", time.Since(p.began))
			}
			return
		case <-ctx.Done():
			return
		case <-timer.C:
			p.say()
			timer.Reset(interval)
		}
	}
}

// say says how far the first lists are.
func (p *syncProgress) say() {
	synced, all := p.synced()
	objects := p.received()
	rate := float64(objects-p.objects) / max(time.Since(p.counted).Seconds(), time.Millisecond.Seconds())
	if p.line == nil {
		p.logger.Info("reading the first lists", "synced", synced, "definitions", all, "objects", objects, "objectsPerSecond", int64(rate))
		p.objects, p.counted = objects, time.Now()
		return
	}
	// On the terminal it is the rate of the whole time so far, which does not flicker.
	p.line.show(fmt.Sprintf("reading the first lists: %d of %d definitions, %d objects, %.0f/s, %s",
		synced, all, objects, rate, time.Since(p.began).Round(time.Second)))
}

// synced counts the definitions that have got past their first lists, and all.
func (p *syncProgress) synced() (synced, all int) {
	for _, s := range p.board.All() {
		all++
		if s.State != status.Syncing {
			synced++
		}
	}
	return synced, all
}

// bottomLine is a terminal with a line below everything else that is written to it.
type bottomLine struct {
	terminalFile
	width func() int

	turn  chan struct{} // taken while something is written
	shown string
}

// terminalFile is an os.File that is a terminal.
type terminalFile interface {
	io.Writer
	Fd() uintptr
}

// newBottomLine returns one for stderr; nil if that is no terminal.
func newBottomLine(stderr io.Writer) *bottomLine {
	file, ok := stderr.(terminalFile)
	if !ok || !newTerminal(stderr).is {
		return nil
	}
	return &bottomLine{terminalFile: file, width: func() int { return newTerminal(stderr).width }, turn: make(chan struct{}, 1)}
}

// or returns what the log is written to: the terminal, or what else there is.
func (l *bottomLine) or(stderr io.Writer) io.Writer {
	if l == nil {
		return stderr
	}
	return l
}

// Write writes whole lines above the line.
func (l *bottomLine) Write(text []byte) (int, error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.shown == "" {
		return l.terminalFile.Write(text)
	}
	_, _ = io.WriteString(l.terminalFile, "\r"+clearLine) // It is no part of the log.
	n, err := l.terminalFile.Write(text)
	_, _ = io.WriteString(l.terminalFile, l.shown)
	return n, err
}

// show writes another text into the line; "" takes it away. While somebody else writes, it says
// nothing, but it waits to take the line away, as it would be written again below each line of the
// log. It does not wait for ever: the terminal may take nothing.
func (l *bottomLine) show(text string) {
	if l == nil {
		return
	}
	if !l.takeTurn(text == "") {
		return
	}
	defer func() { <-l.turn }()
	if width := l.width(); width > 0 {
		text = cut(text, width-1)
	}
	if text == l.shown {
		return
	}
	l.shown = text
	_, _ = io.WriteString(l.terminalFile, "\r"+clearLine+text)
}

// takeTurn reports whether this one may write now.
func (l *bottomLine) takeTurn(patient bool) bool {
	select {
	case l.turn <- struct{}{}:
		return true
	default:
	}
	if !patient {
		return false
	}
	timer := time.NewTimer(syncPatience)
	defer timer.Stop()
	select {
	case l.turn <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}
