package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// hidden stands where a value of a Secret is.
const hidden = "[REDACTED]"

// ShownDefinition prints a definition with every default filled in, as YAML for people. The text is
// the same for equal definitions. What may be a credential is left out: the values of a Secret that
// stands in it, as a template may, those of environment variables, and the user, the query and the
// fragment of a URL. A definition that Load has not made has no text.
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
	text, err = yaml.Marshal(shown(tree))
	if err != nil {
		return nil, fmt.Errorf("encoding controller %q as YAML: %w", d.Name, err)
	}
	return text, nil
}

// shown returns a tree without what may be a credential. It may change the tree.
func shown(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		if tree["kind"] == "Secret" {
			hideFields(tree, "data", "stringData")
		}
		hideFields(tree, "env")
		for name, below := range tree {
			tree[name] = shown(below)
		}
	case []any:
		for i, below := range tree {
			tree[i] = shown(below)
		}
	case string:
		return urls.ReplaceAllStringFunc(tree, shownURL)
	}
	return tree
}

// hideFields takes the values out of fields.
func hideFields(of map[string]any, names ...string) {
	for _, name := range names {
		if values, ok := of[name]; ok {
			of[name] = hideValues(values)
		}
	}
}

// hideValues returns what a Secret has of values, or a program of variables, without them. The
// variables of a container are a list, and each may have its value from elsewhere.
func hideValues(values any) any {
	switch values := values.(type) {
	case map[string]any:
		for name := range values {
			values[name] = hidden
		}
		return values
	case []any:
		for i, one := range values {
			variable, ok := one.(map[string]any)
			if !ok {
				values[i] = hidden
				continue
			}
			if _, ok := variable["value"]; ok {
				variable["value"] = hidden
			}
		}
		return values
	default:
		return hidden
	}
}

// urls are those in a text, with all that follows up to a space: a password may have any character.
var urls = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://\S+`)

// shownURL hides the user, the query and the fragment of a URL. A password is often not escaped, so
// everything up to the last @ is taken for the user: what is hidden may be too much.
func shownURL(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	shown := scheme + "://"
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		shown, rest = shown+hidden, rest[at:]
	}
	rest, fragment, hasFragment := strings.Cut(rest, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	shown += rest
	if hasQuery && query != "" {
		shown += "?" + hidden
	}
	if hasFragment && fragment != "" {
		shown += "#" + hidden
	}
	return shown
}
