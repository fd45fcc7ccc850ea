package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// What a terminal does at these sequences (ECMA-48, and xterm for the second screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the second screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	goHome      = "\x1b[H"
	clearBelow  = "\x1b[J"
)

// follow shows the answers again and again until ctx ends, which is no error. The first one is
// there already.
func (r *statusRun) follow(ctx context.Context, answer statusAnswer) error {
	redraws := r.redraws()
	if redraws {
		r.held.begin()
		defer r.held.end()
		if err := printed(io.WriteString(r.stdout, enterScreen)); err != nil {
			return err
		}
		defer func() { _, _ = io.WriteString(r.stdout, leaveScreen) }()
	}
	ticker := time.NewTicker(r.flags.interval)
	defer ticker.Stop()
	trouble := ""
	for first := true; ; first = false {
		var err error
		switch {
		case redraws:
			err = r.redraw(answer, trouble)
		case trouble != "":
			r.note(trouble)
		default:
			err = r.append(answer, first)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		trouble = ""
		next, err := r.asks(ctx)
		notes := r.held.take()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			trouble = strings.Join(append([]string{err.Error()}, notes...), "; ")
		default:
			answer = next
			if len(notes) > 0 {
				answer.note = strings.TrimSuffix(strings.Join(append(notes, answer.note), "; "), "; ")
			}
		}
	}
}

// redraws says whether an answer is shown in the place of the one before.
func (r *statusRun) redraws() bool { return r.terminal().is && r.flags.format == formatText }

// heldNotes keeps notes while standard error must not be written to. The zero value keeps none. It
// is safe for concurrent use: a question that was given up may still have something to say.
type heldNotes struct {
	mu    sync.Mutex
	holds bool
	texts []string
}

func (h *heldNotes) begin() { h.set(true) }
func (h *heldNotes) end()   { h.set(false) }

func (h *heldNotes) set(holds bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds, h.texts = holds, nil
}

// add keeps a note; false if it is not to be kept.
func (h *heldNotes) add(text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds && !slices.Contains(h.texts, text) {
		h.texts = append(h.texts, text)
	}
	return h.holds
}

// take returns the notes since the last time.
func (h *heldNotes) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	texts := h.texts
	h.texts = nil
	return texts
}

// append writes an answer below those before.
func (r *statusRun) append(answer statusAnswer, first bool) error {
	if r.flags.format == formatText && !first {
		if err := printed(fmt.Fprintf(r.stdout, "\n--- %s\n\n", answer.report.Time.UTC().Format(time.RFC3339))); err != nil {
			return err
		}
	}
	return r.print(answer)
}

// redraw shows an answer in the place of the one before, as much of it as there is room for.
func (r *statusRun) redraw(answer statusAnswer, trouble string) error {
	s := &sheet{terminal: r.terminal(), short: true}
	head := fmt.Sprintf("%s  every %s, Ctrl-C ends", answer.report.Time.UTC().Format("15:04:05 UTC"), r.flags.interval)
	s.line(cell{head, faint})
	switch {
	case trouble != "":
		s.line(cell{"no answer since then: " + trouble, red})
	case answer.note != "":
		s.line(cell{answer.note, yellow})
	}
	s.lines = append(s.lines, "")
	writeStatus(s, answer.report, r.flags.few())
	if room := s.height - 1; room > 1 && len(s.lines) > room {
		left := len(s.lines) - room + 1
		s.lines = s.lines[:room-1]
		s.line(cell{fmt.Sprintf("… %s more", plural(left, "line", "lines")), faint})
	}
	var b bytes.Buffer
	b.WriteString(goHome)
	for _, line := range s.lines {
		b.WriteString(line + clearLine + "\r\n")
	}
	b.WriteString(clearBelow)
	return printed(r.stdout.Write(b.Bytes()))
}
