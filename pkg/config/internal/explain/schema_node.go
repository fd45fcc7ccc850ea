package explain

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// SchemaNode is one place of a schema, taken apart so that a mistake can be explained: CUE's own
// errors point at the schema and hide one another. It is made on demand, so a recursive definition
// is no harm.
type SchemaNode struct {
	Value cue.Value // as the field has it
	core  cue.Value // with references to definitions followed
	ref   string    // the definition it refers to, such as #Duration
	text  string    // from @want("…")
	name  string    // what names it may have, where it stands under a pattern: from @name("…"), else the pattern

	opened bool
	fields map[string]*field
	names  []string      // of the fields, in the order of the schema
	rest   []*SchemaNode // what other names may hold
}

// field is a field that a schema knows by name.
type field struct {
	*SchemaNode
	required bool
}

// NewSchemaNode returns the node of a value of the schema.
func NewSchemaNode(v cue.Value) *SchemaNode {
	s := &SchemaNode{Value: v, core: v}
	s.text = attribute(v, "want")
	for range 8 { // a chain of definitions that refer to definitions
		root, ref := s.core.ReferencePath()
		sels := ref.Selectors()
		if len(sels) == 0 {
			break
		}
		if s.ref == "" {
			s.ref = sels[len(sels)-1].String()
		}
		next := root.LookupPath(ref)
		if !next.Exists() || next == s.core {
			break
		}
		if s.Value.Err() != nil {
			// A recursive definition looked at from inside is a structural cycle to CUE, but not
			// from its root.
			s.Value = next
		}
		if s.text == "" {
			s.text = attribute(next, "want")
		}
		s.core = next
	}
	return s
}

// attribute returns the text of @name("…") on a field, or "".
func attribute(v cue.Value, name string) string {
	attr := v.Attribute(name)
	if attr.Err() != nil {
		return ""
	}
	text, err := attr.String(0)
	if err != nil {
		return ""
	}
	return text
}

func (s *SchemaNode) accepts(k cue.Kind) bool { return s.Value.IncompleteKind()&k != 0 }

// alternatives returns the arms of a disjunction, or s alone.
func (s *SchemaNode) alternatives() []*SchemaNode {
	op, args := s.core.Expr()
	if op != cue.OrOp {
		return []*SchemaNode{s}
	}
	var arms []*SchemaNode
	for _, arg := range args {
		arms = append(arms, NewSchemaNode(arg).alternatives()...)
	}
	return arms
}

// open reads the fields of a struct.
func (s *SchemaNode) open() {
	if s.opened {
		return
	}
	s.opened = true
	s.fields = map[string]*field{}
	it, err := s.Value.Fields(cue.Optional(true), cue.Patterns(true))
	if err != nil {
		return
	}
	for it.Next() {
		sel := it.Selector()
		if sel.ConstraintType()&cue.PatternConstraint == cue.PatternConstraint {
			rest := NewSchemaNode(it.Value())
			rest.name = attribute(it.Value(), "name")
			if rest.name == "" {
				rest.name = "a name" + NewSchemaNode(sel.Pattern()).pattern()
			}
			s.rest = append(s.rest, rest)
			continue
		}
		name := sel.Unquoted()
		s.fields[name] = &field{SchemaNode: NewSchemaNode(it.Value()), required: sel.ConstraintType() == cue.RequiredConstraint}
		s.names = append(s.names, name)
	}
}

// child returns what the schema says of a field, or nil when it does not know it. A name that a
// pattern refuses has no node; see anyName.
func (s *SchemaNode) child(name string) *SchemaNode {
	s.open()
	if f, ok := s.fields[name]; ok {
		return f.SchemaNode
	}
	if !s.Value.Allows(cue.Str(name)) {
		return nil
	}
	if v := s.Value.LookupPath(cue.MakePath(cue.Str(name).Optional())); v.Exists() {
		return NewSchemaNode(v)
	}
	if v := s.Value.LookupPath(cue.MakePath(cue.AnyString)); v.Exists() {
		return NewSchemaNode(v)
	}
	return NewSchemaNode(cuecontext.New().CompileString("_"))
}

// anyName returns what a struct that is open to certain names holds under them, for a name that is
// not one of them; nil when the struct is not open.
func (s *SchemaNode) anyName() *SchemaNode {
	s.open()
	if len(s.rest) == 0 {
		return nil
	}
	return s.rest[0]
}

