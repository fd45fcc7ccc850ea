package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/encoding/jsonschema"

	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/handlers"
)

// SchemaCUE returns the config language as one CUE file of package v1alpha1, with the configs of
// all plugins of the registry in it. It is what a config file imports as schemas.ImportPath; for
// editors and `cue vet`, put it into the module at cue.mod/pkg/ and that path, in a file
// schema.cue. The text is the same for equal registries.
func SchemaCUE(registry *handlers.Registry) ([]byte, error) {
	file, err := language.Compose(registry)
	if err != nil {
		return nil, err
	}
	text, err := format.Node(file, format.Simplify())
	if err != nil {
		return nil, fmt.Errorf("printing the schema: %w", err)
	}
	return text, nil
}

// JSONSchema returns the same schema as JSON Schema, draft 2020-12, for editors. It refuses unknown
// fields and wants exactly one handler; what only Load checks, such as the lease's timings, it
// accepts. The text ends in a newline and is the same for equal registries.
func JSONSchema(registry *handlers.Registry) ([]byte, error) {
	text, err := SchemaCUE(registry)
	if err != nil {
		return nil, err
	}
	ctx := cuecontext.New()
	config := ctx.CompileBytes(text, cue.Filename("schema.cue")).LookupPath(cue.MakePath(cue.Def("#Config")))
	if err := config.Err(); err != nil {
		return nil, fmt.Errorf("compiling the schema: %w", err)
	}
	expr, err := jsonschema.Generate(config, &jsonschema.GenerateConfig{Version: jsonschema.VersionDraft2020_12})
	if err != nil {
		return nil, fmt.Errorf("making the JSON Schema: %w", err)
	}
	raw, err := ctx.BuildExpr(expr).MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("making the JSON Schema: %w", err)
	}
	var root map[string]any
	if err := json.Unmarshal(raw, &root); err != nil {
		return nil, fmt.Errorf("making the JSON Schema: %w", err)
	}
	polish(root)
	// Load leaves these out before CUE sees them, so the CUE schema does not know them.
	root["patternProperties"] = map[string]any{"^x-": map[string]any{
		"description": "No meaning: a place for what YAML anchors name.",
	}}
	root["title"] = "kooperd config"
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("making the JSON Schema: %w", err)
	}
	return buf.Bytes(), nil
}

// polish mends what the generator leaves: it makes running text of the descriptions, which come
// from comments with a line width, and an object of {...}, which the generator takes for the
// constant {}.
func polish(x any) {
	switch x := x.(type) {
	case []any:
		for _, e := range x {
			polish(e)
		}
	case map[string]any:
		if c, ok := x["const"].(map[string]any); ok && len(c) == 0 {
			delete(x, "const")
			x["type"] = "object"
		}
		if text, ok := x["description"].(string); ok {
			paragraphs := strings.Split(text, "\n\n")
			for i, p := range paragraphs {
				paragraphs[i] = strings.ReplaceAll(p, "\n", " ")
			}
			x["description"] = strings.Join(paragraphs, "\n\n")
		}
		for _, v := range x {
			polish(v)
		}
	}
}
