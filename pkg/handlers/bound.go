package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Bound is a plugin together with one config that it has accepted: what Registry.Bind makes of the
// `handler` of a definition. The engine makes the definition's handler of it; the commands read
// from it the effective config and the rights that the handler needs. Plugins do not need it.
//
// Everything but New has been asked of the plugin in Bind, so no code of the plugin runs in the
// other methods. The zero Bound is not usable. A Bound never changes and is safe for concurrent
// use.
type Bound struct {
	plugin       string
	config       []byte
	rules        []rbacv1.PolicyRule
	metadataOnly bool
	finalizes    bool
	ordered      bool
	external     bool
	at           func(*url.URL) (Bound, error)                        // nil if no service is asked
	build        func(ctx context.Context, env Env) (Handler, error)  // nil for a composer
	compose      func(ctx context.Context, env Env) (Composer, error) // nil for a handler
	owns         []OwnedKind
	reads        []Related
	patches      []PatchedKind
	marks        bool
}

// Plugin returns the plugin's name.
func (b Bound) Plugin() string { return b.plugin }

// JSON returns the effective config, defaults included. The slice is the caller's own.
func (b Bound) JSON() []byte { return slices.Clone(b.config) }

// Rules returns the RBAC rules that a handler with this config needs besides reading the watched
// kind. The slice is the caller's own.
func (b Bound) Rules() []rbacv1.PolicyRule {
	rules := slices.Clone(b.rules)
	for i := range rules {
		rules[i] = *rules[i].DeepCopy()
	}
	return rules
}

// MetadataOnly reports whether the handler reads nothing of an object but its metadata.
func (b Bound) MetadataOnly() bool { return b.metadataOnly }

// Composes reports whether the plugin makes a composer of this config: then NewComposer is to be
// called, not New.
func (b Bound) Composes() bool { return b.compose != nil }

// Owns returns the kinds that the composer may make. The slice is the caller's own.
func (b Bound) Owns() []OwnedKind { return slices.Clone(b.owns) }

// Reads returns what the composer reads besides. The slice is the caller's own.
func (b Bound) Reads() []Related { return slices.Clone(b.reads) }

// Patches returns the kinds to whose objects the composer may contribute. The slice is the caller's
// own.
func (b Bound) Patches() []PatchedKind { return slices.Clone(b.patches) }

// Marks reports whether the composer may set labels or annotations of parents.
func (b Bound) Marks() bool { return b.marks }

// Finalizes reports whether the handler is a Finalizer, so that its definition may have a
// finalizer, or the composer wants to be called for parents that are being deleted.
func (b Bound) Finalizes() bool { return b.finalizes }

// Ordered reports whether the children of a deleted parent are deleted in the reverse order of
// their After.
func (b Bound) Ordered() bool { return b.ordered }

// External reports whether the composer asks a program or a service.
func (b Bound) External() bool { return b.external }

// AsksService reports whether the composer asks a service, which may be somewhere else: At can be
// called then.
func (b Bound) AsksService() bool { return b.at != nil }

// At returns the same with the services that are asked at the scheme, host and port of a URL.
func (b Bound) At(address *url.URL) (Bound, error) {
	if b.at == nil {
		return Bound{}, fmt.Errorf("calling a service at %s: plugin %q asks none", address, b.plugin)
	}
	return b.at(address)
}

// Equal reports whether both have the same plugin and the same effective config, so that a handler
// made of one does what a handler made of the other does. Both must come from one Registry.
func (b Bound) Equal(other Bound) bool {
	return b.plugin == other.plugin && bytes.Equal(b.config, other.config)
}

