package cases

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxSize is how many bytes a file may have.
const maxSize = 16 << 20

// Read reads a file with a case. An error that is Problems says what is wrong in it.
func Read(path string) (*Case, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a case: %w", err)
	}
	defer func() { _ = file.Close() }() // It was only read.
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading a case: %w", err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("reading a case: %s has more than %d bytes", path, maxSize)
	}
	return Parse(path, text)
}

// fields are those of a case, in the order in which they are written.
var fields = []string{"config", "crds", "definition", "object", "children", "related", "expect"}

// Parse is Read for the text of a file.
func Parse(path string, text []byte) (*Case, error) {
	r := &reader{file: path}
	root := r.root(text)
	if root == nil {
		return nil, r.problems
	}
	c := &Case{Name: strings.TrimSuffix(path, Suffix), Path: path, At: r.position(root), text: text}
	for _, e := range r.entries(root, "a case with object and expect") {
		switch e.name {
		case "config":
			c.Config = r.paths(e.value, c)
		case "crds":
			c.CRDs = r.paths(e.value, c)
		case "definition":
			c.Definition = r.text(e.value)
		case "object":
			c.Object = r.source(e.value, c)
		case "children":
			r.children(e.value, c)
		case "related":
			c.Related = r.sources(e.value, c)
		case "expect":
			c.Expect = r.outcome(e.value)
		default:
			r.unknown(e.key, e.name, fields)
		}
	}
	if c.Object.Object == nil && c.Object.Path == "" && len(r.problems) == 0 {
		r.failf(root, "there is no object: want the field object, an object or a path of a file with it")
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return c, nil
}

// unknown is about a field that there is not.
func (r *reader) unknown(key *yaml.Node, name string, known []string) {
	r.failf(key, "there is no field %q; there are: %s", name, strings.Join(known, ", "))
}

// text returns a text.
func (r *reader) text(n *yaml.Node) string {
	n = resolved(n)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		r.failf(n, "want a text, have %s", describe(n))
		return ""
	}
	return n.Value
}

// paths returns one path, or several.
func (r *reader) paths(n *yaml.Node, c *Case) (all []string) {
	list := []*yaml.Node{n}
	if n = resolved(n); n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, item := range list {
		if path := r.text(item); path != "" {
			all = append(all, c.resolve(path))
		}
	}
	return all
}

// resolve is a path as the case means it: from its own folder.
func (c *Case) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.Path), path)
}

// source returns an object, or where it is.
func (r *reader) source(n *yaml.Node, c *Case) Source {
	s := Source{At: r.position(n)}
	n = resolved(n)
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Value != "":
		s.Path = c.resolve(n.Value)
	case n.Kind == yaml.MappingNode:
		s.Object = r.object(n)
	default:
		r.failf(n, "want an object, or the path of a file with objects, have %s", describe(n))
	}
	return s
}

// object returns an object of Kubernetes.
func (r *reader) object(n *yaml.Node) map[string]any {
	object := r.mapping(n)
	text := func(in map[string]any, name string) string {
		value, _ := in[name].(string)
		return value
	}
	metadata, _ := object["metadata"].(map[string]any)
	for name, value := range map[string]string{
		"apiVersion": text(object, "apiVersion"), "kind": text(object, "kind"), "metadata.name": text(metadata, "name"),
	} {
		if value == "" && len(r.problems) == 0 {
			r.failf(n, "want an object of Kubernetes with apiVersion, kind and metadata.name, but it has no %s", name)
			break
		}
	}
	return object
}

// mapping returns a value that has to be an object, in its normal form.
func (r *reader) mapping(n *yaml.Node) map[string]any {
	if n = resolved(n); n.Kind != yaml.MappingNode {
		r.failf(n, "want an object, have %s", describe(n))
		return nil
	}
	object, _ := r.normal(n).(map[string]any)
	return object
}

// normal returns a value in its normal form.
func (r *reader) normal(n *yaml.Node) any {
	value, err := Normal(r.value(n, 0))
	if err != nil {
		r.failf(n, "%v", err)
	}
	return value
}

// sources returns a list of objects and paths, or a single path.
func (r *reader) sources(n *yaml.Node, c *Case) (all []Source) {
	n = resolved(n)
	switch {
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			all = append(all, r.source(item, c))
		}
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str":
		all = []Source{r.source(n, c)}
	default:
		r.failf(n, "want a list of objects and paths of files, or one path, have %s", describe(n))
	}
	return all
}

// children reads what exists of the definition: objects by the names of children, or as for
// related.
func (r *reader) children(n *yaml.Node, c *Case) {
	if resolved(n).Kind != yaml.MappingNode {
		c.Children = r.sources(n, c)
		return
	}
	c.Made = map[string]Source{}
	for _, e := range r.entries(n, "an object") {
		if e.name == "apiVersion" {
			r.failf(e.key, "this looks like an object: want objects by the names of the children, or a list of objects")
			return
		}
		if resolved(e.value).Kind != yaml.MappingNode {
			r.failf(e.value, "want an object of Kubernetes, have %s", describe(resolved(e.value)))
			continue
		}
		c.Made[e.name] = Source{At: r.position(e.value), Object: r.object(resolved(e.value))}
	}
}

// outcome reads what is expected.
func (r *reader) outcome(n *yaml.Node) Outcome {
	outcome := Outcome{}
	for _, e := range r.entries(n, "an object with what is expected") {
		i := slices.IndexFunc(sections, func(s section) bool { return string(s.name) == e.name })
		if i < 0 {
			r.unknown(e.key, e.name, sectionNames())
			continue
		}
		outcome[sections[i].name] = r.section(e.value, sections[i].shape)
	}
	return outcome
}

func sectionNames() []string {
	names := make([]string, len(sections))
	for i, s := range sections {
		names[i] = string(s.name)
	}
	return names
}

// section reads one part of what is expected.
func (r *reader) section(n *yaml.Node, s shape) any {
	n = resolved(n)
	isText := func(n *yaml.Node) bool {
		n = resolved(n)
		return n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || n.ShortTag() == "!!timestamp")
	}
	switch s {
	case oneText:
		if !isText(n) {
			r.failf(n, "want a text, have %s", describe(n))
		}
		return n.Value
	case texts:
		if n.Kind != yaml.SequenceNode || slices.ContainsFunc(n.Content, func(n *yaml.Node) bool { return !isText(n) }) {
			r.failf(n, "want a list of texts, have %s", describe(n))
			return nil
		}
		return r.normal(n)
	case oneObject:
		return r.mapping(n)
	}
	for _, e := range r.entries(n, "an object") {
		switch value := resolved(e.value); {
		case s == namedTexts && !isText(value):
			r.failf(value, "want a text, have %s", describe(value))
		case s == namedObjects && value.Kind != yaml.MappingNode:
			r.failf(value, "want an object, have %s", describe(value))
		}
	}
	if len(r.problems) > 0 {
		return nil
	}
	return r.mapping(n)
}
