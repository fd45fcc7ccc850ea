package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"

	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// The lines of the chart's schema that have the schema of the config, and the names of the alerts.
var (
	chartConfig = regexp.MustCompile(`(?m)^    "kooperdConfig": .*$`)
	chartAlerts = regexp.MustCompile(`(?m)^    "alertName": .*$`)
)

// writeChartSchema puts the schema of the config into that of the chart's values, so that Helm
// checks the config that stands there. Helm reads no file beside the one, so a reference is no way.
// So it puts the names of the chart's alerts, each of which has values.
func writeChartSchema(path string, registry *handlers.Registry) error {
	language, err := config.JSONSchema(registry)
	if err != nil {
		return err
	}
	line, err := schemaForHelm(language)
	if err != nil {
		return fmt.Errorf("changing the schema of the config for Helm: %w", err)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the file that was asked for
	if err != nil {
		return err
	}
	names, err := alertNames(filepath.Join(filepath.Dir(path), "files", "alerts.yaml"))
	if err != nil {
		return fmt.Errorf("reading the alerts of the chart: %w", err)
	}
	if !chartConfig.Match(text) || !chartAlerts.Match(text) {
		return fmt.Errorf("%s has no line of kooperdConfig, or none of alertName", path)
	}
	text = chartConfig.ReplaceAllLiteral(text, fmt.Appendf(nil, `    "kooperdConfig": %s,`, line))
	text = chartAlerts.ReplaceAllLiteral(text, fmt.Appendf(nil, `    "alertName": {"enum": %s},`, names))
	return os.WriteFile(path, text, 0o644) //nolint:gosec // a document is for everyone
}

// alertNames returns the names of the alerts in a file, as JSON.
func alertNames(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a file of the chart that was asked for
	if err != nil {
		return nil, err
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert string `json:"alert"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return nil, err
	}
	var names []string
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
		}
	}
	return json.Marshal(names)
}

// refusedKeys are the keys that Helm, which reads YAML 1.1, makes of words without quotes. The
// value below one must be a text that says so: a schema has no messages, and Helm prints this one.
var refusedKeys = map[string]any{
	"true":  map[string]any{"const": "behind a key in quotes: Helm reads on, yes and y as true"},
	"false": map[string]any{"const": "behind a key in quotes: Helm reads off, no and n as false"},
	"null":  map[string]any{"const": "behind a key in quotes: Helm reads ~ as null"},
}

// refuseWords refuses such keys wherever not all names of fields are fixed.
func refuseWords(node any) {
	switch n := node.(type) {
	case map[string]any:
		for _, below := range n {
			refuseWords(below)
		}
		_, names := n["additionalProperties"].(map[string]any)
		_, patterns := n["patternProperties"].(map[string]any)
		if names || patterns {
			fixed, _ := n["properties"].(map[string]any)
			properties := maps.Clone(refusedKeys)
			maps.Copy(properties, fixed)
			n["properties"] = properties
		}
	case []any:
		for _, below := range n {
			refuseWords(below)
		}
	}
}

// schemaForHelm changes the schema of the config: its definitions move, descriptions go, a binary
// may have more plugins than the built-in ones, and the lease is the chart's own matter, which says
// so.
func schemaForHelm(language []byte) ([]byte, error) {
	moved := bytes.ReplaceAll(language, []byte(`"#/$defs/`), []byte(`"#/$defs/kooperdConfig/$defs/`))
	var schema map[string]any
	if err := json.Unmarshal(moved, &schema); err != nil {
		return nil, err
	}
	delete(schema, "$schema")
	delete(schema, "title")
	properties, _ := schema["properties"].(map[string]any)
	definitions, _ := schema["$defs"].(map[string]any)
	handler, _ := definitions["Handler"].(map[string]any)
	if properties == nil || handler == nil {
		return nil, errors.New("there are no properties, or no Handler")
	}
	properties["leaderElection"] = true
	delete(definitions, "LeaderElection")
	delete(handler, "oneOf")
	handler["minProperties"], handler["maxProperties"] = 1, 1
	schema["$comment"] = "written by make generate"
	withoutDescriptions(schema)
	refuseWords(schema)
	return json.Marshal(schema)
}

// withoutDescriptions removes the descriptions, which are texts; a field that is called so is none.
func withoutDescriptions(node any) {
	switch n := node.(type) {
	case map[string]any:
		if _, ok := n["description"].(string); ok {
			delete(n, "description")
		}
		for _, below := range n {
			withoutDescriptions(below)
		}
	case []any:
		for _, below := range n {
			withoutDescriptions(below)
		}
	}
}