// New makes the handler. It calls the plugin's constructor on the goroutine of the caller, who has
// to expect a panic and runtime.Goexit. A handler made by one of the Func functions for another
// kind than env.Kind is an error, and so is one that is no Finalizer although env.Finalizer is set.
func (b Bound) New(ctx context.Context, env Env) (Handler, error) {
	if b.build == nil {
		return nil, fmt.Errorf("making the handler: plugin %q makes a composer of this config", b.plugin)
	}
	h, err := b.build(ctx, env)
	if err != nil {
		return h, err
	}
	if h == nil {
		return nil, fmt.Errorf("making the handler: plugin %q returned none", b.plugin)
	}
	if typed, ok := h.(kindChecker); ok && !env.Kind.Empty() {
		if err := typed.checkKind(env.Kind); err != nil {
			return nil, fmt.Errorf("making the handler: %w", err)
		}
	}
	if _, ok := h.(Finalizer); !ok && env.Finalizer != "" {
		return nil, fmt.Errorf("making the handler: the definition has the finalizer %s, but the handler of plugin %q is no Finalizer",
			env.Finalizer, b.plugin)
	}
	return h, nil
}

// NewComposer makes the composer, as New makes a handler. What env has of Clients and Events is not
// given to the plugin.
func (b Bound) NewComposer(ctx context.Context, env Env) (Composer, error) {
	if b.compose == nil {
		return nil, fmt.Errorf("making the composer: plugin %q makes a handler of this config", b.plugin)
	}
	env.Clients, env.Events = Clients{}, nil
	c, err := b.compose(ctx, env)
	if err != nil {
		return c, err
	}
	if c == nil {
		return nil, fmt.Errorf("making the composer: plugin %q returned none", b.plugin)
	}
	if typed, ok := c.(kindChecker); ok && !env.Kind.Empty() {
		if err := typed.checkKind(env.Kind); err != nil {
			return nil, fmt.Errorf("making the composer: %w", err)
		}
	}
	return c, nil
}

// bind decodes a config that the schema has accepted, and asks the plugin all there is to ask about
// it. An error is a mistake in the plugin: its schema and struct disagree, or its code panics.
func (p Plugin[C]) bind(raw []byte, known Kinds) (Bound, []Problem, error) {
	c, err := p.decode(raw)
	if err != nil {
		return Bound{}, nil, err
	}
	return p.accept(c, known)
}

// accept is bind for a config that was decoded.
func (p Plugin[C]) accept(c C, known Kinds) (Bound, []Problem, error) {
	if p.Validate != nil {
		var problems []Problem
		if err := p.protect("Validate", func() { problems = p.Validate(&c) }); err != nil {
			return Bound{}, nil, err
		}
		if len(problems) > 0 {
			return Bound{}, problems, nil
		}
	}
	if p.Check != nil {
		var problems []Problem
		if err := p.protect("Check", func() { problems = p.Check(&c, known) }); err != nil {
			return Bound{}, nil, err
		}
		if len(problems) > 0 {
			return Bound{}, problems, nil
		}
	}
	b := Bound{plugin: p.Name}
	composes := false
	if err := p.protect("Composes", func() { composes = p.composes(c) }); err != nil {
		return Bound{}, nil, err
	}
	if !composes {
		b.build = func(ctx context.Context, env Env) (Handler, error) { return p.New(ctx, env, c) }
	} else {
		b.compose = func(ctx context.Context, env Env) (Composer, error) { return p.NewComposer(ctx, env, c) }
	}
	if err := p.describe(&b, c); err != nil {
		return Bound{}, nil, err
	}
	if composes && p.At != nil {
		b.at = func(address *url.URL) (Bound, error) { return p.boundAt(c, known, address) }
	}
	return b, nil, nil
}

// boundAt is the plugin with a config whose services are called elsewhere.
func (p Plugin[C]) boundAt(c C, known Kinds, address *url.URL) (Bound, error) {
	var moved C
	if err := p.protect("At", func() { moved = p.At(c, address) }); err != nil {
		return Bound{}, err
	}
	bound, problems, err := p.accept(moved, known)
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("calling a service at %s: %s: %s", address, problems[0].Path, problems[0].Message)
	}
	return bound, err
}

