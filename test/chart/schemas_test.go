package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// definitions are the schemas of an OpenAPI document, by their names.
type definitions map[string]map[string]any

// reference is how one schema names another.
const reference = "#/definitions/"

// writeSchemas writes a strict JSON schema for each kind that the API server publishes, named as
// the tests name to kubeconform, and returns the folder.
func writeSchemas(t *testing.T) string {
	t.Helper()
	text, err := shared.Client().Discovery().RESTClient().Get().AbsPath("/openapi/v2").
		SetHeader("Accept", "application/json").DoRaw(t.Context())
	if err != nil {
		t.Fatalf("asking for the schemas: %v", err)
	}
	var document struct{ Definitions definitions }
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatalf("reading the schemas: %v", err)
	}
	for _, schema := range document.Definitions {
		strict(schema)
	}
	dir := t.TempDir()
	for name, schema := range document.Definitions {
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 {
			continue // No kind, or one of every group, like DeleteOptions.
		}
		kind, _ := kinds[0].(map[string]any)
		group := kind["group"]
		if group == "" {
			group = kind["version"] // As kubeconform reads an apiVersion without a group.
		}
		file := strings.ToLower(fmt.Sprintf("%s_%s_%s.json", kind["kind"], group, kind["version"]))
		needed := definitions{}
		document.Definitions.collect(name, needed)
		text, err := json.Marshal(map[string]any{"$ref": reference + name, "definitions": needed})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// strict refuses fields that an object does not have, and knows the types that are written in two
// ways.
func strict(schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	_, open := schema["additionalProperties"]
	_, unknown := schema["x-kubernetes-preserve-unknown-fields"]
	if len(properties) > 0 && !open && !unknown {
		schema["additionalProperties"] = false
	}
	if schema["format"] == "int-or-string" {
		schema["type"] = []string{"string", "integer"}
	}
	if description, _ := schema["description"].(string); strings.HasPrefix(description, "Quantity is a fixed-point") {
		schema["type"] = []string{"string", "number"}
	}
	delete(schema, "format") // Some are Kubernetes' own, and none is needed here.
	for _, property := range properties {
		strictBelow(property)
	}
	strictBelow(schema["items"])
	strictBelow(schema["additionalProperties"])
}

func strictBelow(schema any) {
	if schema, ok := schema.(map[string]any); ok {
		strict(schema)
	}
}

// collect puts a schema and those that it names into needed.
func (d definitions) collect(name string, needed definitions) {
	if _, ok := needed[name]; ok || d[name] == nil {
		return
	}
	needed[name] = d[name]
	d.follow(d[name], needed)
}

func (d definitions) follow(value any, needed definitions) {
	switch value := value.(type) {
	case map[string]any:
		if target, ok := value["$ref"].(string); ok {
			d.collect(strings.TrimPrefix(target, reference), needed)
		}
		for _, below := range value {
			d.follow(below, needed)
		}
	case []any:
		for _, below := range value {
			d.follow(below, needed)
		}
	}
}
