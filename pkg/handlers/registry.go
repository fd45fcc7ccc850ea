package handlers

import (
	"fmt"
	"regexp"
	"slices"
)

// Registry is the fixed set of plugins of one binary. It is safe for concurrent use.
type Registry struct {
	plugins map[string]AnyPlugin
	names   []string
}

var pluginName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// reservedNames may become fields of `handler` itself one day.
var reservedNames = []string{"handler", "plugin", "name", "config", "env", "rules", "timeout", "retry"}

// NewRegistry checks the plugins and makes a Registry of them. It refuses an empty, malformed,
// reserved or duplicate name, a missing summary or constructor, and a schema that does not compile
// or differs from the config struct.
func NewRegistry(plugins ...AnyPlugin) (*Registry, error) {
	r := &Registry{plugins: make(map[string]AnyPlugin, len(plugins))}
	for _, p := range plugins {
		if err := r.add(p); err != nil {
			return nil, err
		}
	}
	slices.Sort(r.names)
	return r, nil
}

func (r *Registry) add(p AnyPlugin) error {
	if p == nil {
		return fmt.Errorf("registering plugin: it is nil")
	}
	d := p.Describe()
	switch {
	case d.Name == "":
		return fmt.Errorf("registering plugin of package %s: it has no name", d.Package)
	case !pluginName.MatchString(d.Name):
		return fmt.Errorf("registering plugin %q: want a name of lower-case letters, digits and '-', at most 63, starting with a letter", d.Name)
	case slices.Contains(reservedNames, d.Name):
		return fmt.Errorf("registering plugin %q: the name is reserved", d.Name)
	}
	if other, ok := r.plugins[d.Name]; ok {
		return fmt.Errorf("registering plugin %q of package %s: package %s has registered that name",
			d.Name, d.Package, other.Describe().Package)
	}
	if err := p.check(); err != nil {
		return err
	}
	r.plugins[d.Name] = p
	r.names = append(r.names, d.Name)
	return nil
}

// Names returns the plugins' names, sorted. The slice is the caller's own.
func (r *Registry) Names() []string { return slices.Clone(r.names) }

// Describe returns what is known of a plugin, or false when there is none of that name.
func (r *Registry) Describe(name string) (Description, bool) {
	p, ok := r.plugins[name]
	if !ok {
		return Description{}, false
	}
	return p.Describe(), true
}

// Bind lays raw, a JSON object that the plugin's schema has accepted, over the plugin's defaults
// and checks the result. Empty raw means defaults alone. Problems are mistakes of the config's
// author; an error is one of the plugin's author, or an unknown name.
func (r *Registry) Bind(name string, raw []byte) (Bound, []Problem, error) {
	return r.BindFor(name, raw, Kinds{})
}

// BindFor is Bind for a definition that watches a kind, with what is known of the kinds that the
// config may name.
func (r *Registry) BindFor(name string, raw []byte, known Kinds) (Bound, []Problem, error) {
	p, ok := r.plugins[name]
	if !ok {
		return Bound{}, nil, fmt.Errorf("binding handler: no plugin named %q", name)
	}
	return p.bind(raw, known)
}
