package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

const (
	// maxNesting is how deep objects and lists may stand in each other.
	maxNesting = 200
	// maxValues is how many values a file may have, with what aliases stand for.
	maxValues = 1_000_000
)

// reader reads the YAML of one file. It gathers all mistakes.
type reader struct {
	file     string
	problems Problems
	values   int
}

func (r *reader) position(n *yaml.Node) Position {
	return Position{File: r.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

func (r *reader) failf(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{At: r.position(n), Message: fmt.Sprintf(format, args...)})
}

// root returns the only document of a text, or nil after a mistake.
func (r *reader) root(text []byte) *yaml.Node {
	var root *yaml.Node
	start := &yaml.Node{Line: 1, Column: 1}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		doc := &yaml.Node{}
		err := dec.Decode(doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.syntax(err)
			return nil
		}
		if doc.Kind == yaml.DocumentNode {
			if len(doc.Content) == 0 {
				continue
			}
			doc = doc.Content[0]
		}
		switch {
		case doc.Kind == yaml.ScalarNode && doc.ShortTag() == "!!null":
			continue
		case root != nil:
			r.failf(doc, "a second case begins here: want a file for each")
			return nil
		}
		root = doc
	}
	if root == nil {
		r.failf(start, "the file is empty: want a case with object and expect")
	}
	return root
}

// syntax says where a text is no YAML.
func (r *reader) syntax(err error) {
	at := &yaml.Node{Line: 1, Column: 1}
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		at.Line, at.Column, message = load.Mark.Line, load.Mark.Column, load.Message
	}
	r.failf(at, "not YAML: %s", message)
}

// entry is one key of a mapping with its value.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries returns the keys of a mapping in their order. Where n is none, it says what is wanted.
func (r *reader) entries(n *yaml.Node, want string) []entry {
	n = resolved(n)
	if n.Kind != yaml.MappingNode {
		r.failf(n, "want %s, have %s", want, describe(n))
		return nil
	}
	all := make([]entry, 0, len(n.Content)/2)
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolved(n.Content[i]), n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.failf(n.Content[i], "a key must be text, not %s", describe(key))
			continue
		case key.ShortTag() == "!!merge":
			r.failf(key, "keys are not merged here: write them out")
			continue
		}
		if line, ok := first[key.Value]; ok {
			r.failf(key, "the key %q is there twice, first on line %d", key.Value, line)
			continue
		}
		first[key.Value] = key.Line
		all = append(all, entry{name: key.Value, key: key, value: value})
	}
	return all
}

// resolved is a node, or what it stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "an object"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	default:
		return fmt.Sprintf("the value %.40q", n.Value)
	}
}

// value returns what a node says, as JSON values.
func (r *reader) value(n *yaml.Node, depth int) any {
	r.values++
	switch {
	case r.values == maxValues+1:
		r.failf(n, "the file has more than %d values", maxValues)
		return nil
	case r.values > maxValues:
		return nil
	case depth > maxNesting:
		r.failf(n, "nested more than %d levels deep", maxNesting)
		r.values = maxValues + 1
		return nil
	}
	n = resolved(n)
	switch n.Kind {
	case yaml.MappingNode:
		object := map[string]any{}
		for _, e := range r.entries(n, "an object") {
			object[e.name] = r.value(e.value, depth+1)
		}
		return object
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			list = append(list, r.value(item, depth+1))
		}
		return list
	default:
		return r.scalar(n)
	}
}

// scalar is value for what has no members.
func (r *reader) scalar(n *yaml.Node) any {
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		text := strings.ReplaceAll(n.Value, "_", "")
		if number, err := strconv.ParseInt(text, 0, 64); err == nil {
			return number
		}
		r.failf(n, "%s is no whole number of 64 bits: write it in quotes for a text", n.Value)
		return nil
	case "!!float":
		number, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
		if err != nil || math.IsInf(number, 0) || math.IsNaN(number) {
			r.failf(n, "%s is not a finite number: write it in quotes for a text", n.Value)
			return nil
		}
		return number
	case "!!str", "!!timestamp":
		return n.Value
	default:
		r.failf(n, "the YAML tag %s has no meaning here: leave it out", tag)
		return nil
	}
}

// Normal returns JSON values in the form in which they are compared: whole numbers as int64, all
// others as float64, and no types but those of JSON.
func Normal(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("writing as JSON: %w", err)
	}
	var normal any
	if err := utiljson.Unmarshal(text, &normal); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	return normal, nil
}
