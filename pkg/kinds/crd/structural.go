package crd

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Problem is what the API server would refuse of a schema.
type Problem struct {
	// Path leads to the place from the root of the schema: names of JSON fields, and indexes as in
	// "[0]".
	Path []string
	// Message says what is wrong.
	Message string
	// Hint says what would be right, when that is known.
	Hint string
	// Key is true when it is the name of the field that is wrong.
	Key bool
	// Offset is where in the text at Path the mistake is, in characters from 0.
	Offset int
}

// CheckSchema reports what keeps an openAPIV3Schema, as decoded JSON, from being structural: the
// API server refuses a CustomResourceDefinition with another one.
func CheckSchema(schema map[string]any) []Problem {
	c := &checker{}
	c.structural(nil, schema, true)
	if len(c.problems) == 0 {
		c.root(schema)
		c.checkDefaults(nil, schema)
	}
	return c.problems
}

// checker collects problems.
type checker struct{ problems []Problem }

func (c *checker) report(at []string, message, hint string) {
	c.problems = append(c.problems, Problem{Path: slices.Clone(at), Message: message, Hint: hint})
}

func (c *checker) reportKey(at []string, message, hint string) {
	c.problems = append(c.problems, Problem{Path: slices.Clone(at), Message: message, Hint: hint, Key: true})
}

// below returns a path with more steps, in memory of its own.
func below(at []string, steps ...string) []string { return slices.Concat(at, steps) }

// index is the step to an entry of a list.
func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// The words of schemas that need a word here.
const (
	preserve       = "x-kubernetes-preserve-unknown-fields"
	intOrString    = "x-kubernetes-int-or-string"
	embedded       = "x-kubernetes-embedded-resource"
	listType       = "x-kubernetes-list-type"
	listMapKeys    = "x-kubernetes-list-map-keys"
	mapType        = "x-kubernetes-map-type"
	validations    = "x-kubernetes-validations"
	additional     = "additionalProperties"
	maxSchemaDepth = 64
)

// foreign are words of OpenAPI and JSON Schema that structural schemas do not have, and what to
// write.
var foreign = map[string]string{
	"$ref":              "write the schema that it refers to in its place",
	"$schema":           "leave it out",
	"id":                "leave it out",
	"definitions":       "write each schema in the place where it is used",
	"dependencies":      "write a rule in validations",
	"patternProperties": "write additionalProperties, and a rule for the names in validations",
	"additionalItems":   "write items for all entries",
	"const":             "write enum with one value",
	"readOnly":          "leave it out: the status subresource keeps users from writing status",
	"writeOnly":         "leave it out",
	"deprecated":        "say it in the description",
	"discriminator":     "write a rule in validations",
	"xml":               "leave it out",
	"examples":          "write example",
	"propertyNames":     "write a rule in validations",
}

// structural checks a schema that objects are pruned and defaulted by: each says its type.
func (c *checker) structural(at []string, s map[string]any, isRoot bool) {
	if len(at) > 2*maxSchemaDepth {
		c.report(at, fmt.Sprintf("is more than %d levels deep", maxSchemaDepth), "")
		return
	}
	c.words(at, s)
	c.typed(at, s, isRoot)
	c.lists(at, s)
	properties := object(s["properties"])
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if p, ok := properties[name].(map[string]any); ok {
			c.structural(below(at, "properties", name), p, false)
		}
	}
	if items, ok := s["items"].(map[string]any); ok {
		c.structural(below(at, "items"), items, false)
	}
	if values, ok := s[additional].(map[string]any); ok {
		c.structural(below(at, additional), values, false)
	}
	for _, junctor := range []string{"allOf", "anyOf", "oneOf"} {
		for i, arm := range list(s[junctor]) {
			if arm, ok := arm.(map[string]any); ok {
				c.value(below(at, junctor, index(i)), arm, s, isTrue(s[intOrString]))
			}
		}
	}
	if not, ok := s["not"].(map[string]any); ok {
		c.value(below(at, "not"), not, s, false)
	}
}

// typed checks that a schema says what its values are, and nothing that does not go with that.
func (c *checker) typed(at []string, s map[string]any, isRoot bool) {
	kind, _ := s["type"].(string)
	free := isTrue(s[preserve])
	_, hasType := s["type"]
	switch {
	case isRoot && kind != "object":
		c.report(at, "want type: object at the root of a schema", "an object has fields, such as spec and status")
	case isRoot && isTrue(s["nullable"]):
		c.report(below(at, "nullable"), "the root of a schema cannot be null", "leave it out")
	case !hasType && !isTrue(s[intOrString]) && !free:
		c.report(at, "has no type", "write "+typeHint(s))
	}
	switch {
	case s["properties"] != nil && isFalse(s[additional]):
		c.reportKey(below(at, additional), "stands beside properties", "leave it out: fields that the schema does not have are dropped")
	case s["properties"] != nil && s[additional] != nil:
		c.reportKey(below(at, additional), "stands beside properties: an object has either fields or is a map", "leave one of both out")
	}
	for _, of := range []struct{ word, kind string }{{"properties", "object"}, {additional, "object"}, {"items", "array"}} {
		if s[of.word] != nil && kind != "" && kind != of.kind {
			c.reportKey(below(at, of.word), fmt.Sprintf("is for type: %s, and type is %s", of.kind, kind), "")
		}
	}
	if kind == "array" && s["items"] == nil {
		c.report(at, "says nothing of the entries", "write items")
	}
	if isTrue(s[embedded]) && kind != "object" {
		c.report(below(at, embedded), "is for type: object", "")
	} else if isTrue(s[embedded]) && s["properties"] == nil && !free {
		c.report(below(at, embedded), "keeps nothing of the object", "add "+preserve+": true, or properties")
	}
	if isTrue(s["uniqueItems"]) {
		c.report(below(at, "uniqueItems"), "cannot be true", "write "+listType+": set")
	}
	if !isRoot || s["required"] != nil {
		c.required(at, s)
	}
}

// typeHint guesses the type of a schema that has none.
func typeHint(s map[string]any) string {
	switch {
	case s["properties"] != nil || s[additional] != nil:
		return "type: object"
	case s["items"] != nil:
		return "type: array"
	case s["pattern"] != nil || s["maxLength"] != nil || s["minLength"] != nil || s["format"] != nil:
		return "type: string"
	default:
		return "type, or " + preserve + ": true for a value of any type"
	}
}

// required checks that what must be there can be there.
func (c *checker) required(at []string, s map[string]any) {
	properties := object(s["properties"])
	if isTrue(s[preserve]) || s[additional] != nil {
		return
	}
	for i, name := range list(s["required"]) {
		if name, ok := name.(string); ok && properties[name] == nil {
			c.report(below(at, "required", index(i)), fmt.Sprintf("properties has no %q, so the API server drops it and no object is right", name),
				"add it to properties")
		}
	}
}

// list returns decoded JSON as a list; nil if it is none.
func list(value any) []any {
	l, _ := value.([]any)
	return l
}
