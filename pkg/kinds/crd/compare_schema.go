package crd

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// schema compares the schemas of one value.
func (c *comparison) schema(path string, old, now map[string]any) {
	c.at(path, func() {
		if !c.types(old, now) {
			return
		}
		c.nullable(old, now)
		c.fields(path, old, now)
		c.required(old, now)
		c.enum(old, now)
		c.bounds(old, now)
		c.texts(old, now)
		c.alternatives(old, now)
		c.rules(old, now)
		c.merging(old, now)
		c.embedded(old, now)
		if !same(old, now, "default") {
			c.addf(Other, "the default is %s, was %s", text(now["default"]), text(old["default"]))
		}
		if was, is := object(old["items"]), object(now["items"]); was != nil && is != nil {
			c.schema(path+eachEntry, was, is)
		}
	})
}

// text writes a value as JSON; nothing is "none".
func text(value any) string {
	if value == nil {
		return "none"
	}
	written, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(written)
}

// typeOf names the type of values; "" for any.
func typeOf(s map[string]any) string {
	if isTrue(s[intOrString]) {
		return "integer or string"
	}
	kind, _ := s["type"].(string)
	return kind
}

// types compares the types, and reports whether it is worth going on.
func (c *comparison) types(old, now map[string]any) bool {
	was, is := typeOf(old), typeOf(now)
	switch {
	case was == is:
		return true
	case is == "":
		c.addf(Wider, "can be anything, was of type %s", was)
		return true // An enum, rules and fields can stand beside that.
	case was == "":
		c.addf(Narrower, "is of type %s, could be anything", is)
		return true
	case was == "integer" && is == "number", is == "integer or string" && (was == "integer" || was == "string"):
		c.addf(Wider, "is of type %s, was of type %s", is, was)
		return true
	}
	c.addf(Narrower, "is of type %s, was of type %s", is, was)
	return false
}

func (c *comparison) nullable(old, now map[string]any) {
	switch was, is := isTrue(old["nullable"]), isTrue(now["nullable"]); {
	case was && !is:
		c.addf(Narrower, "cannot be null any more")
	case !was && is:
		c.addf(Wider, "can be null")
	}
}

func (c *comparison) required(old, now map[string]any) {
	was, is := list(old["required"]), list(now["required"])
	for _, name := range is {
		field := fmt.Sprint(name)
		if slices.Contains(was, name) {
			continue
		}
		c.at(joined(c.change.Path, field), func() {
			if _, ok := object(object(now["properties"])[field])["default"]; ok {
				c.addf(Other, "is required now, and has a default")
			} else {
				c.addf(Narrower, "is required now")
			}
		})
	}
	for _, name := range was {
		field := fmt.Sprint(name)
		c.at(joined(c.change.Path, field), func() {
			_, had := object(object(old["properties"])[field])["default"]
			_, has := object(object(now["properties"])[field])["default"]
			switch {
			case !slices.Contains(is, name):
				c.addf(Wider, "is not required any more")
			case had && !has:
				c.addf(Narrower, "is required, and has no default any more")
			}
		})
	}
}

// embedded compares whether there is a whole object, with apiVersion and kind.
func (c *comparison) embedded(old, now map[string]any) {
	switch was, is := isTrue(old[embedded]), isTrue(now[embedded]); {
	case !was && is:
		c.addf(Narrower, "is a whole object now, with apiVersion and kind")
	case was && !is:
		c.addf(Wider, "need not be a whole object any more")
	}
}

func (c *comparison) enum(old, now map[string]any) {
	was, is := list(old["enum"]), list(now["enum"])
	switch {
	case was == nil && is == nil:
	case was == nil:
		c.addf(Narrower, "is one of %s, could have other values", text(is))
	case is == nil:
		c.addf(Wider, "can have other values than %s", text(was))
	default:
		if gone := without(was, is); len(gone) > 0 {
			c.addf(Narrower, "cannot be %s any more", commas(gone))
		}
		if come := without(is, was); len(come) > 0 {
			c.addf(Wider, "can be %s", commas(come))
		}
	}
}

// without returns the values of a that are not in b.
func without(a, b []any) (rest []any) {
	for _, value := range a {
		if !slices.ContainsFunc(b, func(other any) bool { return reflect.DeepEqual(value, other) }) {
			rest = append(rest, value)
		}
	}
	return rest
}

func commas(values []any) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = text(value)
	}
	return strings.Join(texts, ", ")
}

// texts compares what texts must look like. Of two patterns it cannot be told which takes more.
func (c *comparison) texts(old, now map[string]any) {
	for _, word := range []string{"pattern", "format"} {
		switch {
		case same(old, now, word):
		case now[word] == nil:
			c.addf(Wider, "%s %s is gone", word, text(old[word]))
		case old[word] == nil:
			c.addf(Narrower, "must match %s %s", word, text(now[word]))
		default:
			c.addf(Narrower, "%s is %s, was %s, and may refuse what that took", word, text(now[word]), text(old[word]))
		}
	}
}

// merging compares how lists and maps are merged.
func (c *comparison) merging(old, now map[string]any) {
	if !same(old, now, listMapKeys) && now[listType] == "map" && old[listType] == "map" {
		c.addf(Narrower, "the entries are told apart by %s, were by %s", text(now[listMapKeys]), text(old[listMapKeys]))
	}
	if was, is := merge(old, listType), merge(now, listType); was != is {
		effect := Narrower // Equal entries are refused.
		if is == "atomic" {
			effect = Other
		}
		c.addf(effect, "the list is merged as %s, was as %s", is, was)
	}
	if was, is := old[mapType] == "atomic", now[mapType] == "atomic"; was != is {
		c.addf(Other, "%s is %s, was %s", mapType, text(now[mapType]), text(old[mapType]))
	}
}

func merge(s map[string]any, word string) string {
	if kind, ok := s[word].(string); ok {
		return kind
	}
	return "atomic"
}
