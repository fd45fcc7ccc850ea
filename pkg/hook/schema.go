package hook

import (
	_ "embed" // for schema.cue
	"strings"
)

// place is where the schema of a plugin has the fields of Config.
const place = "\t@hook()\n"

//go:embed schema.cue
var schemaText string

// Schema completes the CUE source of a plugin's schema. Where that says @hook(), in a line alone
// within #Config, the fields of Config come, and the definitions that they need are added; their
// names are #HookChild and #HookRead.
func Schema(plugin string) string {
	_, fields, _ := strings.Cut(schemaText, "#Config: {\n")
	fields, definitions, _ := strings.Cut(fields, "\n}\n")
	return strings.Replace(plugin, place, fields+"\n", 1) + definitions
}
