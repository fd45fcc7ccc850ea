// Package schemas holds the configuration language of kooperd in CUE, embedded into the binary. It
// is the only source of truth for the language: validation, defaults in the documentation and the
// JSON Schema for editors all come from these files. It does not parse or check anything itself;
// that is pkg/config.
//
//	common, err := schemas.FS.ReadFile("common.cue")
package schemas

import "embed"

// ImportPath is the CUE import path under which configuration files may import the schema; it
// resolves offline.
const ImportPath = "kooperd.dev/schema/v1alpha1"

// FS holds every CUE file of the schema, at its root.
//
//go:embed *.cue
var FS embed.FS

// Common is the CUE source of the definitions that plugin schemas may use without importing
// anything: #Duration and
// #Secret.
//
//go:embed common.cue
var Common string
