package compose

import (
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// wordingOf is the same for messages that differ in numbers alone: they are mostly of the single
// call. What is named with a number, as page1, is another thing than page2.
func wordingOf(message string) uint64 {
	sum := fnv.New64a()
	for _, word := range constantWords(message) {
		_, _ = sum.Write([]byte(word + " ")) // It never fails.
	}
	return sum.Sum64()
}

// constantWords are the words of a message that are no numbers.
func constantWords(message string) []string {
	return slices.DeleteFunc(strings.Fields(message), isNumber)
}

var (
	// digits are a number, several of them, an address with a port, or a day.
	digits = regexp.MustCompile(`^\d[\d.,:;/\[\]<>+-]*$`)
	// measure is a number with a unit, and a duration with several.
	measure = regexp.MustCompile(`^(\d[\d.,]*([num\x{b5}\x{3bc}]?s|[mhdb]|[kKMGTPE]i?[bB]?|B|e[+-]?\d+|bytes))+$`)
	// moment is a time with its day.
	moment = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)?$`)
	// hexadecimal is a UID, a hash or an address in memory. Short ones may be names.
	hexadecimal = regexp.MustCompile(`^(0x[0-9a-fA-F]+|[0-9a-fA-F][0-9a-fA-F-]{6,}[0-9a-fA-F])$`)
)

// isNumber reports whether a word is a number or a quantity, whatever is around it.
func isNumber(word string) bool {
	if !strings.ContainsFunc(word, unicode.IsDigit) {
		return false
	}
	word = strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, form := range []*regexp.Regexp{digits, measure, moment, hexadecimal} {
		if form.MatchString(word) {
			return true
		}
	}
	return false
}
