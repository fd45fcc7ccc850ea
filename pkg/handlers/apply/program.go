package apply

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
)

// The variables of expressions.
const (
	objectVariable   = "object"
	childrenVariable = "children"
	relatedVariable  = "related"
	selfVariable     = "self"

	defaultAs = "item"
)

// program is a compiled config. It never changes and is safe for concurrent use.
type program struct {
	children   []*child // each after those that it reads
	status     node     // nil without one
	conditions []condition
	related    []related
	read       map[string]bool // the children that expressions read, by name
	allRead    bool            // an expression reads all of them
}

// child is a compiled Child.
type child struct {
	Child
	name     string
	kind     schema.GroupVersionKind
	at       string // how messages name it
	template node
	making   node                   // the template with generated values; nil: it has none
	forEach  *expression.Expression // nil: it is one child
	as       string
	key      node                   // nil: the entry itself
	include  *expression.Expression // nil: always
	ready    *expression.Expression // nil: as is usual for the kind
	reads    []string               // the children that its expressions read, and its after
	counts   []string               // those that say whether it is made, and how often
}

// condition is a compiled Condition.
type condition struct {
	name            string
	when            *expression.Expression
	reason, message node // nil: none
}

// compiler makes a program of a config, and notes what is wrong with it.
type compiler struct {
	language  *expression.Language
	config    *Config
	kinds     handlers.Kinds
	problems  []handlers.Problem
	scope     map[string]expression.Type // of everything but as and self
	generate  generateWhen
	generates bool // there is something to be generated
}

// theLanguage is that of all templates. It is made when the first one is compiled.
var theLanguage = sync.OnceValues(func() (*expression.Language, error) { return languageWith(noRandom{}) })

// generatingLanguage is that of templates when their values are generated.
var generatingLanguage = sync.OnceValues(func() (*expression.Language, error) { return languageWith(rand.Reader) })

func languageWith(random io.Reader) (*expression.Language, error) {
	return expression.NewLanguage(append(generateFunctions(random), nameFunction())...)
}

// compile compiles a config. Without problems, the program is whole.
func compile(c *Config, kinds handlers.Kinds) (*program, []handlers.Problem, error) {
	language, err := theLanguage()
	if err != nil {
		return nil, nil, err
	}
	p := &compiler{language: language, config: c, kinds: kinds}
	return p.compile(), p.problems, nil
}

func (c *compiler) compile() *program {
	heads := map[string]head{}
	for _, name := range sortedKeys(c.config.Children) {
		heads[name] = c.head(name)
	}
	c.scope = map[string]expression.Type{
		objectVariable: typeOf(c.kinds, c.kinds.Watched), childrenVariable: childrenType(c.config, c.kinds, heads), relatedVariable: relatedType(c.config, c.kinds),
	}
	p := &program{read: map[string]bool{}}
	byName := map[string]*child{}
	for _, name := range sortedKeys(c.config.Children) {
		byName[name] = c.child(name, heads[name])
	}
	for _, name := range sortedKeys(c.config.Related) {
		p.related = append(p.related, c.related(name))
	}
	objectCheck{c}.checkNames(byName)
	p.children = c.ordered(byName)
	if len(c.config.Status) > 0 {
		var fields map[string]any
		if json.Unmarshal(c.config.Status, &fields) == nil && fields["conditions"] != nil && len(c.config.Conditions) > 0 {
			c.report("status.conditions", "is there beside conditions", "write all of them in conditions")
		}
		p.status = c.template(c.config.Status, c.scopeWith(nil), statusPlace(c))
	}
	for _, name := range sortedKeys(c.config.Conditions) {
		p.conditions = append(p.conditions, c.condition(name))
	}
	if len(c.problems) == 0 {
		p.noteReads()
	}
	return p
}

// noteReads finds out which children expressions read.
func (p *program) noteReads() {
	all := expressionsIn(p.status)
	for _, c := range p.conditions {
		all = append(all, c.when)
		all = append(append(all, expressionsIn(c.reason)...), expressionsIn(c.message)...)
	}
	for _, c := range p.children {
		all = append(all, c.expressions()...)
		if c.ready != nil {
			all = append(all, c.ready)
		}
	}
	read, whole := names(all, childrenVariable)
	p.allRead = whole
	for _, name := range read {
		p.read[name] = true
	}
}

