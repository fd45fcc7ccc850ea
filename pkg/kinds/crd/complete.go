package crd

import (
	"maps"
	"regexp"
	"strings"
)

// ConditionsSchema is the schema of status.conditions as Kubernetes' own kinds have it: what
// kooperd writes there.
func ConditionsSchema() map[string]any {
	text := func(description string, more map[string]any) map[string]any {
		s := map[string]any{"type": "string", "description": description}
		maps.Copy(s, more)
		return s
	}
	return map[string]any{
		"type":                       "array",
		"description":                "What is true of the object at the moment.",
		"x-kubernetes-list-type":     "map",
		"x-kubernetes-list-map-keys": []any{"type"},
		"items": map[string]any{
			"type":     "object",
			"required": []any{"type", "status", "lastTransitionTime", "reason", "message"},
			"properties": map[string]any{
				"type": text("What the condition is about.", map[string]any{
					"maxLength": int64(316),
					"pattern":   `^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$`,
				}),
				"status":             text("Whether it is so.", map[string]any{"enum": []any{"True", "False", "Unknown"}}),
				"lastTransitionTime": text("When status changed last.", map[string]any{"format": "date-time"}),
				"reason": text("Why it is so, in one word.", map[string]any{
					"minLength": int64(1), "maxLength": int64(1024), "pattern": `^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`,
				}),
				"message": text("Why it is so, for people.", map[string]any{"maxLength": int64(32768)}),
				"observedGeneration": map[string]any{
					"type": "integer", "format": "int64", "minimum": int64(0), "description": "The generation of the object that this is about.",
				},
			},
		},
	}
}

// AddConditions gives a schema the standard conditions, in place, where its status says nothing of
// them.
func AddConditions(schema map[string]any) {
	if isTrue(schema["x-kubernetes-preserve-unknown-fields"]) && object(schema["properties"])["status"] == nil {
		return
	}
	properties := object(schema["properties"])
	if properties == nil {
		properties = map[string]any{}
	}
	status, written := properties["status"].(map[string]any)
	switch {
	case properties["status"] == nil:
		status = map[string]any{"type": "object", "description": "What there is."}
	case !written || status["type"] != "object" || status["additionalProperties"] != nil || isTrue(status["x-kubernetes-preserve-unknown-fields"]):
		return
	}
	fields := object(status["properties"])
	if fields == nil {
		fields = map[string]any{}
	}
	if fields["conditions"] != nil {
		return
	}
	fields["conditions"] = ConditionsSchema()
	status["properties"] = fields
	properties["status"] = status
	schema["properties"] = properties
}

// DefaultColumns are those of a version that names none: Ready, where the schema has conditions,
// and Age.
func DefaultColumns(schema map[string]any) []Column {
	var columns []Column
	if items := at(schema, ".status.conditions"); items != nil {
		columns = append(columns, Column{Name: "Ready", Type: "string", JSONPath: `.status.conditions[?(@.type=="Ready")].status`})
	}
	return append(columns, Column{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"})
}

// ColumnType is the type of a column that shows a field: that of the schema, else string.
func ColumnType(schema map[string]any, path string) string {
	if path == ".metadata.creationTimestamp" || path == ".metadata.deletionTimestamp" {
		return "date"
	}
	field := at(schema, path)
	switch field["type"] {
	case "integer", "number", "boolean":
		if kind, ok := field["type"].(string); ok {
			return kind
		}
	case "string":
		if field["format"] == "date-time" {
			return "date"
		}
	}
	return "string"
}

// FieldInfo is what a schema says of a field.
type FieldInfo struct {
	// Known is false for a field that the schema does not name.
	Known bool
	// Free is true for a field that there may be although the schema does not name it.
	Free bool
	// Type is the type of its values; empty for any.
	Type string
}

// Describe says in words what the field is.
func (f FieldInfo) Describe() string {
	switch {
	case !f.Known:
		return "not there"
	case f.Type == "":
		return "of any type"
	default:
		return "of type " + f.Type
	}
}

// simplePath matches JSON paths that consist of the names of fields.
var simplePath = regexp.MustCompile(`^(\.[A-Za-z_][A-Za-z0-9_-]*)+$`)

// Field returns what a schema says of the field at a JSON path. It is false for a path that has
// more than names in it, of which nothing is known.
func Field(schema map[string]any, path string) (FieldInfo, bool) {
	if !simplePath.MatchString(path) {
		return FieldInfo{}, false
	}
	free := false
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "."), ".") {
		free = free || isTrue(schema[preserve]) || schema[additional] != nil
		schema = object(object(schema["properties"])[name])
	}
	if schema == nil {
		return FieldInfo{Free: free}, true
	}
	return FieldInfo{Known: true, Type: typeOf(schema)}, true
}

// at returns the schema at a simple JSON path, as .spec.replicas; nil for other paths, and where
// there is none.
func at(schema map[string]any, path string) map[string]any {
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "."), ".") {
		schema = object(object(schema["properties"])[name])
	}
	return schema
}

// object returns decoded JSON as an object; nil if it is none.
func object(value any) map[string]any {
	o, _ := value.(map[string]any)
	return o
}
