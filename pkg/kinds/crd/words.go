package crd

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
)

// decode reads JSON with whole numbers as int64.
func decode(text []byte, into any) error { return json.Unmarshal(text, into) }

// Decode reads an openAPIV3Schema: whole numbers are int64, others float64.
func Decode(text []byte) (map[string]any, error) {
	var schema map[string]any
	if err := decode(text, &schema); err != nil {
		return nil, fmt.Errorf("reading a schema: %w", err)
	}
	return schema, nil
}

// form is what a word of schemas has as its value.
type form string

const (
	aText    form = "a text"
	aNumber  form = "a number"
	aCount   form = "a whole number from 0 on"
	aBool    form = "true or false"
	onlyTrue form = "true"
	aPattern form = "a regular expression"
	aSchema  form = "a schema"
	schemas  form = "a list of schemas"
	fields   form = "an object with a schema for each name"
	names    form = "a list of names"
	values   form = "a list with at least one value"
	anything form = "any value"
	aMap     form = "a schema, or true"
	rules    form = "a list of rules"
)

// words are those of structural schemas.
var words = map[string]form{
	"type": aText, "format": aText, "title": aText, "description": aText,
	"default": anything, "example": anything, "externalDocs": anything, "enum": values,
	"maximum": aNumber, "minimum": aNumber, "exclusiveMaximum": aBool, "exclusiveMinimum": aBool, "multipleOf": aNumber,
	"maxLength": aCount, "minLength": aCount, "pattern": aPattern, "maxItems": aCount, "minItems": aCount, "uniqueItems": aBool,
	"maxProperties": aCount, "minProperties": aCount, "required": names, "nullable": aBool,
	"items": aSchema, "not": aSchema, "properties": fields, additional: aMap, "allOf": schemas, "anyOf": schemas, "oneOf": schemas,
	preserve: onlyTrue, intOrString: aBool, embedded: aBool, listType: aText, listMapKeys: names, mapType: aText, validations: rules,
}

// choices are the values of words that have but a few.
var choices = map[string][]string{
	"type":   {"array", "boolean", "integer", "number", "object", "string"},
	listType: {"atomic", "map", "set"},
	mapType:  {"atomic", "granular"},
}

// words reports what no schema says, and what is said in a wrong way.
func (c *checker) words(at []string, s map[string]any) {
	for _, word := range slices.Sorted(maps.Keys(s)) {
		want, known := words[word]
		place := below(at, word)
		hint, isForeign := foreign[word]
		switch {
		case isForeign:
			c.reportKey(place, "is not for the schemas of custom kinds", hint)
		case !known:
			c.reportKey(place, "is no word of a schema", wordHint(word))
		default:
			c.word(place, word, want, s[word])
		}
	}
}

// wordHint finds the word that was meant.
func wordHint(word string) string {
	for _, known := range slices.Sorted(maps.Keys(words)) {
		if strings.EqualFold(known, word) || strings.EqualFold(strings.TrimPrefix(known, "x-kubernetes-"), word) {
			return fmt.Sprintf("did you mean %q?", known)
		}
	}
	return "the names of fields stand below properties"
}

// word checks the value of one word.
func (c *checker) word(place []string, word string, want form, value any) {
	good := true
	switch want {
	case aText, aPattern:
		text, ok := value.(string)
		good = ok
		if _, err := regexp.Compile(text); ok && want == aPattern && err != nil {
			c.report(place, "is no regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "")
		}
		if known := choices[word]; ok && known != nil && !slices.Contains(known, text) {
			c.report(place, fmt.Sprintf("want %s or %s, have %q", strings.Join(known[:len(known)-1], ", "), known[len(known)-1], text), typeSynonyms[text])
		}
	case aNumber:
		_, good = number(value)
	case aCount:
		n, ok := value.(int64)
		good = ok && n >= 0
	case aBool:
		_, good = value.(bool)
	case onlyTrue:
		good = isTrue(value)
	case aSchema:
		good = object(value) != nil
	case aMap:
		_, isBool := value.(bool)
		good = isBool || object(value) != nil
	case schemas, rules:
		good = each(list(value), func(v any) bool { return object(v) != nil })
	case fields:
		for _, name := range slices.Sorted(maps.Keys(object(value))) {
			if object(object(value)[name]) == nil {
				c.report(below(place, name), "want a schema, have something else", "write {type: …}")
			}
		}
		good = object(value) != nil
	case names:
		good = value != nil && each(list(value), func(v any) bool { _, ok := v.(string); return ok })
	case values:
		good = len(list(value)) > 0
	case anything:
	}
	if !good {
		c.report(place, "want "+string(want), "")
	}
}

// typeSynonyms are types of other languages.
var typeSynonyms = map[string]string{
	"int": `did you mean "integer"?`, "float": `did you mean "number"?`, "double": `did you mean "number"?`, "bool": `did you mean "boolean"?`,
	"map": `did you mean "object"?`, "struct": `did you mean "object"?`, "list": `did you mean "array"?`, "str": `did you mean "string"?`,
}

func each(all []any, holds func(any) bool) bool {
	return all != nil && !slices.ContainsFunc(all, func(v any) bool { return !holds(v) })
}

// number returns decoded JSON as a number.
func number(value any) (float64, bool) {
	switch n := value.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	default:
		return 0, false
	}
}

// isTrue reports whether decoded JSON is true.
func isTrue(value any) bool {
	b, ok := value.(bool)
	return ok && b
}

// isFalse reports whether decoded JSON is false.
func isFalse(value any) bool {
	b, ok := value.(bool)
	return ok && !b
}
