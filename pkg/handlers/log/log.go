package log

import (
	"context"
	_ "embed" // for schema.cue
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/telemetry"
)

//go:embed schema.cue
var schema string

// Plugin is the plugin "log".
var Plugin = handlers.Plugin[Config]{
	Name:         "log",
	Summary:      "Log one structured line for every call, with fields of the object by JSONPath",
	Schema:       schema,
	Defaults:     func() Config { return Config{Level: LevelInfo, Message: "object seen"} },
	Validate:     validate,
	MetadataOnly: metadataOnly,
	New:          newHandler,
}

const (
	// LevelInfo lines are always written.
	LevelInfo = "info"
	// LevelDebug lines are written from -v=1 on, like the engine's own lines about calls.
	LevelDebug = "debug"
)

// Config is the config of one handler. schema.cue describes its fields.
type Config struct {
	// Level is LevelInfo or LevelDebug. Default: LevelInfo.
	Level string `json:"level,omitempty"`
	// Message is the message of every line. Default: "object seen".
	Message string `json:"message,omitempty"`
	// Fields are JSONPath templates by the key of the line. Default: none.
	Fields map[string]string `json:"fields,omitempty"`
}

// Keys of a line that the plugin sets itself.
const (
	keyKind            = "kind"
	keyNamespace       = "namespace"
	keyName            = "name"
	keyResourceVersion = "resourceVersion"
	keyCause           = "cause"
)

// takenKeys are the keys above and those of the logger itself, which a field must not have: two
// values of one key make a line that no log store reads the same way.
var takenKeys = []string{
	telemetry.KeyController, telemetry.KeyObject, telemetry.KeyCall,
	keyKind, keyNamespace, keyName, keyResourceVersion, keyCause,
	"time", "level", "source", "msg", "err", "error", "logger",
}

var fieldKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

func validate(c *Config) []handlers.Problem {
	var problems []handlers.Problem
	if c.Message == "" {
		problems = append(problems, handlers.Problem{Path: "message", Message: "want a text"})
	}
	for _, key := range slices.Sorted(maps.Keys(c.Fields)) {
		path := "fields." + key
		if !fieldKey.MatchString(key) {
			problems = append(problems, handlers.Problem{
				Path: fmt.Sprintf("fields[%q]", key), Message: "want a key of letters, digits and _, starting with a letter",
				Hint: `for example nodeName: ".spec.nodeName"`,
			})
		} else if slices.Contains(takenKeys, key) {
			problems = append(problems, handlers.Problem{
				Path: path, Message: "every line has that key already", Hint: "choose another key",
			})
		}
		if _, err := parseTemplate(c.Fields[key]); err != nil {
			problems = append(problems, handlers.Problem{
				Path: path, Message: err.Error(), Hint: `write it as kubectl does: "{.spec.nodeName}" or ".spec.nodeName"`,
			})
		}
	}
	return problems
}

// metadataOnly reports whether no field needs more than the metadata.
func metadataOnly(c Config) bool {
	for _, text := range c.Fields {
		if t, err := parseTemplate(text); err != nil || !t.metadataOnly {
			return false
		}
	}
	return true
}

// handler is the handler of one definition.
type handler struct {
	logger  logr.Logger
	message string
	fields  []field
}

// field is one entry of Config.Fields.
type field struct {
	key      string
	template template
}

func newHandler(_ context.Context, env handlers.Env, c Config) (handlers.Handler, error) {
	h := &handler{logger: env.Logger, message: c.Message}
	if c.Level == LevelDebug {
		h.logger = env.Logger.V(1)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Fields)) {
		t, err := parseTemplate(c.Fields[key])
		if err != nil {
			return nil, fmt.Errorf("reading field %s: %w", key, err)
		}
		h.fields = append(h.fields, field{key: key, template: t})
	}
	return h, nil
}

// Handle writes the line. It uses the definition's logger and not that of the call, whose key
// "object" would say again what namespace and name say.
func (h *handler) Handle(_ context.Context, req handlers.Request) (handlers.Result, error) {
	if !h.logger.Enabled() {
		return handlers.Result{}, nil
	}
	o := req.Object
	values := []any{
		keyKind, o.GroupVersionKind().Kind, keyNamespace, o.Namespace(), keyName, o.Name(),
		keyResourceVersion, o.ResourceVersion(), keyCause, string(req.Cause),
	}
	fields, err := h.read(o)
	if err != nil {
		return handlers.Result{}, handlers.Terminal(fmt.Errorf("reading fields: %w", err))
	}
	h.logger.Info(h.message, append(values, fields...)...)
	return handlers.Result{}, nil
}

// read returns the key-value pairs of the fields that the object has. It decodes no more of the
// object than they need.
func (h *handler) read(o handlers.Object) ([]any, error) {
	var values []any
	content := contents{object: o}
	for _, f := range h.fields {
		data, err := content.get(f.template.metadataOnly)
		if err != nil {
			return nil, err
		}
		if value, ok := f.template.find(data); ok {
			values = append(values, f.key, cut(value))
		}
	}
	return values, nil
}
