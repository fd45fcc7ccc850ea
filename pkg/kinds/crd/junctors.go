package crd

import (
	"maps"
	"slices"
	"strings"
)

// value checks a schema within allOf, anyOf, oneOf and not: it says which values there may be, and
// outside is the schema that says what they are.
func (c *checker) value(at []string, s, outside map[string]any, mayHaveType bool) {
	c.words(at, s)
	for _, word := range []string{"type", "description", "title", "default", "nullable", additional} {
		if _, ok := s[word]; !ok || word == "type" && mayHaveType {
			continue
		}
		c.reportKey(below(at, word), "stands within allOf, anyOf, oneOf or not", "write it outside: in there only bounds, patterns, enums and required fields may stand")
	}
	for _, word := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(word, "x-") {
			c.reportKey(below(at, word), "stands within allOf, anyOf, oneOf or not", "write it outside")
		}
	}
	properties := object(s["properties"])
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p, _ := properties[name].(map[string]any)
		declared, ok := object(outside["properties"])[name].(map[string]any)
		if !ok {
			c.reportKey(below(at, "properties", name), "is not among the properties outside of allOf, anyOf, oneOf and not", "declare its type there")
			continue
		}
		c.value(below(at, "properties", name), p, declared, false)
	}
	if items, ok := s["items"].(map[string]any); ok {
		declared, ok := outside["items"].(map[string]any)
		if !ok {
			c.reportKey(below(at, "items"), "there is no items outside of allOf, anyOf, oneOf and not", "declare the type of the entries there")
		} else {
			c.value(below(at, "items"), items, declared, false)
		}
	}
	for _, junctor := range []string{"allOf", "anyOf", "oneOf"} {
		for i, arm := range list(s[junctor]) {
			if arm, ok := arm.(map[string]any); ok {
				c.value(below(at, junctor, index(i)), arm, outside, mayHaveType)
			}
		}
	}
	if not, ok := s["not"].(map[string]any); ok {
		c.value(below(at, "not"), not, outside, false)
	}
}