// element returns what the schema says of a list's element, or nil when it says nothing.
func (s *SchemaNode) element(i int) *SchemaNode {
	v := s.Value.LookupPath(cue.MakePath(cue.Index(i)))
	if !v.Exists() {
		v = s.Value.LookupPath(cue.MakePath(cue.AnyIndex))
	}
	if !v.Exists() {
		return nil
	}
	return NewSchemaNode(v)
}

// enum returns the texts that the schema allows, when it lists them.
func (s *SchemaNode) enum() []string {
	var texts []string
	for _, arm := range s.alternatives() {
		if text, err := arm.Value.String(); err == nil {
			texts = append(texts, text)
		}
	}
	return texts
}

// want describes what the schema accepts.
func (s *SchemaNode) want() string {
	if s.text != "" {
		return s.text
	}
	var parts []string
	for _, arm := range s.alternatives() {
		if arm != s && arm.text != "" {
			parts = append(parts, arm.text)
			continue
		}
		parts = append(parts, arm.wantOne())
	}
	return diagnostic.Listing(parts, "or")
}

// wantOne describes an arm that is no disjunction.
func (s *SchemaNode) wantOne() string {
	if s.Value.IsConcrete() && s.Value.IncompleteKind()&(cue.StructKind|cue.ListKind) == 0 {
		return printed(s.Value)
	}
	switch k := s.Value.IncompleteKind(); k {
	case cue.BoolKind:
		return "true or false"
	case cue.IntKind:
		return "an integer" + s.bounds()
	case cue.NumberKind, cue.FloatKind:
		return "a number" + s.bounds()
	case cue.StringKind:
		return "a string" + s.pattern()
	case cue.ListKind:
		if e := s.element(0); e != nil && e.Value.IncompleteKind() == cue.StringKind {
			return "a list of strings"
		}
		return "a list"
	case cue.StructKind:
		return "an object"
	default:
		return strings.NewReplacer("struct", "object", "(", "", ")", "", "|", " or ").Replace(k.String())
	}
}

// bounds describes the limits of a number: " between 1 and 64", " from 0 on", "".
func (s *SchemaNode) bounds() string {
	var low, high string
	for _, c := range constraints(s.core) {
		op, args := c.Expr()
		if len(args) != 1 {
			continue
		}
		switch op {
		case cue.GreaterThanEqualOp:
			low = tighter(low, printed(args[0]), 1)
		case cue.LessThanEqualOp:
			high = tighter(high, printed(args[0]), -1)
		case cue.GreaterThanOp:
			low = tighter(low, "above "+printed(args[0]), 1)
		case cue.LessThanOp:
			high = tighter(high, "below "+printed(args[0]), -1)
		}
	}
	plain := !strings.HasPrefix(low, "above") && !strings.HasPrefix(high, "below")
	switch {
	case low != "" && high != "" && plain:
		return fmt.Sprintf(" between %s and %s", low, high)
	case low != "" && high != "":
		return fmt.Sprintf(" %s and %s", low, high)
	case low != "" && plain:
		return fmt.Sprintf(" from %s on", low)
	case high != "" && plain:
		return fmt.Sprintf(" up to %s", high)
	}
	if low+high != "" {
		return " " + low + high
	}
	return ""
}

// tighter returns the bound that leaves less: the larger one for sign 1, the smaller for -1.
func tighter(a, b string, sign int) string {
	x, okX := number(a)
	y, okY := number(b)
	if okX && okY && x.Cmp(y)*sign >= 0 {
		return a
	}
	return b
}

func number(s string) (*big.Float, bool) {
	return new(big.Float).SetString(strings.TrimPrefix(strings.TrimPrefix(s, "above "), "below "))
}

func (s *SchemaNode) pattern() string {
	for _, c := range constraints(s.core) {
		if op, args := c.Expr(); op == cue.RegexMatchOp && len(args) == 1 {
			if re, err := args[0].String(); err == nil {
				return " that matches " + strconv.Quote(re)
			}
		}
	}
	return ""
}

// constraints returns the parts of a & b & c.
func constraints(v cue.Value) []cue.Value {
	if parts := Conjuncts(v); parts != nil {
		return parts
	}
	return []cue.Value{v}
}
