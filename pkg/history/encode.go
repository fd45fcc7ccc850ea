package history

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

// The words that most handlings have. One that is not among them is written out.
var (
	causes  = []string{"change", "retry", "requeue", "resync", "initial"}
	results = []string{"done", "requeue", "retry", "terminal", "panic", "cancelled", "exhausted"}
	verbs   = []string{"patch", "create", "update", "delete", "deletecollection"}
)

// The bounds of one handling.
const (
	maxChanged = 8
	// MaxWrites is how many writes of a handling are kept.
	MaxWrites = 16
	maxText   = 512 // bytes of anything

	maxKnownPaths = 256
	maxKnownPath  = 128 // bytes
)

// appendHandling appends a handling, encoded: with structs and pointers, it would take five times
// as much, and the garbage collector would look at all of it.
func appendHandling(to []byte, h statusz.Handling, paths *knownPaths) []byte {
	to = binary.AppendVarint(to, h.Began.UnixMicro())
	to = binary.AppendVarint(to, int64(float64(h.Took)*1e6))
	to = appendWord(to, causes, h.Cause)
	to = binary.AppendUvarint(to, uint64(max(h.Attempt, 0)))
	to = appendWord(to, results, h.Result)
	again := int64(0)
	if !h.Again.IsZero() {
		again = max(h.Again.UnixMicro()-h.Began.UnixMicro(), 1)
	}
	to = binary.AppendVarint(to, again)
	changed := h.Changed[:min(len(h.Changed), maxChanged)]
	to = binary.AppendUvarint(to, uint64(len(changed)))
	for _, path := range changed {
		number := paths.number(path)
		if to = binary.AppendUvarint(to, uint64(number)); number == 0 {
			to = appendText(to, path)
		}
	}
	to = appendText(to, h.By)
	to = appendText(to, h.Error)
	to = binary.AppendUvarint(to, uint64(max(h.WritesTotal, len(h.Writes))))
	writes := h.Writes[:min(len(h.Writes), MaxWrites)]
	to = binary.AppendUvarint(to, uint64(len(writes)))
	for _, w := range writes {
		to = appendWord(to, verbs, w.Verb)
		to = appendText(to, w.Object)
		to = appendText(to, w.Subresource)
		to = binary.AppendUvarint(to, uint64(max(w.Status, 0)))
	}
	return to
}

// appendWord appends the place of a word among those that are known, from 1, or 0 and the word.
func appendWord(to []byte, known []string, word string) []byte {
	if i := slices.Index(known, word); i >= 0 {
		return append(to, byte(i+1))
	}
	return appendText(append(to, 0), word)
}

// appendText appends a text with its length, cut off where it is too long.
func appendText(to []byte, text string) []byte {
	if len(text) > maxText {
		const mark = "…"
		text = strings.ToValidUTF8(text[:maxText-len(mark)], "") + mark
	}
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

// knownPaths are paths that are written as numbers: mostly it is the same few fields that change.
// They are known for as long as the history is, so there are not many of them. They are not counted
// against the limit; it would take some 50 kB more at the most.
type knownPaths struct {
	numbers map[string]int // from 1
	texts   []string       // is only appended to
}

// number returns the number of a path, or 0 if it has to be written out.
func (p *knownPaths) number(path string) int {
	if n := p.numbers[path]; n > 0 || len(p.texts) >= maxKnownPaths || len(path) > maxKnownPath {
		return n
	}
	if p.numbers == nil {
		p.numbers = map[string]int{}
	}
	p.texts = append(p.texts, path)
	p.numbers[path] = len(p.texts)
	return len(p.texts)
}

// reader reads what appendHandling has written. After damage, which there is none of, all is empty.
type reader struct {
	rest  []byte
	paths []string // by their numbers, from 1
}

// path reads a path.
func (r *reader) path() string {
	if n := r.uvarint(); n > 0 && n <= len(r.paths) {
		return r.paths[n-1]
	}
	return r.text()
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) uvarint() int {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return max(int(v), 0)
}

func (r *reader) skip(n int) {
	if n <= 0 || n > len(r.rest) {
		r.rest = nil
		return
	}
	r.rest = r.rest[n:]
}

func (r *reader) text() string {
	n := min(r.uvarint(), len(r.rest))
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

func (r *reader) word(known []string) string {
	if len(r.rest) == 0 {
		return ""
	}
	i := int(r.rest[0])
	r.rest = r.rest[1:]
	if i == 0 || i > len(known) {
		return r.text()
	}
	return known[i-1]
}

// handling reads one.
func (r *reader) handling() statusz.Handling {
	began := r.varint()
	h := statusz.Handling{Began: time.UnixMicro(began).UTC(), Took: statusz.Seconds(float64(r.varint()) / 1e6)}
	h.Cause = r.word(causes)
	h.Attempt = r.uvarint()
	h.Result = r.word(results)
	if again := r.varint(); again > 0 {
		h.Again = time.UnixMicro(began + again).UTC()
	}
	for range min(r.uvarint(), maxChanged) {
		h.Changed = append(h.Changed, r.path())
	}
	h.By, h.Error, h.WritesTotal = r.text(), r.text(), r.uvarint()
	for range min(r.uvarint(), MaxWrites) {
		h.Writes = append(h.Writes, statusz.Write{Verb: r.word(verbs), Object: r.text(), Subresource: r.text(), Status: r.uvarint()})
	}
	return h
}
