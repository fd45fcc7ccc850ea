package config

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"
)

// textPosition returns where in the files a character of a string stands, or the string itself when that cannot be told: it
// is not written as one literal there.
func (d *document) textPosition(at path, text string, offset int) Position {
	if v := d.lookup(at); v.Exists() {
		for _, part := range append([]cue.Value{v}, conjuncts(v)...) {
			if pos, ok := d.inLiteral(valuePos(part), text, offset); ok {
				return pos
			}
		}
	}
	return d.valuePosition(at)
}

// inLiteral looks for a character of a string in the literal at a place.
func (d *document) inLiteral(p token.Pos, text string, offset int) (Position, bool) {
	if !p.IsValid() {
		return Position{}, false
	}
	src, ok := d.files[p.Filename()]
	if !ok || src.name == schemaName || p.Offset() > len(src.data) {
		return Position{}, false
	}
	l, start := openLiteral(src.data[p.Offset():], src.language)
	l.at = start
	within, ok := l.find([]rune(text), offset)
	if !ok {
		return Position{}, false
	}
	return positionAt(src.name, src.data, p.Offset()+within), true
}

// spelling is the source of a string, whatever the language and the style. It is compared with the string it stands for
// character by character. Blanks are the exception: of a run of them in the string it is only wanted that the source has
// some, because the styles with several lines fold and indent in many ways.
type spelling struct {
	source  []byte
	at      int
	escape  string // what an escape begins with; empty when there are none
	doubled bool   // a quote is written as two
}

// openLiteral reads the beginning of a literal and returns where its text begins.
func openLiteral(source []byte, in language) (*spelling, int) {
	l := &spelling{source: source}
	if in != languageYAML {
		hashes := len(source) - len(bytes.TrimLeft(source, "#"))
		l.escape = `\` + strings.Repeat("#", hashes)
		quotes := 1
		if bytes.HasPrefix(source[hashes:], []byte(`"""`)) {
			quotes = 3
		}
		start := min(hashes+quotes, len(source))
		if quotes == 3 {
			return l, start + blanks(source[start:])
		}
		return l, start
	}
	switch {
	case bytes.HasPrefix(source, []byte(`"`)):
		l.escape = `\`
		return l, 1
	case bytes.HasPrefix(source, []byte("'")):
		l.doubled = true
		return l, 1
	case bytes.HasPrefix(source, []byte("|")) || bytes.HasPrefix(source, []byte(">")):
		header, _, _ := bytes.Cut(source, []byte("\n"))
		return l, len(header) + blanks(source[len(header):])
	default:
		return l, 0
	}
}

// blanks is how many bytes at the beginning of a text are blank.
func blanks(text []byte) int {
	return len(text) - len(bytes.TrimLeft(text, " \t\r\n"))
}

// find returns where in the source a character of the text stands. It is false when source and text are not the same.
func (l *spelling) find(text []rune, offset int) (int, bool) {
	found := l.at
	for i := 0; i < len(text); {
		if unicode.IsSpace(text[i]) {
			before := l.at
			if !l.skipBlanks() {
				return 0, false
			}
			for ; i < len(text) && unicode.IsSpace(text[i]); i++ {
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
	if offset >= len(text) {
		found = l.at
	}
	return found, true
}

// skipBlanks passes blanks, escaped ones included, and tells whether there were any.
func (l *spelling) skipBlanks() bool {
	start := l.at
	for l.at < len(l.source) {
		l.skipContinuation()
		n := blanks(l.source[l.at:])
		if l.at += n; n > 0 {
			continue
		}
		rest := l.source[l.at:]
		if l.escape == "" || !bytes.HasPrefix(rest, []byte(l.escape)) || len(rest) == len(l.escape) || !bytes.ContainsRune([]byte("ntr "), rune(rest[len(l.escape)])) {
			break
		}
		l.at += len(l.escape) + 1
	}
	return l.at > start
}

// skipContinuation passes an escaped line break, which stands for nothing.
func (l *spelling) skipContinuation() {
	if rest := l.source[l.at:]; l.escape != "" && bytes.HasPrefix(rest, []byte(l.escape+"\n")) {
		l.at += len(l.escape)
		l.at += blanks(l.source[l.at:])
	}
}

// next reads one character of the text.
func (l *spelling) next() (rune, bool) {
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

// escaped reads what follows the beginning of an escape.
func (l *spelling) escaped(rest []byte) (rune, bool) {
	if len(rest) == 0 {
		return 0, false
	}
	l.at += len(l.escape) + 1
	switch c := rest[0]; c {
	case '"', '\\', '/', '\'':
		return rune(c), true
	case 'x', 'u', 'U':
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		if len(rest) <= digits {
			return 0, false
		}
		l.at += digits
		n, err := strconv.ParseUint(string(rest[1:1+digits]), 16, 32)
		return rune(n), err == nil
	default:
		return 0, false
	}
}
