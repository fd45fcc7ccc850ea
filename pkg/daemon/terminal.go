package daemon

import (
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// clearLine clears what is right of the cursor (ECMA-48).
const clearLine = "\x1b[K"

// terminal is what is known of where a command writes. The zero value is a file or a pipe.
type terminal struct {
	is     bool
	colors bool
	// width and height are in characters; 0 where they are not known.
	width, height int
}

// newTerminal looks at w. NO_COLOR and TERM=dumb turn colors off.
func newTerminal(w io.Writer) terminal {
	file, ok := w.(*os.File)
	if !ok || !isTerminal(w) {
		return terminal{}
	}
	t := terminal{is: os.Getenv("TERM") != "dumb", colors: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, height, err := term.GetSize(int(file.Fd())); err == nil {
		t.width, t.height = width, height
	}
	return t
}

// cut shortens a text to a width, and shows that it did.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width <= 0 {
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}
