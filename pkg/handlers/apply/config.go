package apply

import (
	_ "embed" // for schema.cue
	"encoding/json"

	"kooperd.dev/kooperd/pkg/handlers"
)

//go:embed schema.cue
var configSchema string

// Plugin is the plugin "apply".
var Plugin = handlers.Plugin[Config]{
	Name:        "apply",
	Summary:     "Make, keep and delete objects for every object, from templates with expressions",
	Schema:      configSchema,
	Check:       check,
	NewComposer: newComposer,
	Owns:        owns,
	Reads:       reads,
	Patches:     patches,
	Ordered:     func(c Config) bool { return c.Deletion == DeletionOrdered },
}

// Config is the config of one composer. schema.cue describes its fields.
type Config struct {
	// Related are the objects that expressions read besides, by the name they have there. Default:
	// none.
	Related map[string]Related `json:"related,omitempty"`
	// Children are what is made for each parent, by name. Required.
	Children map[string]Child `json:"children"`
	// Status is a template of the parent's status. Default: nothing but kooperd's conditions.
	Status json.RawMessage `json:"status,omitempty"`
	// Conditions are conditions of the status by type. Default: none.
	Conditions map[string]Condition `json:"conditions,omitempty"`
	// Deletion is "" or DeletionOrdered.
	Deletion string `json:"deletion,omitempty"`
}

// DeletionOrdered deletes the children of a deleted parent one after the other, each before those
// that it reads.
const DeletionOrdered = "ordered"

// Related selects objects that expressions read. schema.cue describes its fields.
type Related struct {
	APIVersion    string `json:"apiVersion"`
	Kind          string `json:"kind"`
	Name          string `json:"name,omitempty"`
	LabelSelector string `json:"labelSelector,omitempty"`
	Namespace     string `json:"namespace,omitempty"`
	SameNamespace bool   `json:"sameNamespace,omitempty"`
}

// Child is one child, or one for each entry of a list, or the same of patches. schema.cue describes
// its fields.
type Child struct {
	Template    json.RawMessage `json:"template,omitempty"`
	Patch       json.RawMessage `json:"patch,omitempty"`
	Raw         bool            `json:"raw,omitempty"`
	ForEach     string          `json:"forEach,omitempty"`
	As          string          `json:"as,omitempty"`
	Key         string          `json:"key,omitempty"`
	IncludeWhen string          `json:"includeWhen,omitempty"`
	ReadyWhen   string          `json:"readyWhen,omitempty"`
	After       []string        `json:"after,omitempty"`
	Formerly    []string        `json:"formerly,omitempty"`

	handlers.Policies
}

// Condition is a condition of the status. schema.cue describes its fields.
type Condition struct {
	When    string `json:"when"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}
