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

// What a packed handling has, besides its times, cause and result.
const (
	hasAttempt = 1 << iota // another one than the first
	hasAgain
	hasChanged
	hasBy
	hasError
	hasWrites
)

// appendHandling packs a handling: with structs and pointers, it would take ten times as much, and
// the garbage collector would look at all of it.
func (h *History) appendHandling(to []byte, from *statusz.Handling) []byte {
	has := parts(from)
	to = append(to, has)
	to = appendWord(to, causes, from.Cause)
	to = appendWord(to, results, from.Result)
	to = binary.AppendVarint(to, from.Began.UnixMicro()-h.began.UnixMicro())
	to = binary.AppendVarint(to, int64(float64(from.Took)*1e6))
	if has&hasAttempt != 0 {
		to = binary.AppendUvarint(to, uint64(max(from.Attempt, 0)))
	}
	if has&hasAgain != 0 {
		to = binary.AppendVarint(to, from.Again.UnixMicro()-from.Began.UnixMicro())
	}
	if has&hasChanged != 0 {
		to = appendPaths(to, from.Changed, &h.paths)
	}
	if has&hasBy != 0 {
		to = appendText(to, from.By)
	}
	if has&hasError != 0 {
		to = appendText(to, from.Error)
	}
	if has&hasWrites != 0 {
		to = appendWrites(to, from.Writes, from.WritesTotal)
	}
	return to
}

// parts says what a handling has.
func parts(h *statusz.Handling) (has byte) {
	if h.Attempt != 1 {
		has |= hasAttempt
	}
	if !h.Again.IsZero() {
		has |= hasAgain
	}
	if len(h.Changed) > 0 {
		has |= hasChanged
	}
	if h.By != "" {
		has |= hasBy
	}
	if h.Error != "" {
		has |= hasError
	}
	if h.WritesTotal > 0 || len(h.Writes) > 0 {
		has |= hasWrites
	}
	return has
}

func appendPaths(to []byte, changed []string, paths *knownPaths) []byte {
	changed = changed[:min(len(changed), maxChanged)]
	to = binary.AppendUvarint(to, uint64(len(changed)))
	for _, path := range changed {
		number := paths.number(path)
		if to = binary.AppendUvarint(to, uint64(number)); number == 0 {
			to = appendText(to, path)
		}
	}
	return to
}

func appendWrites(to []byte, writes []statusz.Write, total int) []byte {
	to = binary.AppendUvarint(to, uint64(max(total, len(writes))))
	writes = writes[:min(len(writes), MaxWrites)]
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
	began int64    // of the history, in microseconds
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

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) text() string {
	n := min(r.uvarint(), len(r.rest))
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}

func (r *reader) word(known []string) string {
	i := int(r.byte())
	if i == 0 || i > len(known) {
		return r.text()
	}
	return known[i-1]
}

// handling reads one.
func (r *reader) handling() statusz.Handling {
	has := r.byte()
	h := statusz.Handling{Cause: r.word(causes), Result: r.word(results), Attempt: 1}
	began := r.began + r.varint()
	h.Began, h.Took = time.UnixMicro(began).UTC(), statusz.Seconds(float64(r.varint())/1e6)
	if has&hasAttempt != 0 {
		h.Attempt = r.uvarint()
	}
	if has&hasAgain != 0 {
		h.Again = time.UnixMicro(began + r.varint()).UTC()
	}
	if has&hasChanged != 0 {
		for range min(r.uvarint(), maxChanged) {
			h.Changed = append(h.Changed, r.path())
		}
	}
	if has&hasBy != 0 {
		h.By = r.text()
	}
	if has&hasError != 0 {
		h.Error = r.text()
	}
	if has&hasWrites != 0 {
		h.WritesTotal = r.uvarint()
		for range min(r.uvarint(), MaxWrites) {
			h.Writes = append(h.Writes, statusz.Write{Verb: r.word(verbs), Object: r.text(), Subresource: r.text(), Status: r.uvarint()})
		}
	}
	return h
}
