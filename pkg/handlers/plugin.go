package handlers

import (
	"context"
	"fmt"
	"net/url"
	"reflect"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
)

// Plugin is a named kind of handler, typed by its config. Listing it in the call of daemon.Main is
// all it takes to add it to a binary.
type Plugin[C any] struct {
	// Name is the key below `handler` in a definition: a lower-case DNS label. Required.
	Name string
	// Summary is one line for `kooperd plugins`. Required.
	Summary string
	// Schema is CUE source that declares #Config, whose fields are the JSON fields of C: optional
	// ones as `x?:`, required ones as `x!:`, no defaults (they come from Defaults). The definitions
	// #Duration and #Secret are there to use. Doc comments become documentation. Required.
	Schema string
	// Defaults returns a config with every default filled in, over which the file's values are
	// laid. Nil means the zero value of C.
	Defaults func() C
	// Validate checks what the schema cannot say. It must be pure: no network, no files, no
	// environment. Optional.
	Validate func(*C) []Problem
	// Check checks what depends on kinds: that of the watched objects, and what is known of the
	// others that the config names. It is called after Validate has found nothing, and must be as
	// pure. Optional.
	Check func(*C, Kinds) []Problem
	// Rules returns the RBAC rules that a handler with this config needs besides reading the
	// watched kind. Optional.
	Rules func(C) []rbacv1.PolicyRule
	// MetadataOnly reports whether a handler with this config reads nothing of an object but its
	// metadata. Then the rest may stay at the API server, which saves most of the memory:
	// Object.JSON and Object.Into give apiVersion, kind and metadata, and sometimes more. Optional.
	MetadataOnly func(C) bool
	// Finalizes reports whether a handler with this config implements Finalizer. Only then may the
	// definition have a finalizer. Of a composer, it reports whether it is to be called for a
	// parent that is being deleted; kooperd chooses the finalizer for that. The composer is not
	// called for a parent that the definition ceases to select: its children are deleted, and then
	// the finalizer is removed. Optional.
	Finalizes func(C) bool
	// New makes the handler of one definition. It is called on every replica, whether it leads or
	// not, so it must not change the cluster; an error degrades that definition alone and is
	// retried. ctx ends with the engine. A plugin has either New or NewComposer, or both and
	// Composes.
	New func(ctx context.Context, env Env, config C) (Handler, error)
	// NewComposer makes the composer of one definition, as New makes a handler. A composer changes
	// nothing, so its Env has neither Clients nor Events.
	NewComposer func(ctx context.Context, env Env, config C) (Composer, error)
	// Composes reports whether NewComposer is called for a config, and not New. Only a plugin that
	// has both may have it, and must.
	Composes func(C) bool
	// External reports whether a composer with this config asks a program or a service: that it is
	// a function is a promise of theirs then. Commands that contact nothing ask them only when that
	// is allowed. Optional, for plugins of composers.
	External func(C) bool
	// At returns the config with the services that it names called at another address: the scheme,
	// host and port of a URL, with the paths that the config has, and without credentials. Only a
	// plugin whose composers ask services has it: kooperd try and test use it. It must not change
	// what its argument refers to. Optional, for plugins of composers.
	At func(C, *url.URL) C
	// Owns returns the kinds that a composer with this config may make. A child of another kind is
	// refused. Rights and watches follow from it. Required for a plugin of composers.
	Owns func(C) []OwnedKind
	// Ordered reports whether the children of a parent that is deleted are deleted in the reverse
	// order of their After, each when those before are gone. The parents get a finalizer for that.
	// Without it the garbage collector deletes the children, in no order. Optional, for plugins of
	// composers.
	Ordered func(C) bool
	// Reads returns the objects that a composer with this config reads besides its parent and
	// children. Rights and watches follow from it. Optional, for plugins of composers.
	Reads func(C) []Related
	// Patches returns the kinds of objects, other than children, to which a composer with this
	// config may contribute. A patch of another kind is refused. Rights and watches follow from it,
	// and the parents get a finalizer. Optional, for plugins of composers.
	Patches func(C) []PatchedKind
	// Marks reports whether a composer with this config may set labels or annotations of parents.
	// The right to patch the watched kind follows from it. Optional, for plugins of composers.
	Marks func(C) bool
}

// Problem is one mistake found in a plugin's config.
type Problem struct {
	// Path is where it is, from the plugin's config on: `argv[0]`, `env.PATH`; empty for the config
	// as a whole.
	Path string
	// Message says what is wrong, lower case, without a full stop.
	Message string
	// Hint says what would be right. Optional.
	Hint string
	// Offset is where in the string at Path, in characters from 0. Default: the string as a whole.
	Offset int
	// Unknown is a name that means nothing, and Known are those that do: the one that is closest is
	// suggested. Within is what stands before the name in the suggestion. Optional.
	Unknown string
	Known   []string
	Within  []string
}

