package syntax

import (
	"bytes"
	"encoding/json"
	"regexp"

	"cuelang.org/go/cue/parser"
)

// yamlOnly is what begins a line in YAML and in no CUE file: a comment, the beginning of a
// document, an apiVersion without quotes.
var yamlOnly = regexp.MustCompile(`(?m)^(#([ \t#].*)?|---.*|["']?apiVersion["']?:[ \t]+'?[a-z.]+/v.*)$`)

// languageByContent finds the language of a text that has no name to tell it by, as what comes from
// a pipe: JSON if it begins as an object of JSON does, else YAML if a line of it is YAML alone or
// it cannot be read as CUE, else CUE.
func languageByContent(data []byte) Language {
	if json.Valid(data) {
		return JSON
	}
	if rest, ok := bytes.CutPrefix(bytes.TrimSpace(data), []byte("{")); ok && bytes.HasPrefix(bytes.TrimSpace(rest), []byte(`"`)) {
		return JSON
	}
	if yamlOnly.Match(data) {
		return YAML
	}
	if d, bad := checkNesting(&Source{Data: data}); bad && d.Message != "" {
		return CUE // which says so
	}
	if _, err := parser.ParseFile("", data); err != nil {
		if _, diags := ParseYAML(&Source{Data: data}); len(diags) == 0 {
			return YAML
		}
	}
	return CUE
}