// decode lays raw over the defaults.
func (p Plugin[C]) decode(raw []byte) (c C, err error) {
	if p.Defaults != nil {
		if err := p.protect("Defaults", func() { c = p.Defaults() }); err != nil {
			return c, err
		}
	}
	if len(raw) == 0 {
		return c, nil
	}
	var decodeErr error
	if err := p.protect("decoding its config", func() { decodeErr = decodeStrictly(raw, &c) }); err != nil {
		return c, err
	}
	if decodeErr != nil {
		return c, fmt.Errorf("decoding the config of plugin %q: %w", p.Name, decodeErr)
	}
	return c, nil
}

// describe fills in what the plugin says about a valid config.
func (p Plugin[C]) describe(b *Bound, c C) error {
	var encodeErr error
	err := p.protect("encoding its config", func() { b.config, encodeErr = json.Marshal(c) })
	if err == nil && encodeErr != nil {
		err = fmt.Errorf("encoding the config of plugin %q: %w", p.Name, encodeErr)
	}
	if err == nil && p.Rules != nil {
		err = p.protect("Rules", func() { b.rules = p.Rules(c) })
	}
	if err == nil && p.MetadataOnly != nil {
		err = p.protect("MetadataOnly", func() { b.metadataOnly = p.MetadataOnly(c) })
	}
	if err == nil && b.Composes() {
		err = p.describeComposer(b, c)
	}
	if err == nil && p.Finalizes != nil {
		err = p.protect("Finalizes", func() { b.finalizes = p.Finalizes(c) })
	}
	return err
}

// describeComposer fills in what a composer owns and reads.
func (p Plugin[C]) describeComposer(b *Bound, c C) error {
	if err := p.protect("Owns", func() { b.owns = p.Owns(c) }); err != nil {
		return err
	}
	for _, kind := range b.owns {
		if err := kind.check(); err != nil {
			return fmt.Errorf("asking plugin %q what it owns: %w", p.Name, err)
		}
	}
	if p.Ordered != nil {
		if err := p.protect("Ordered", func() { b.ordered = p.Ordered(c) }); err != nil {
			return err
		}
	}
	if p.External != nil {
		if err := p.protect("External", func() { b.external = p.External(c) }); err != nil {
			return err
		}
	}
	if p.Marks != nil {
		if err := p.protect("Marks", func() { b.marks = p.Marks(c) }); err != nil {
			return err
		}
	}
	if err := p.describePatches(b, c); err != nil || p.Reads == nil {
		return err
	}
	if err := p.protect("Reads", func() { b.reads = p.Reads(c) }); err != nil {
		return err
	}
	names := map[string]bool{}
	for _, related := range b.reads {
		if err := related.Validate(); err != nil {
			return fmt.Errorf("asking plugin %q what it reads: %w", p.Name, err)
		}
		if names[related.Name] {
			return fmt.Errorf("asking plugin %q what it reads: there are two named %q", p.Name, related.Name)
		}
		names[related.Name] = true
	}
	return nil
}

// describePatches fills in to what a composer contributes. There is one watch of each kind, so each
// is there once.
func (p Plugin[C]) describePatches(b *Bound, c C) error {
	if p.Patches == nil {
		return nil
	}
	if err := p.protect("Patches", func() { b.patches = p.Patches(c) }); err != nil {
		return err
	}
	kinds := map[PatchedKind]bool{}
	for _, kind := range b.patches {
		if err := kind.check(); err != nil {
			return fmt.Errorf("asking plugin %q what it patches: %w", p.Name, err)
		}
		name := PatchedKind{APIVersion: kind.APIVersion, Kind: kind.Kind}
		if kinds[name] {
			return fmt.Errorf("asking plugin %q what it patches: %s %s is there twice", p.Name, kind.APIVersion, kind.Kind)
		}
		kinds[name] = true
	}
	return nil
}

// decodeStrictly lays the JSON value in raw over what is in into; an unknown field and a second
// value are errors.
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