// Kinds is what is known of kinds where a config is checked. The zero value is for a config without
// a definition: nothing is known of its objects.
type Kinds struct {
	// Watched is the kind of the definition's objects.
	Watched schema.GroupVersionKind
	// ManyNamespaces reports whether the definition is known to watch more namespaces than one.
	ManyNamespaces bool
	// TypeOf returns what is known of the objects of a kind. Nil stands for expression.OfKind.
	TypeOf func(schema.GroupVersionKind) expression.Type
	// ScopeOf reports whether the objects of a custom kind belong to namespaces. Known is false
	// where that is not known. Nil knows nothing.
	ScopeOf func(schema.GroupVersionKind) (namespaced, known bool)
	// IsCustom reports whether a kind is known to be that of a CustomResourceDefinition. Nil knows
	// none.
	IsCustom func(schema.GroupVersionKind) bool
	// StatusOf reports whether the objects of a custom kind have a subresource status. Known is
	// false where that is not known. Nil knows nothing.
	StatusOf func(schema.GroupVersionKind) (has, known bool)
}

// Type returns what is known of the objects of a kind.
func (k Kinds) Type(kind schema.GroupVersionKind) expression.Type {
	if k.TypeOf == nil {
		return expression.OfKind(kind)
	}
	return k.TypeOf(kind)
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
	// Finalizes reports whether definitions with this plugin may have a finalizer, with some config
	// at least.
	Finalizes bool `json:"finalizes"`
	// Composes reports whether the plugin makes composers, with some config at least.
	Composes bool `json:"composes"`
	// Owns are the kinds that its composers may make with the default config.
	Owns []OwnedKind `json:"owns,omitempty"`
}

// AnyPlugin is a Plugin of any config type. Only Plugin implements it.
type AnyPlugin interface {
	// Describe tells what the plugin is.
	Describe() Description

	check() error
	bind(raw []byte, known Kinds) (Bound, []Problem, error)
}

// Describe tells what the plugin is.
func (p Plugin[C]) Describe() Description {
	d := Description{
		Name: p.Name, Summary: p.Summary, Schema: p.Schema, Package: reflect.TypeFor[C]().PkgPath(),
		Finalizes: p.Finalizes != nil && p.New != nil, Composes: p.NewComposer != nil,
	}
	if p.NewComposer != nil && p.Owns != nil {
		d.Owns = p.ownsByDefault()
	}
	return d
}

// composes reports whether a config is that of a composer. It may panic with the plugin's code.
func (p Plugin[C]) composes(c C) bool {
	return p.NewComposer != nil && (p.Composes == nil || p.Composes(c))
}

// ownsByDefault returns none when the plugin's code panics: a definition that uses it says so.
func (p Plugin[C]) ownsByDefault() (owns []OwnedKind) {
	c, err := p.decode(nil)
	if err == nil {
		_ = p.protect("Owns", func() {
			if p.composes(c) {
				owns = p.Owns(c)
			}
		})
	}
	return owns
}

func (p Plugin[C]) check() error {
	switch {
	case p.Summary == "":
		return fmt.Errorf("registering plugin %q: it has no summary", p.Name)
	case p.New == nil && p.NewComposer == nil:
		return fmt.Errorf("registering plugin %q: it has no constructor (New or NewComposer)", p.Name)
	case p.New != nil && p.NewComposer != nil && p.Composes == nil:
		return fmt.Errorf("registering plugin %q: it has both New and NewComposer; want one of them, or Composes to choose by", p.Name)
	case p.Composes != nil && (p.New == nil || p.NewComposer == nil):
		return fmt.Errorf("registering plugin %q: Composes chooses between New and NewComposer, and it has one of them", p.Name)
	case p.NewComposer == nil && (p.Owns != nil || p.Reads != nil || p.Ordered != nil || p.Patches != nil || p.External != nil || p.At != nil || p.Marks != nil):
		return fmt.Errorf("registering plugin %q: Owns, Reads, Ordered, Patches, External, At and Marks are for composers, and it has New", p.Name)
	case p.NewComposer != nil && p.Owns == nil:
		return fmt.Errorf("registering plugin %q: it makes composers and does not say what they own (Owns)", p.Name)
	case reflect.TypeFor[C]().Kind() != reflect.Struct:
		return fmt.Errorf("registering plugin %q: its config type %s is not a struct", p.Name, reflect.TypeFor[C]())
	}
	if err := checkSchema(p.Schema, reflect.TypeFor[C]()); err != nil {
		return fmt.Errorf("registering plugin %q: %w", p.Name, err)
	}
	return nil
}
