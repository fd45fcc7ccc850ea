package structural

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// attributes adds what is said in attributes, as CUE has no words for it:
//
//	@format(NAME)            the format of a text or a number
//	@list(atomic|set)        how lists are merged
//	@list(map, KEY, …)       the same, by the fields that tell the entries apart
//	@map(atomic|granular)    how objects are merged
//	@embeddedResource()      a whole object within this one
func (w *walker) attributes(v cue.Value, at diagnostic.Path, schema map[string]any) {
	for _, attribute := range v.Attributes(cue.ValueAttr) {
		var words []string
		for i := range attribute.NumArgs() {
			word, err := attribute.String(i)
			if err != nil {
				word = strings.TrimSpace(attribute.RawArg(i))
			}
			words = append(words, word)
		}
		switch name := attribute.Name(); name {
		case "format":
			w.format(v, at, schema, words)
		case "list":
			w.listType(v, at, schema, words)
		case "map":
			if len(words) != 1 || words[0] != "atomic" && words[0] != "granular" || schema["type"] != "object" {
				w.refuse(v, at, "want @map(atomic) or @map(granular) at an object", "")
				continue
			}
			schema["x-kubernetes-map-type"] = words[0]
		case "embeddedResource":
			if schema["type"] != "object" {
				w.refuse(v, at, "@embeddedResource is for objects", "")
				continue
			}
			schema["x-kubernetes-embedded-resource"] = true
		}
	}
}

func (w *walker) format(v cue.Value, at diagnostic.Path, schema map[string]any, words []string) {
	if len(words) != 1 || words[0] == "" {
		w.refuse(v, at, "want @format(NAME), such as @format(date-time)", "")
		return
	}
	if schema["type"] != "string" && schema["type"] != "integer" && schema["type"] != "number" {
		w.refuse(v, at, fmt.Sprintf("@format(%s) is for strings and numbers", words[0]), "")
		return
	}
	schema["format"] = words[0]
}

func (w *walker) listType(v cue.Value, at diagnostic.Path, schema map[string]any, words []string) {
	isMap := len(words) > 1 && words[0] == "map"
	if schema["type"] != "array" || !isMap && (len(words) != 1 || words[0] != "set" && words[0] != "atomic") {
		w.refuse(v, at, "want @list(set), @list(atomic) or @list(map, KEY) at a list", "")
		return
	}
	schema["x-kubernetes-list-type"] = words[0]
	if isMap {
		keys := make([]any, len(words)-1)
		for i, key := range words[1:] {
			keys[i] = key
		}
		schema["x-kubernetes-list-map-keys"] = keys
	}
}
