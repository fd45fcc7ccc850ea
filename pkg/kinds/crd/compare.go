package crd

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Effect is what a change does to objects that were right before.
type Effect string

// The effects.
const (
	// Narrower means that an object may not be right any more, or lose something.
	Narrower Effect = "narrower"
	// Wider means that more objects are right.
	Wider Effect = "wider"
	// Other means that the same objects are right, and something else about them is different.
	Other Effect = "other"
)

// Change is one difference between a CustomResourceDefinition and the one before.
type Change struct {
	// Definition is the name of the CustomResourceDefinition.
	Definition string `json:"definition"`
	// Version is the version of the kind; empty for a change of the whole.
	Version string `json:"version,omitempty"`
	// Path is the field of objects, such as spec.ports[*].name; empty for a change of the version.
	Path string `json:"path,omitempty"`
	// Effect is what it does to objects.
	Effect Effect `json:"effect"`
	// Message says what is different.
	Message string `json:"message"`
}

// String returns the change as one line.
func (c Change) String() string {
	at := slices.DeleteFunc([]string{c.Definition, c.Version, c.Path}, func(part string) bool { return part == "" })
	return fmt.Sprintf("%s: %s: %s", c.Effect, strings.Join(at, " "), c.Message)
}

// Compare returns what became narrower, wider, or different from the definitions before: by
// definition, version and field.
func Compare(before, now []Definition) []Change {
	c := &comparison{}
	byName := map[string]Definition{}
	for _, d := range now {
		byName[d.Metadata.Name] = d
	}
	seen := map[string]bool{}
	for _, old := range slices.SortedFunc(slices.Values(before), byDefinitionName) {
		seen[old.Metadata.Name] = true
		c.change = Change{Definition: old.Metadata.Name}
		if d, ok := byName[old.Metadata.Name]; ok {
			c.definition(old, d)
		} else {
			c.addf(Narrower, "is not declared any more; kubectl apply leaves the CustomResourceDefinition as it is")
		}
	}
	for _, d := range slices.SortedFunc(slices.Values(now), byDefinitionName) {
		if c.change = (Change{Definition: d.Metadata.Name}); !seen[d.Metadata.Name] {
			c.addf(Wider, "is new")
		}
	}
	return c.found
}

func byDefinitionName(a, b Definition) int {
	switch {
	case a.Metadata.Name < b.Metadata.Name:
		return -1
	case a.Metadata.Name > b.Metadata.Name:
		return 1
	default:
		return 0
	}
}

// comparison collects changes at a place.
type comparison struct {
	change Change // with the place alone
	found  []Change
}

func (c *comparison) addf(effect Effect, format string, arguments ...any) {
	change := c.change
	change.Effect, change.Message = effect, fmt.Sprintf(format, arguments...)
	c.found = append(c.found, change)
}

// at compares at another field.
func (c *comparison) at(path string, compare func()) {
	before := c.change.Path
	c.change.Path = path
	compare()
	c.change.Path = before
}

func (c *comparison) definition(old, now Definition) {
	if old.Spec.Scope != now.Spec.Scope {
		c.addf(Narrower, "scope is %s, was %s: the API server takes it for a new kind only", now.Spec.Scope, old.Spec.Scope)
	}
	if old.Spec.Names.Kind != now.Spec.Names.Kind {
		c.addf(Narrower, "kind is %s, was %s: the API server takes it for a new kind only", now.Spec.Names.Kind, old.Spec.Names.Kind)
	}
	for _, before := range old.Spec.Versions {
		c.change.Version = before.Name
		version, ok := now.Version(before.Name)
		if !ok && slices.Contains(old.StoredVersions, before.Name) {
			c.addf(Narrower, "the version is in status.storedVersions: the API server refuses to let it go before all objects are stored in another one, and it is taken out of there")
		}
		switch {
		case !ok && before.Served:
			c.addf(Narrower, "the version is gone")
		case !ok:
			c.addf(Other, "the version, which was not served, is gone")
		default:
			c.version(before, version)
		}
	}
	for _, version := range now.Spec.Versions {
		if _, ok := old.Version(version.Name); !ok {
			c.change.Version = version.Name
			c.addf(Wider, "the version is new")
		}
	}
	c.change.Version = ""
}

