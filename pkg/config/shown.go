package config

import (
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"
)

// hidden stands where a value of a Secret is.
const hidden = "[REDACTED]"

// ShownDefinition prints a definition with every default filled in, as YAML for people. The text is
// the same for equal definitions. A Secret that stands in it, as a template may, has no values. A
// definition that Load has not made has no text.
func ShownDefinition(d Definition) ([]byte, error) {
	if d.Handler.Plugin() == "" {
		return nil, nil
	}
	text, err := json.Marshal(controllerOf(d, d.Handler.JSON()))
	if err != nil {
		return nil, fmt.Errorf("encoding controller %q: %w", d.Name, err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("encoding controller %q: %w", d.Name, err)
	}
	hideSecrets(tree)
	text, err = yaml.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("encoding controller %q as YAML: %w", d.Name, err)
	}
	return text, nil
}

// hideSecrets takes the values out of all Secrets in a tree.
func hideSecrets(tree any) {
	switch tree := tree.(type) {
	case map[string]any:
		if tree["kind"] == "Secret" {
			for _, name := range []string{"data", "stringData"} {
				if values, ok := tree[name]; ok {
					tree[name] = hideValues(values)
				}
			}
		}
		for _, below := range tree {
			hideSecrets(below)
		}
	case []any:
		for _, below := range tree {
			hideSecrets(below)
		}
	}
}

// hideValues returns what a Secret has of values, without them.
func hideValues(values any) any {
	byName, ok := values.(map[string]any)
	if !ok {
		return hidden
	}
	for name := range byName {
		byName[name] = hidden
	}
	return byName
}
