package diagnostic

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxQuoted is how many characters of a value a message repeats.
const MaxQuoted = 60

// Quote prints a text in quotes, cut when it is long.
func Quote(s string) string {
	return strconv.Quote(Cut(s))
}

// Cut shortens a text that is too long to repeat.
func Cut(s string) string {
	if utf8.RuneCountInString(s) > MaxQuoted {
		s = string([]rune(s)[:MaxQuoted-1]) + "…"
	}
	return s
}

// OneLine keeps a text on one line and free of control characters: what a file says must not steer
// the terminal.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}

// Listing joins words as a sentence does: a, b or c.
func Listing(words []string, last string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}
