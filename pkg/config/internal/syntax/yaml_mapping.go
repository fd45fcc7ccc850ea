package syntax

import (
	"fmt"

	"cuelang.org/go/cue/ast"
	"go.yaml.in/yaml/v4"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// mapping converts the keys in their order; those that `<<` merges in come last and give way to the
// others.
func (y *yamlFile) mapping(n *yaml.Node, at diagnostic.Path, depth int) ast.Expr {
	if tag := n.ShortTag(); tag != "!!map" {
		y.badTag(n, at, tag)
	}
	m := &yamlMapping{yamlFile: y, at: at, depth: depth, seen: map[string]*yaml.Node{}}
	m.lit = &ast.StructLit{Lbrace: y.pos(n)}
	m.add(n)
	return m.lit
}

// yamlMapping is one mapping under conversion.
type yamlMapping struct {
	*yamlFile
	lit   *ast.StructLit
	at    diagnostic.Path
	depth int
	seen  map[string]*yaml.Node // the keys so far
}

func (m *yamlMapping) add(n *yaml.Node) {
	own := map[string]*yaml.Node{}
	var merges []*yaml.Node
	if m.inAlias > 0 {
		m.aliased += len(n.Content)
	}
	for i := 0; i+1 < len(n.Content) && !m.tooMuch; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			m.fail(m.position(key), m.at, "a key must be text, not "+describeNode(key), "")
			continue
		}
		name := key.Value
		if first, ok := own[name]; ok {
			m.repeated(key, first, name)
			continue
		}
		own[name] = key
		if _, ok := m.seen[name]; ok {
			continue // merged in, and something nearer has said it
		}
		m.seen[name] = key
		label := ast.NewString(name)
		label.ValuePos = m.pos(key)
		m.lit.Elts = append(m.lit.Elts, &ast.Field{Label: label, Value: m.value(value, m.at.With(name), m.depth+1)})
	}
	for _, v := range merges {
		if m.aliased > maxAliased {
			m.tooMany(v, m.at)
			return
		}
		m.merge(v)
	}
}

func (m *yamlMapping) repeated(key, first *yaml.Node, name string) {
	if m.duplicates[key] {
		return
	}
	m.duplicates[key] = true
	pos := m.position(first)
	m.fail(m.position(key), m.at.With(name), fmt.Sprintf("the key is there twice, first on line %d", pos.Line), "", pos)
}

func (m *yamlMapping) merge(v *yaml.Node) {
	target := v
	if v.Kind == yaml.AliasNode {
		target = v.Alias
		if target == nil || m.expanding[target] {
			m.fail(m.position(v), m.at, fmt.Sprintf("the anchor %q contains itself", v.Value), "")
			return
		}
		m.expanding[target] = true
		m.inAlias++
		defer func() { m.inAlias--; delete(m.expanding, target) }()
	}
	if m.depth++; m.depth > maxNesting {
		m.fail(m.position(v), nil, fmt.Sprintf("nested more than %d levels deep", maxNesting), "")
		return
	}
	defer func() { m.depth-- }()
	switch target.Kind {
	case yaml.MappingNode:
		m.add(target)
	case yaml.SequenceNode:
		for _, c := range target.Content {
			m.merge(c)
		}
	default:
		m.fail(m.position(v), m.at, "<< wants an object or a list of objects, not "+describeNode(target), "")
	}
}
