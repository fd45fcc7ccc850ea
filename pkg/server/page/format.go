package page

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	"kooperd.dev/kooperd/pkg/statusz"
)

const none = statusz.None

// age is how long before now a moment was, as kubectl writes it; or how long after, which is for
// ago to say.
func age(now, t time.Time) string {
	if t.IsZero() || now.IsZero() {
		return none
	}
	return duration.HumanDuration(now.Sub(t).Abs())
}

// ago says when a moment was, or will be.
func ago(now, t time.Time) string {
	switch {
	case t.IsZero() || now.IsZero():
		return none
	case t.After(now):
		return "in " + age(now, t)
	default:
		return age(now, t) + " ago"
	}
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// number separates thousands.
func number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// clean replaces what is invisible in a text from elsewhere, or would make it look like another:
// control characters, and those that change the direction of writing.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return utf8.RuneError
		}
		return r
	}, text)
}

// short is a text of at most n characters.
func short(text string, n int) string {
	text = clean(text)
	if len(text) <= n || utf8.RuneCountInString(text) <= n {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:n-1]), " ") + "…"
}

// shortHash is enough of a hash to tell one from another.
func shortHash(hash string) string {
	hash = clean(hash)
	if _, digits, ok := strings.Cut(hash, ":"); ok {
		hash = digits
	}
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}

// plural is a number with what is counted, of which many is the plural.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%s %s", number(n), many)
}

// words writes a name such as notReady as words.
func words(name string) string {
	var b strings.Builder
	for _, r := range clean(name) {
		if unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.TrimSpace(b.String())
}

// join lists words.
func join[T ~string](words []T) string {
	texts := make([]string, 0, len(words))
	for _, word := range words {
		texts = append(texts, string(word))
	}
	return strings.Join(texts, ", ")
}