// expressions are those that say whether and how a child should be.
func (c *child) expressions() []*expression.Expression {
	all := append(expressionsIn(c.template), expressionsIn(c.key)...)
	for _, e := range []*expression.Expression{c.forEach, c.include} {
		if e != nil {
			all = append(all, e)
		}
	}
	return all
}

// typeOf returns what is known of the objects of a kind; nil for none.
func typeOf(kinds handlers.Kinds, kind schema.GroupVersionKind) expression.Type {
	if kind.Kind == "" {
		return nil
	}
	return kinds.Type(kind)
}

// childrenType is what is known of the variable children.
func childrenType(config *Config, kinds handlers.Kinds, heads map[string]head) expression.Type {
	fields := map[string]expression.Type{}
	for name, h := range heads {
		if config.Children[name].isPatch() {
			continue // It is not observed.
		}
		fields[name] = typeOf(kinds, h.kind)
		if config.Children[name].ForEach != "" {
			fields[name] = expression.ListOf(fields[name])
		}
	}
	return expression.Record(childrenVariable, fields)
}

// relatedType is what is known of the variable related.
func relatedType(config *Config, kinds handlers.Kinds) expression.Type {
	fields := map[string]expression.Type{}
	for name, r := range config.Related {
		fields[name] = typeOf(kinds, schema.FromAPIVersionAndKind(r.APIVersion, r.Kind))
		if r.Name == "" {
			fields[name] = expression.ListOf(fields[name])
		}
	}
	return expression.Record(relatedVariable, fields)
}

// scopeWith returns the scope with more variables.
func (c *compiler) scopeWith(more map[string]expression.Type) expression.Scope {
	all := maps.Clone(c.scope)
	maps.Copy(all, more)
	return expression.Scope{Variables: all}
}

// statusPlace is where the status stands. A kind without one is a mistake.
func statusPlace(c *compiler) place {
	of, known, ok := expression.Field(c.scope[objectVariable], "status")
	has, isKnown := true, false
	if c.kinds.StatusOf != nil {
		has, isKnown = c.kinds.StatusOf(c.kinds.Watched)
	}
	switch {
	case !ok:
		c.report("status", fmt.Sprintf("%s has no status in its schema: what is written there would be lost", c.kinds.Watched.Kind),
			"add it to the CustomResourceDefinition, which has "+strings.Join(known, ", "))
	case isKnown && !has:
		c.report("status", fmt.Sprintf("%s has no subresource status: kooperd writes none to such objects", c.kinds.Watched.Kind),
			"add the subresource to the CustomResourceDefinition, or leave this out")
	}
	return place{path: "status", name: "status", of: of, public: "the status"}
}

// report notes a problem.
func (c *compiler) report(path, message, hint string) {
	c.problems = append(c.problems, handlers.Problem{Path: path, Message: message, Hint: hint})
}

// mistake notes a mistake in an expression that stands at an offset in the string at a path.
func (c *compiler) mistake(path string, offset int, m *expression.Mistake) {
	if c.config.Children[m.Unknown].isPatch() && strings.HasSuffix(m.Message, " "+childrenVariable+"."+m.Unknown) {
		m = &expression.Mistake{
			Offset: m.Offset, Message: fmt.Sprintf("%s.%s is a patch, whose object is not read", childrenVariable, m.Unknown),
			Hint: "read the object with related",
		}
	}
	c.problems = append(c.problems, handlers.Problem{
		Path: path, Message: m.Message, Hint: m.Hint, Offset: offset + m.Offset, Unknown: m.Unknown, Known: m.Known, Within: m.Within,
	})
}

// expression compiles the expression at a path, which begins at an offset in its string.
func (c *compiler) expression(path, text string, offset int, scope expression.Scope, want expression.Want) *expression.Expression {
	e, err := c.language.Compile(text, scope, want)
	if err == nil {
		generating{c}.check(path, offset, e)
		return e
	}
	var wrong expression.Mistakes
	if !errors.As(err, &wrong) {
		c.report(path, err.Error(), "")
		return nil
	}
	for _, m := range wrong {
		if m.Unknown == selfVariable {
			m.Unknown, m.Hint = "", "self is the child, in its readyWhen alone; others read it as in children.page, once it exists"
		}
		c.mistake(path, offset, m)
	}
	return nil
}

// quoteLabel writes a name as a step of a path in CUE.
func quoteLabel(name string) string { return fmt.Sprintf("%q", name) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// variable returns the name of the variable of an entry.
func (c Child) variable() string { return cmp.Or(c.As, defaultAs) }
