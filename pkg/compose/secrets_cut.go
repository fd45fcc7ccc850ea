package compose

import "strings"

// span is a part of a text.
type span struct{ from, to int }

const (
	// cutMark is where something was left out.
	cutMark = "…"
	// cutMarks may stand behind a text that was cut off, and before one.
	cutMarks = "." + cutMark + "\"' "
)

// appendCut appends the parts of a text that are the beginning or the end of a secret, because the
// text was cut in it.
func appendCut(spans []span, text, secret string) []span {
	before := func(end int) {
		end = len(strings.TrimRight(text[:end], cutMarks))
		if n := cutOff(text[:end], secret); n > 0 {
			spans = append(spans, span{end - n, end})
		}
	}
	before(len(text))
	for at := 0; ; {
		i := strings.Index(text[at:], cutMark)
		if i < 0 {
			return spans
		}
		before(at + i)
		at += i + len(cutMark)
		from := len(text) - len(strings.TrimLeft(text[at:], cutMarks))
		if n := cutOn(text[from:], secret); n > 0 {
			spans = append(spans, span{from, from + n})
		}
	}
}

// cutOff returns with how many bytes of a secret a text ends that was cut off in it; 0 for none.
func cutOff(text, secret string) int {
	for n := min(len(text), len(secret)-1); n >= leastSecret; n-- {
		if text[len(text)-n:] == secret[:n] {
			return n
		}
	}
	return 0
}

// cutOn returns with how many bytes of a secret a text begins; 0 for none.
func cutOn(text, secret string) int {
	for n := min(len(text), len(secret)-1); n >= leastSecret; n-- {
		if text[:n] == secret[len(secret)-n:] {
			return n
		}
	}
	return 0
}
