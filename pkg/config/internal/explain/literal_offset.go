package explain

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/syntax"
)

// TextPosition returns where in the files a character of a string stands; one behind the last that
// is no blank is the place behind that. It is the place of the string itself, and false, when that
// cannot be known: it is not written as one literal.
func (d *Document) TextPosition(at diagnostic.Path, text string, offset int) (diagnostic.Position, bool) {
	if v := d.Lookup(at); v.Exists() {
		for _, part := range append([]cue.Value{v, cue.Dereference(v)}, Conjuncts(v)...) {
			if pos, ok := d.inLiteral(valuePos(part), text, offset); ok {
				return pos, true
			}
		}
	}
	return d.ValuePosition(at), false
}

// inLiteral looks for a character of a string in the literal at a place.
func (d *Document) inLiteral(p token.Pos, text string, offset int) (diagnostic.Position, bool) {
	if !p.IsValid() {
		return diagnostic.Position{}, false
	}
	src, ok := d.Files[p.Filename()]
	if !ok || src.Name == syntax.SchemaName || p.Offset() > len(src.Data) {
		return diagnostic.Position{}, false
	}
	l := openLiteral(src.Data[p.Offset():], src.Language)
	within, ok := l.find([]rune(text), offset)
	if !ok {
		return diagnostic.Position{}, false
	}
	return syntax.PositionAt(src.Name, src.Data, p.Offset()+within), true
}

// literalOffset finds a place inside a string in its source, whatever the language and the style,
// so that a mistake in an expression has a line and a column of the file. It is compared with the
// string it stands for character by character. Blanks are the exception: of a run of them in the
// string it is only wanted that the source has some, because the styles with several lines fold and
// indent in many ways.
type literalOffset struct {
	source  []byte
	at      int
	escape  string // what an escape begins with; empty when there are none
	doubled bool   // a quote is written as two
	lines   bool   // the text begins on a line of its own, after blanks that are no part of it
}

// openLiteral reads the beginning of a literal.
func openLiteral(source []byte, in syntax.Language) *literalOffset {
	l := &literalOffset{source: source}
	if in != syntax.YAML {
		hashes := len(source) - len(bytes.TrimLeft(source, "#"))
		l.escape = `\` + strings.Repeat("#", hashes)
		quotes := 1
		if bytes.HasPrefix(source[hashes:], []byte(`"""`)) || bytes.HasPrefix(source[hashes:], []byte("'''")) {
			quotes, l.lines = 3, true
		}
		l.at = min(hashes+quotes, len(source))
		return l
	}
	l.at = properties(source)
	switch rest := source[l.at:]; {
	case bytes.HasPrefix(rest, []byte(`"`)):
		l.escape = `\`
		l.at++
	case bytes.HasPrefix(rest, []byte("'")):
		l.doubled = true
		l.at++
	case bytes.HasPrefix(rest, []byte("|")) || bytes.HasPrefix(rest, []byte(">")):
		header, _, _ := bytes.Cut(rest, []byte("\n"))
		l.lines = true
		l.at += len(header)
	}
	return l
}

// properties is how long the anchor and the tag of a YAML value are, with the blanks behind them.
func properties(source []byte) int {
	at := 0
	for at < len(source) && (source[at] == '&' || source[at] == '!') {
		end := bytes.IndexAny(source[at:], " \t\n")
		if end < 0 {
			break
		}
		at += end
		at += blanks(source[at:])
	}
	return at
}

// blanks is how many bytes at the beginning of a text are blank.
func blanks(text []byte) int {
	return len(text) - len(bytes.TrimLeftFunc(text, unicode.IsSpace))
}

// find returns where in the source a character of the text stands. It is false when source and text
// are not the same.
func (l *literalOffset) find(text []rune, offset int) (int, bool) {
	end := len(text)
	for end > 0 && unicode.IsSpace(text[end-1]) {
		end--
	}
	if l.lines && end > 0 && !unicode.IsSpace(text[0]) {
		l.at += blanks(l.source[l.at:])
	}
	found := l.at
	for i := 0; i < end; {
		if unicode.IsSpace(text[i]) {
			before := l.at
			if !l.skipBlanks() {
				return 0, false
			}
			for ; unicode.IsSpace(text[i]); i++ {
				if i == offset {
					found = before
				}
			}
			continue
		}
		l.skipContinuation()
		if i == offset {
			found = l.at
		}
		if r, ok := l.next(); !ok || r != text[i] {
			return 0, false
		}
		i++
	}
	if offset >= end {
		found = l.at
	}
	return found, true
}

// skipBlanks passes blanks, escaped ones included, and reports whether there were any.
func (l *literalOffset) skipBlanks() bool {
	start := l.at
	for l.at < len(l.source) {
		l.skipContinuation()
		before := l.at
		if r, ok := l.next(); !ok || !unicode.IsSpace(r) {
			l.at = before
			break
		}
	}
	return l.at > start
}

// skipContinuation passes an escaped line break, which stands for nothing.
func (l *literalOffset) skipContinuation() {
	if rest := l.source[l.at:]; l.escape != "" && bytes.HasPrefix(rest, []byte(l.escape+"\n")) {
		l.at += len(l.escape)
		l.at += blanks(l.source[l.at:])
	}
}

// next reads one character of the text.
func (l *literalOffset) next() (rune, bool) {
	rest := l.source[l.at:]
	switch {
	case len(rest) == 0:
		return 0, false
	case l.escape != "" && bytes.HasPrefix(rest, []byte(l.escape)):
		return l.escaped(rest[len(l.escape):])
	case l.doubled && rest[0] == '\'':
		l.at += 2
		return '\'', bytes.HasPrefix(rest, []byte("''"))
	default:
		r, size := utf8.DecodeRune(rest)
		l.at += size
		return r, true
	}
}

// escapes are the characters that escapes of one letter stand for, in CUE, JSON or YAML. No letter
// means different characters in two of them.
var escapes = map[byte]rune{
	'"': '"', '\\': '\\', '/': '/', '\'': '\'', ' ': ' ', '\t': '\t',
	'a': '\a', 'b': '\b', 'e': 0x1b, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', '0': 0,
	'_': 0xa0, 'N': 0x85, 'L': 0x2028, 'P': 0x2029,
}

// escaped reads what follows the beginning of an escape.
func (l *literalOffset) escaped(rest []byte) (rune, bool) {
	if len(rest) == 0 {
		return 0, false
	}
	l.at += len(l.escape) + 1
	digits, ok := map[byte]int{'x': 2, 'u': 4, 'U': 8}[rest[0]]
	if !ok {
		r, ok := escapes[rest[0]]
		return r, ok
	}
	r, ok := hexadecimal(rest[1:], digits)
	l.at += digits
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	// JSON writes a character beyond 16 bits as two.
	second, ok := bytes.CutPrefix(l.source[min(l.at, len(l.source)):], []byte(l.escape+"u"))
	if !ok {
		return 0, false
	}
	low, ok := hexadecimal(second, 4)
	l.at += len(l.escape) + 5
	return utf16.DecodeRune(r, low), ok
}

// hexadecimal reads a number of so many digits.
func hexadecimal(text []byte, digits int) (rune, bool) {
	if len(text) < digits {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[:digits]), 16, 31)
	return rune(n), err == nil
}