func (c *comparison) version(old, now Version) {
	switch {
	case old.Served && !now.Served:
		c.addf(Narrower, "the version is not served any more")
	case !old.Served && now.Served:
		c.addf(Wider, "the version is served")
	}
	if now.Storage && !old.Storage {
		c.addf(Other, "objects are stored in this version from now on")
	}
	if !old.Deprecated && now.Deprecated {
		c.addf(Other, "the version is deprecated")
	}
	c.subresources(old.Subresources, now.Subresources)
	for _, field := range old.SelectableFields {
		if !slices.Contains(now.SelectableFields, field) {
			c.addf(Narrower, "objects cannot be selected by %s any more", field.JSONPath)
		}
	}
	c.schema("", old.Schema.OpenAPIV3Schema, now.Schema.OpenAPIV3Schema)
}

func (c *comparison) subresources(old, now Subresources) {
	switch {
	case old.Status != nil && now.Status == nil:
		c.addf(Narrower, "there is no subresource status any more")
	case old.Status == nil && now.Status != nil:
		c.addf(Narrower, "there is a subresource status: what is written to status in another way is dropped")
	}
	switch {
	case old.Scale != nil && now.Scale == nil:
		c.addf(Narrower, "there is no subresource scale any more")
	case old.Scale == nil && now.Scale != nil:
		c.addf(Wider, "there is a subresource scale")
	case old.Scale != nil && *old.Scale != *now.Scale:
		c.addf(Narrower, "the subresource scale is about other fields")
	}
}

// fields compares the fields of objects, or what is known of all values of a map.
func (c *comparison) fields(path string, old, now map[string]any) {
	was, is := object(old["properties"]), object(now["properties"])
	oldFree, nowFree := isTrue(old[preserve]) || isTrue(old[additional]), isTrue(now[preserve]) || isTrue(now[additional])
	for _, name := range slices.Sorted(maps.Keys(was)) {
		inner, there := is[name]
		if !there && now[additional] != nil && !nowFree {
			inner, there = now[additional], true
		}
		c.at(joined(path, name), func() {
			switch {
			case there:
				c.schema(c.change.Path, object(was[name]), object(inner))
			case nowFree:
				c.addf(Wider, "can be anything")
			default:
				c.addf(Narrower, "the field is gone")
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if _, ok := was[name]; ok {
			continue
		}
		c.at(joined(path, name), func() {
			switch {
			case oldFree:
				c.addf(Narrower, "could be anything, and has a schema now")
			case old[additional] != nil:
				c.schema(c.change.Path, object(old[additional]), object(is[name]))
			default:
				c.addf(Wider, "the field is new")
			}
		})
	}
	wasMap, isMap := object(old[additional]), object(now[additional])
	c.at(path, func() {
		switch {
		case wasMap != nil && isMap != nil:
			c.schema(path+eachEntry, wasMap, isMap)
		case typeOf(old) != typeOf(now): // That says it.
		case (wasMap != nil || oldFree) && isMap == nil && !nowFree:
			c.addf(Narrower, "fields that the schema does not have are dropped")
		case oldFree && isMap != nil:
			c.addf(Narrower, "the values could be anything, and have a schema now")
		case !oldFree && nowFree:
			c.addf(Wider, "can have any fields")
		case !oldFree && wasMap == nil && isMap != nil:
			c.addf(Wider, "can have any fields, with values of one schema")
		}
	})
}

func joined(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// same reports whether two schemas say the same of a word.
func same(old, now map[string]any, word string) bool {
	return reflect.DeepEqual(old[word], now[word])
}
