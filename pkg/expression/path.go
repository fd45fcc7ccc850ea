package expression

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Path leads from the root of an object to a field: the names of fields, and at its end perhaps a
// key of a map such as metadata.annotations.
type Path []string

// ParsePath reads a path: names that are separated by dots. A name that holds anything but letters,
// digits, '-', '_', '$' and '/' stands in double quotes, in which \" and \\ stand for themselves.
// The error of a text that is none is a *Mistake.
func ParsePath(text string) (Path, error) {
	switch {
	case text == "":
		return nil, &Mistake{Message: "names no field", Hint: `want a path such as "status" or "metadata.annotations"`}
	case strings.TrimSpace(text) != text && strings.TrimSpace(text) != "":
		offset := 0
		if trimmed := strings.TrimRightFunc(text, unicode.IsSpace); trimmed != text {
			offset = utf8.RuneCountInString(trimmed)
		}
		return nil, &Mistake{Offset: offset, Message: "a blank is no part of it", Hint: suggest(strings.TrimSpace(text))}
	case strings.HasPrefix(text, ".") || strings.HasPrefix(text, "$."):
		return nil, &Mistake{Message: "paths begin with the name of a field", Hint: suggest(strings.TrimLeft(text, "$."))}
	case strings.HasPrefix(text, "/"):
		return nil, &Mistake{Message: "paths begin with the name of a field", Hint: suggest(strings.ReplaceAll(strings.Trim(text, "/"), "/", "."))}
	}
	var p Path
	for rest := text; ; {
		offset := utf8.RuneCountInString(text[:len(text)-len(rest)])
		name, after, mistake := parseName(rest)
		if mistake != nil {
			mistake.Offset += offset
			if dotted := inBrackets.ReplaceAllStringFunc(text, dotted); dotted != text && mistake.Message == noLists {
				mistake.Message, mistake.Hint = "names follow a dot and do not stand in brackets", suggest(dotted)
			}
			return nil, mistake
		}
		p = append(p, name)
		if after == "" {
			return p, nil
		}
		rest = after[1:] // the dot
	}
}

// inBrackets is a name as JavaScript, CEL and JSONPath write it.
var inBrackets = regexp.MustCompile(`\[('[^']*'|"[^"]*")\]`)

// dotted rewrites a name in brackets.
func dotted(name string) string { return "." + Path{name[2 : len(name)-2]}.String() }

// noLists is what is wrong with an index.
const noLists = "paths do not lead into lists"

// suggest is the hint of a path that was written in another language.
func suggest(text string) string {
	if p, err := ParsePath(text); err == nil {
		if text := p.String(); strings.Contains(text, `"`) {
			return fmt.Sprintf("did you mean %s?", text)
		}
		return fmt.Sprintf("did you mean %q?", p)
	}
	return ""
}

// parseName reads the first name of a text and returns what follows, which is empty or begins with
// a dot.
func parseName(text string) (name, rest string, mistake *Mistake) {
	if strings.HasPrefix(text, `"`) {
		return parseQuoted(text)
	}
	end := strings.IndexFunc(text, func(r rune) bool { return !plain(r) })
	if end < 0 {
		end = len(text)
	}
	switch name, rest = text[:end], text[end:]; {
	case name == "" && (rest == "" || rest[0] == '.'):
		return "", "", &Mistake{Message: "a name is missing at a dot", Hint: "put a name with dots in it in quotes"}
	case rest == "" || rest[0] == '.':
		return name, rest, nil
	case rest[0] == '[':
		return "", "", &Mistake{Offset: utf8.RuneCountInString(name), Message: noLists, Hint: "a list is compared as a whole: name the list"}
	default:
		r, _ := utf8.DecodeRuneInString(rest)
		return "", "", &Mistake{Offset: utf8.RuneCountInString(name), Message: fmt.Sprintf("%q cannot stand here", r), Hint: "put a name with such characters in it in quotes"}
	}
}

// parseQuoted reads a name in quotes.
func parseQuoted(text string) (name, rest string, mistake *Mistake) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		case c == '"':
			switch rest = text[i+1:]; {
			case b.Len() == 0:
				return "", "", &Mistake{Message: "a name in quotes is empty"}
			case rest != "" && rest[0] != '.':
				return "", "", &Mistake{Offset: utf8.RuneCountInString(text[:i+1]), Message: "want a dot after a name in quotes"}
			}
			return b.String(), rest, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", &Mistake{Message: "the quotes are not closed"}
}

// plain reports whether a character needs no quotes. A slash needs none, as it has no meaning here
// and stands in the names of many annotations and labels.
func plain(r rune) bool {
	return r == '-' || r == '_' || r == '$' || r == '/' || r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// escapes writes what stands between double quotes.
var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// String returns the path as ParsePath reads it.
func (p Path) String() string {
	size := 0
	for _, name := range p {
		size += len(name) + len(`."`+`"`)
	}
	var text strings.Builder
	text.Grow(size)
	for i, name := range p {
		if i > 0 {
			text.WriteByte('.')
		}
		foreign := i == 0 && (strings.HasPrefix(name, "/") || name == "$" && len(p) > 1) // It would look like another language.
		if name != "" && !foreign && !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
			text.WriteString(name)
			continue
		}
		text.WriteByte('"')
		text.WriteString(escapes.Replace(name))
		text.WriteByte('"')
	}
	return text.String()
}

// Mistake is what is wrong with a path or an expression.
type Mistake struct {
	// Offset is where in the text, in characters from 0.
	Offset int
	// Message says what is wrong.
	Message string
	// Hint says what would be right, when that is known.
	Hint string
	// Unknown is a name that means nothing, and Known are those that do, sorted; both are empty for
	// other mistakes. Within is the path of the field that has the names, when Unknown ends a path.
	Unknown string
	Known   []string
	Within  Path
}

// Error returns the message alone.
func (m *Mistake) Error() string { return m.Message }
