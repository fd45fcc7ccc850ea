package crd

import (
	"fmt"
	"maps"
	"slices"
)

// lists checks what is said of the entries of lists and maps to those who merge them.
func (c *checker) lists(at []string, s map[string]any) {
	kind, has := s[listType].(string)
	keys := list(s[listMapKeys])
	items := object(s["items"])
	switch {
	case has && s["type"] != "array":
		c.report(below(at, listType), "is for type: array", "")
	case len(keys) > 0 && kind != "map":
		c.report(below(at, listMapKeys), "is for "+listType+": map", "")
	case kind == "map" && len(keys) == 0:
		c.report(below(at, listType), "names no key", "add "+listMapKeys+", with the fields that tell the entries apart")
	case kind == "map" && items["type"] != "object":
		c.report(below(at, listType), "is for entries of type: object", "")
	case kind == "set" && items["type"] == "object" && items[mapType] != "atomic",
		kind == "set" && items["type"] == "array" && items[listType] != "atomic" && items[listType] != nil:
		c.report(below(at, listType), "is for entries without parts", "write map, with "+listMapKeys)
	}
	if (kind == "map" || kind == "set") && isTrue(items["nullable"]) {
		c.report(below(at, "items"), fmt.Sprintf("can be null, and is an entry of a list of type %s", kind), "leave null out")
	}
	for i, key := range keys {
		name, _ := key.(string)
		field, ok := object(items["properties"])[name].(map[string]any)
		place := below(at, listMapKeys, index(i))
		switch {
		case !ok:
			c.report(place, fmt.Sprintf("the entries have no field %q", name), "")
		case field["type"] == "object" || field["type"] == "array":
			c.report(place, fmt.Sprintf("the field %q has parts, and cannot be a key", name), "")
		case isTrue(field["nullable"]):
			c.report(below(at, "items", "properties", name), "can be null, and tells the entries of a list apart", "leave null out")
		case field["default"] == nil && !slices.Contains(list(items["required"]), any(name)):
			c.report(place, fmt.Sprintf("the field %q can be missing", name), "make it required, or give it a default")
		}
	}
}

// root checks what is special at the root of an object.
func (c *checker) root(s map[string]any) {
	properties := object(s["properties"])
	metadata := object(properties["metadata"])
	for _, word := range slices.Sorted(maps.Keys(metadata)) {
		if word != "type" && word != "properties" && word != "description" {
			c.reportKey([]string{"properties", "metadata", word}, "metadata is that of all objects", "only metadata.name and metadata.generateName can be bounded")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object(metadata["properties"]))) {
		if name != "name" && name != "generateName" {
			c.reportKey([]string{"properties", "metadata", "properties", name}, "metadata is that of all objects",
				"only metadata.name and metadata.generateName can be bounded")
		}
	}
	for _, name := range []string{"apiVersion", "kind"} {
		if p := object(properties[name]); p != nil && p["type"] != "string" {
			c.report([]string{"properties", name}, "is that of all objects, a string", "leave it out")
		}
	}
}
