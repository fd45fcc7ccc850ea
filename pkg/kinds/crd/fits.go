package crd

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"unicode/utf8"
)

// checkDefaults reports defaults that the API server would refuse, as they are not values that the
// schema allows.
func (c *checker) checkDefaults(at []string, s map[string]any) {
	if value, ok := s["default"]; ok {
		if misfit := misfit(value, s); misfit != "" {
			c.report(below(at, "default"), misfit, "want a value that the schema allows")
		}
	}
	properties := object(s["properties"])
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		c.checkDefaults(below(at, "properties", name), object(properties[name]))
	}
	for _, word := range []string{"items", additional} {
		if inner := object(s[word]); inner != nil {
			c.checkDefaults(below(at, word), inner)
		}
	}
}

// misfit says why a value is none that a schema allows; "" if it is. It looks at what can be told
// without the code of the API server: neither at formats nor at rules.
func misfit(value any, s map[string]any) string {
	if value == nil {
		return "" // The API server drops it where it cannot stand.
	}
	if isTrue(s[intOrString]) {
		_, isInt := value.(int64)
		_, isText := value.(string)
		if !isInt && !isText {
			return "is neither a whole number nor a string"
		}
	} else if kind, ok := s["type"].(string); ok && !isOf(value, kind) {
		return "is not of type " + kind
	}
	if enum := list(s["enum"]); enum != nil && !slices.ContainsFunc(enum, func(v any) bool { return reflect.DeepEqual(v, value) }) {
		return fmt.Sprintf("%v is not in enum", value)
	}
	switch value := value.(type) {
	case string:
		return textMisfit(value, s)
	case int64, float64:
		n, _ := number(value)
		return numberMisfit(n, s)
	case []any:
		return listMisfit(value, s)
	case map[string]any:
		return objectMisfit(value, s)
	}
	return ""
}

func isOf(value any, kind string) bool {
	switch value := value.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case int64:
		return kind == "integer" || kind == "number"
	case float64:
		return kind == "number" || kind == "integer" && value == float64(int64(value))
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	}
	return false
}

func textMisfit(text string, s map[string]any) string {
	if pattern, ok := s["pattern"].(string); ok {
		if re, err := regexp.Compile(pattern); err == nil && !re.MatchString(text) {
			return fmt.Sprintf("%q does not match pattern", text)
		}
	}
	return countMisfit(utf8.RuneCountInString(text), s, "minLength", "maxLength", "characters")
}

func countMisfit(n int, s map[string]any, least, most, what string) string {
	if limit, ok := s[least].(int64); ok && int64(n) < limit {
		return fmt.Sprintf("has %d %s, and %s is %d", n, what, least, limit)
	}
	if limit, ok := s[most].(int64); ok && int64(n) > limit {
		return fmt.Sprintf("has %d %s, and %s is %d", n, what, most, limit)
	}
	return ""
}

func numberMisfit(n float64, s map[string]any) string {
	if limit, ok := number(s["minimum"]); ok && (n < limit || n == limit && isTrue(s["exclusiveMinimum"])) {
		return fmt.Sprintf("%v is below minimum", n)
	}
	if limit, ok := number(s["maximum"]); ok && (n > limit || n == limit && isTrue(s["exclusiveMaximum"])) {
		return fmt.Sprintf("%v is above maximum", n)
	}
	return ""
}

func listMisfit(entries []any, s map[string]any) string {
	for i, entry := range entries {
		if m := misfit(entry, object(s["items"])); m != "" {
			return index(i) + " " + m
		}
	}
	return countMisfit(len(entries), s, "minItems", "maxItems", "entries")
}

func objectMisfit(fields, s map[string]any) string {
	properties, entries := object(s["properties"]), object(s[additional])
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		of := entries
		if p := object(properties[name]); p != nil {
			of = p
		} else if of == nil && !isTrue(s[preserve]) && !isTrue(s[additional]) {
			return fmt.Sprintf("has a field %q, which the schema does not have", name)
		}
		if m := misfit(fields[name], of); m != "" {
			return name + " " + m
		}
	}
	for _, name := range list(s["required"]) {
		name, _ := name.(string)
		if _, ok := fields[name]; !ok && object(properties[name])["default"] == nil {
			return fmt.Sprintf("lacks the field %q", name)
		}
	}
	return countMisfit(len(fields), s, "minProperties", "maxProperties", "fields")
}
