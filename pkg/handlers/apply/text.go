package apply

import (
	"strings"
	"unicode/utf8"

	"kooperd.dev/kooperd/pkg/expression"
)

// segment is a part of a string of a template: what stands there, or an expression.
type segment struct {
	literal string
	// expression is what stands within ${ and }, and offset where, in characters from the start of
	// the string. It is not empty if isExpression.
	expression   string
	offset       int
	isExpression bool
}

// parseText takes a string of a template apart. $${ stands for ${.
func parseText(text string) ([]segment, *expression.Mistake) {
	var all []segment
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			all = append(all, segment{literal: literal.String()})
			literal.Reset()
		}
	}
	for rest := text; rest != ""; {
		at := strings.Index(rest, "${")
		if at < 0 {
			literal.WriteString(rest)
			break
		}
		if at > 0 && rest[at-1] == '$' {
			literal.WriteString(rest[:at-1] + "${")
			rest = rest[at+len("${"):]
			continue
		}
		literal.WriteString(rest[:at])
		begin := rest[at:]
		end := endOf(begin[len("${"):])
		start := utf8.RuneCountInString(text[:len(text)-len(begin)])
		if end < 0 {
			return nil, &expression.Mistake{
				Offset: start, Message: "the expression after ${ is not closed", Hint: "close it with }, or write $${ for a ${ that is no expression",
			}
		}
		inner := begin[len("${") : len("${")+end]
		if strings.TrimSpace(inner) == "" {
			return nil, &expression.Mistake{Offset: start, Message: "the expression in ${} is empty", Hint: "write $${ for a ${ that is no expression"}
		}
		flush()
		all = append(all, segment{expression: inner, offset: start + len("${"), isExpression: true})
		rest = begin[len("${")+end+1:]
	}
	flush()
	return all, nil
}

// endOf returns where the } is that closes an expression, or -1. A brace within a string of CEL
// closes nothing.
func endOf(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\'':
			raw := i > 0 && (text[i-1] == 'r' || text[i-1] == 'R')
			if i = endOfString(text, i, raw); i < 0 {
				return -1
			}
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}

// endOfString returns where the last quote of a string of CEL is that begins at a quote, or -1.
func endOfString(text string, at int, raw bool) int {
	quote := text[at : at+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(text[at:], triple) {
		quote = triple
	}
	for i := at + len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\' && !raw:
			i++
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote) - 1
		}
	}
	return -1
}
