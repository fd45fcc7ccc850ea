package config

import (
	"encoding/json"
	"fmt"

	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// encoded is a config on its way between two processes of one binary.
type encoded struct {
	Hash   string          `json:"hash"`
	Files  []string        `json:"files"`
	Config json.RawMessage `json:"config"`
}

// Encode returns a config as JSON, for Decode.
func Encode(cfg *Config) ([]byte, error) {
	config, err := json.Marshal(fileOf(cfg))
	if err != nil {
		return nil, fmt.Errorf("encoding the config: %w", err)
	}
	text, err := json.Marshal(encoded{Hash: cfg.Hash, Files: cfg.Files, Config: config})
	if err != nil {
		return nil, fmt.Errorf("encoding the config: %w", err)
	}
	return text, nil
}

// Decode returns the config that Encode was given, by a process of the same binary: the result is
// equal, Hash and Files included. Nothing is evaluated, so it costs little time and memory,
// whatever the files had cost. It is not for texts from anywhere else: no schema is asked, and an
// error has no place in a file.
func Decode(text []byte, registry *handlers.Registry) (*Config, error) {
	var e encoded
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("decoding the config: %w", err)
	}
	f, err := language.Decode(e.Config)
	if err != nil {
		return nil, fmt.Errorf("decoding the config: %w", err)
	}
	cfg, problems := resolve(f, handlers.Kinds{}, kinds.BuiltIn())
	declared, wrong := encodedKinds(f.Kinds)
	cfg.Kinds, problems = declared, append(problems, wrong...)
	for _, p := range problems {
		return nil, fmt.Errorf("decoding the config: %s: %s", p.at, p.message)
	}
	for i := range cfg.Definitions {
		d := &cfg.Definitions[i]
		if d.Handler, err = bindEncoded(f.Controllers[d.Name].Handler, registry); err != nil {
			return nil, fmt.Errorf("decoding the config: controllers.%s.handler: %w", d.Name, err)
		}
	}
	splitFormerly(cfg.Definitions)
	for i := range cfg.Definitions {
		d := &cfg.Definitions[i]
		if d.Digest, err = digestOf(*d); err != nil {
			return nil, fmt.Errorf("decoding the config: %w", err)
		}
	}
	cfg.Hash, cfg.Files = e.Hash, e.Files
	return cfg, nil
}

// bindEncoded binds the one handler of a definition.
func bindEncoded(handler map[string]json.RawMessage, registry *handlers.Registry) (handlers.Bound, error) {
	for plugin, raw := range handler {
		bound, problems, err := registry.Bind(plugin, raw)
		if err != nil {
			return handlers.Bound{}, err
		}
		for _, p := range problems {
			return handlers.Bound{}, fmt.Errorf("%s.%s: %s", plugin, p.Path, p.Message)
		}
		return bound, nil
	}
	return handlers.Bound{}, fmt.Errorf("want exactly one plugin, have none")
}
