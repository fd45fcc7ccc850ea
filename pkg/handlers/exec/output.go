package exec

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-logr/logr"
)

const (
	// maxLine bounds one logged line, in bytes.
	maxLine = 4 << 10
	// maxErrorLine bounds what an error quotes of standard error, in bytes.
	maxErrorLine = 256
)

// output takes what a program writes to one of its streams. It logs it line by line until its
// budget is used up, counts the rest, and remembers the last line. It never holds more than two
// lines, and never makes the program wait. It is not safe for concurrent use.
type output struct {
	logger logr.Logger
	off    bool
	redact redactor
	budget int // bytes that may still be logged

	line    []byte // the line under way: maxLine and the longest secret at most
	last    []byte // the last line that was not blank, not redacted
	dropped int64  // bytes that were not logged
}

// Write takes the next piece of the stream. It never fails.
func (o *output) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			o.collect(p)
			return n, nil
		}
		o.collect(p[:i])
		o.endLine()
		p = p[i+1:]
	}
}

// collect keeps what is needed of a line: its first maxLine bytes, and so much more that a secret
// which begins in them is complete.
func (o *output) collect(p []byte) {
	room := maxLine + o.redact.longest - len(o.line)
	kept := p[:min(room, len(p))]
	o.line = append(o.line, kept...)
	o.dropped += int64(len(p) - len(kept))
}

func (o *output) endLine() {
	if len(bytes.TrimSpace(o.line)) > 0 {
		o.log()
		o.line, o.last = o.last, o.line
	}
	o.line = o.line[:0]
}

func (o *output) log() {
	if o.off || o.budget == 0 {
		o.dropped += int64(len(o.line))
		return
	}
	text := o.redact.text(o.line, maxLine)
	if len(text) > o.budget { // cut as a long line is
		kept := beginning(text, o.budget)
		o.dropped += int64(len(text) - len(kept))
		o.budget, text = 0, kept
		if text == "" {
			return
		}
	} else {
		o.budget -= len(text)
	}
	o.logger.Info("program output", "line", text)
}

// beginning returns the first bytes of a text, limit at most and no half of a character.
func beginning(text string, limit int) string {
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// close logs what follows the last newline, and how much was not logged.
func (o *output) close() {
	o.endLine()
	if o.dropped > 0 && !o.off {
		o.logger.Info("program output not logged", "bytes", o.dropped)
	}
}

// lastLine returns the last line that was not blank, for an error message.
func (o *output) lastLine() string { return o.redact.text(o.last, maxErrorLine) }
