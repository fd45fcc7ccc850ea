package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Plugin is a named kind of handler, typed by its config. Listing it in the call of daemon.Main is all it takes to add
// it to a binary.
type Plugin[C any] struct {
	// Name is the key below `handler` in a definition: a lower-case DNS label. Required.
	Name string
	// Summary is one line for `kooperd plugins`. Required.
	Summary string
	// Schema is CUE source that declares #Config, whose fields are the JSON fields of C: optional ones as `x?:`,
	// required ones as `x!:`, no defaults (they come from Defaults). The definitions #Duration and #Secret are there to
	// use. Doc comments become documentation. Required.
	Schema string
	// Defaults returns a config with every default filled in, over which the file's values are laid. Nil means the
	// zero value of C.
	Defaults func() C
	// Validate checks what the schema cannot say. It must be pure: no network, no files, no environment. Optional.
	Validate func(*C) []Problem
	// Rules returns the RBAC rules that a handler with this config needs besides reading the watched kind. Optional.
	Rules func(C) []rbacv1.PolicyRule
	// MetadataOnly tells whether a handler with this config reads nothing of an object but its metadata. Then the rest may stay at
	// the API server, which saves most of the memory: Object.JSON and Object.Into give apiVersion, kind and metadata, and
	// sometimes more. Optional.
	MetadataOnly func(C) bool
	// New makes the handler of one definition. It is called on every replica, whether it leads or not, so it must not
	// change the cluster; an error degrades that definition alone and is retried. ctx ends with the engine. Required.
	New func(ctx context.Context, env Env, config C) (Handler, error)
}

// Problem is one mistake found in a plugin's config.
type Problem struct {
	// Path is where it is, from the plugin's config on: `argv[0]`, `env.PATH`; empty for the config as a whole.
	Path string
	// Message says what is wrong, lower case, without a full stop.
	Message string
	// Hint says what would be right. Optional.
	Hint string
}

// Description is what is known of a plugin without a config.
type Description struct {
	// Name is the plugin's name.
	Name string `json:"name"`
	// Summary is its one line of documentation.
	Summary string `json:"summary"`
	// Schema is its CUE source as the plugin gives it, without the common definitions.
	Schema string `json:"schema"`
	// Package is the import path of the Go package that the config type is declared in.
	Package string `json:"package"`
}

// AnyPlugin is a Plugin of any config type. Only Plugin implements it.
type AnyPlugin interface {
	// Describe tells what the plugin is.
	Describe() Description

	check() error
	bind(raw []byte) (Bound, []Problem, error)
}

// Describe tells what the plugin is.
func (p Plugin[C]) Describe() Description {
	return Description{Name: p.Name, Summary: p.Summary, Schema: p.Schema, Package: reflect.TypeFor[C]().PkgPath()}
}

func (p Plugin[C]) check() error {
	switch {
	case p.Summary == "":
		return fmt.Errorf("registering plugin %q: it has no summary", p.Name)
	case p.New == nil:
		return fmt.Errorf("registering plugin %q: it has no constructor (New)", p.Name)
	case reflect.TypeFor[C]().Kind() != reflect.Struct:
		return fmt.Errorf("registering plugin %q: its config type %s is not a struct", p.Name, reflect.TypeFor[C]())
	}
	if err := checkSchema(p.Schema, reflect.TypeFor[C]()); err != nil {
		return fmt.Errorf("registering plugin %q: %w", p.Name, err)
	}
	return nil
}

func (p Plugin[C]) defaults() C {
	if p.Defaults == nil {
		var zero C
		return zero
	}
	return p.Defaults()
}

// bind decodes a config that the schema has accepted. An error means that schema and struct disagree.
func (p Plugin[C]) bind(raw []byte) (Bound, []Problem, error) {
	c := p.defaults()
	if len(raw) > 0 {
		if err := decodeStrictly(raw, &c); err != nil {
			return Bound{}, nil, fmt.Errorf("decoding the config of plugin %q: %w", p.Name, err)
		}
	}
	if p.Validate != nil {
		if problems := p.Validate(&c); len(problems) > 0 {
			return Bound{}, problems, nil
		}
	}
	return Bound{
		plugin:       p.Name,
		config:       c,
		rules:        func() []rbacv1.PolicyRule { return p.rules(c) },
		metadataOnly: p.MetadataOnly != nil && p.MetadataOnly(c),
		build: func(ctx context.Context, env Env) (Handler, error) {
			h, err := p.New(ctx, env, c)
			if err == nil && h == nil {
				err = fmt.Errorf("making the handler: plugin %q returned none", p.Name)
			}
			return h, err
		},
	}, nil, nil
}

// decodeStrictly lays the JSON value in raw over what is in into; an unknown field and a second value are errors.
func decodeStrictly(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("want one JSON value, have more")
	}
	return nil
}

func (p Plugin[C]) rules(c C) []rbacv1.PolicyRule {
	if p.Rules == nil {
		return nil
	}
	return p.Rules(c)
}

// Bound is a plugin together with one checked config. The zero Bound is not usable. It is safe for concurrent use.
type Bound struct {
	plugin       string
	config       any
	rules        func() []rbacv1.PolicyRule
	metadataOnly bool
	build        func(ctx context.Context, env Env) (Handler, error)
}

// Plugin returns the plugin's name.
func (b Bound) Plugin() string { return b.plugin }

// JSON returns the effective config, defaults included.
func (b Bound) JSON() ([]byte, error) {
	raw, err := json.Marshal(b.config)
	if err != nil {
		return nil, fmt.Errorf("encoding the config of plugin %q: %w", b.plugin, err)
	}
	return raw, nil
}

// Rules returns the RBAC rules that a handler with this config needs besides reading the watched kind.
func (b Bound) Rules() []rbacv1.PolicyRule { return b.rules() }

// MetadataOnly tells whether the handler reads nothing of an object but its metadata.
func (b Bound) MetadataOnly() bool { return b.metadataOnly }

// New makes the handler.
func (b Bound) New(ctx context.Context, env Env) (Handler, error) { return b.build(ctx, env) }
