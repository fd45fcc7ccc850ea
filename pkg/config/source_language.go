package config

import (
	"bytes"
	"encoding/json"
	"regexp"

	"cuelang.org/go/cue/parser"
)

// yamlOnly is what begins a line in YAML and in no CUE file: a comment, the beginning of a document, an apiVersion
// without quotes.
var yamlOnly = regexp.MustCompile(`(?m)^(#([ \t#].*)?|---.*|["']?apiVersion["']?:[ \t]+'?[a-z.]+/v.*)$`)

// languageByContent finds the language of a text that has no name to tell it by, as what comes from a pipe: JSON if it
// begins as an object of JSON does, else YAML if a line of it is YAML alone or it cannot be read as CUE, else CUE.
func languageByContent(data []byte) language {
	if json.Valid(data) {
		return languageJSON
	}
	if rest, ok := bytes.CutPrefix(bytes.TrimSpace(data), []byte("{")); ok && bytes.HasPrefix(bytes.TrimSpace(rest), []byte(`"`)) {
		return languageJSON
	}
	if yamlOnly.Match(data) {
		return languageYAML
	}
	if d, bad := checkNesting(&source{data: data}); bad && d.Message != "" {
		return languageCUE // which says so
	}
	if _, err := parser.ParseFile("", data); err != nil {
		if _, diags := parseYAML(&source{data: data}); len(diags) == 0 {
			return languageYAML
		}
	}
	return languageCUE
}
