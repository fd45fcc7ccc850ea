package daemon

import (
	"fmt"
	"io"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/engine"
)

// progressInterval is how often the line of a planProgress is written.
const progressInterval = 200 * time.Millisecond

// planProgress shows on a terminal how far a plan is.
type planProgress struct {
	out   io.Writer // nil for none
	turn  chan struct{}
	shown time.Time
	width int
}

func newPlanProgress(stderr io.Writer) *planProgress {
	p := &planProgress{turn: make(chan struct{}, 1)}
	if isTerminal(stderr) {
		p.out = stderr
	}
	return p
}

// show shows how far the plan is. Calls may overlap: one that finds another one at work says
// nothing.
func (p *planProgress) show(now engine.Progress) {
	if p.out == nil {
		return
	}
	select {
	case p.turn <- struct{}{}:
	default:
		return
	}
	defer func() { <-p.turn }()
	if at := time.Now(); at.Sub(p.shown) >= progressInterval {
		p.shown = at
		p.write(fmt.Sprintf("planning %s: %d of %d", now.Definition, now.Done, now.All))
	}
}

// end takes the line away.
func (p *planProgress) end() {
	if p.out == nil {
		return
	}
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.width > 0 {
		p.write("")
	}
}

func (p *planProgress) write(text string) {
	_, _ = fmt.Fprintf(p.out, "\r%s\r%s", strings.Repeat(" ", p.width), text) // It is no part of the answer.
	p.width = len(text)
}
