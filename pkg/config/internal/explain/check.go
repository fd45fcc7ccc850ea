package explain

import (
	"errors"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	cueerrors "cuelang.org/go/cue/errors"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// Checker compares a document with a schema and explains every difference. It is used only for what
// CUE has refused, so it may take its time; what CUE accepts is never refused here.
type Checker struct {
	reporter
	stack   []level // the structs around the value being checked, the root first
	partial bool    // only a part of what the files say is looked at, so nothing is missing in it
}

// NewChecker returns a checker that adds to report what is wrong with doc. The core schema is that
// of the whole document.
func NewChecker(doc *Document, report *Report, plugins Plugins, core *SchemaNode) *Checker {
	return &Checker{reporter: reporter{Report: report, Doc: doc, Plugins: plugins, core: core}}
}

// level is one struct on the way to a value.
type level struct {
	at    diagnostic.Path
	node  *SchemaNode
	value cue.Value
}

// CheckDocument checks all of the document by the core schema, as Check does.
func (c *Checker) CheckDocument() (sound any, ok bool) { return c.Check(nil, c.Doc.Value, c.core) }

// Check reports what is wrong with v and returns the part of it that is right, as encoding/json
// would decode it.
func (c *Checker) Check(at diagnostic.Path, v cue.Value, s *SchemaNode) (sound any, ok bool) {
	if s.ref == "#KindSchema" {
		return nil, false // a schema has constraints where data has values
	}
	whole := v
	v = Settled(v)
	switch err := v.Err(); {
	case Ambiguous(v):
		if s.ref != "#Handler" { // handlers are checked by the schemas of their plugins
			c.Undecided(at, whole)
		}
		return nil, false
	case s.ref == "#Handler" && IsStruct(c.Doc.UserPart(v)):
		return nil, false // handlers are checked by the schemas of their plugins
	case IsStruct(v):
		return c.checkStruct(at, v, s)
	case isList(v):
		return c.checkList(at, v, s)
	case c.Has(at):
		return nil, false
	case !v.IsConcrete():
		c.incomplete(at, v, s)
		return nil, false
	case err != nil:
		c.broken(at, v, s, err)
		return nil, false
	default:
		return c.checkScalar(at, v, s)
	}
}

// IsStruct tells a struct, one with mistakes below it included.
func IsStruct(v cue.Value) bool {
	v = Settled(v)
	switch v.IncompleteKind() {
	case cue.StructKind:
		return true
	case cue.BottomKind:
		it, err := v.Fields()
		return err == nil && !isList(v) && it.Next()
	default:
		return false
	}
}

// isList tells a list, one with mistakes in its elements included.
func isList(v cue.Value) bool {
	v = Settled(v)
	return v.Kind() == cue.ListKind || v.IncompleteKind() == cue.BottomKind && v.LookupPath(cue.MakePath(cue.Index(0))).Exists()
}

// pick returns the arm of the schema for values of one kind, and all of its arms of that kind.
func pick(s *SchemaNode, k cue.Kind) (*SchemaNode, []*SchemaNode) {
	arms := s.alternatives()
	if len(arms) == 1 {
		return s, arms
	}
	arms = slices.DeleteFunc(arms, func(a *SchemaNode) bool { return !a.accepts(k) })
	if len(arms) == 1 {
		return arms[0], arms
	}
	return s, arms
}

func (c *Checker) checkStruct(at diagnostic.Path, v cue.Value, s *SchemaNode) (any, bool) {
	if !s.accepts(cue.StructKind) {
		c.wrongKind(at, v, s, c.named(at))
		return nil, false
	}
	arm, arms := pick(s, cue.StructKind)
	if len(arms) > 1 {
		return c.checkArms(at, v, arms)
	}
	c.stack = append(c.stack, level{at: at, node: arm, value: v})
	defer func() { c.stack = c.stack[:len(c.stack)-1] }()
	arm.open()
	sound := map[string]any{}
	it, err := v.Fields()
	if err != nil {
		return nil, false
	}
	for it.Next() {
		name, value := it.Selector().Unquoted(), it.Value()
		if Missing(value) {
			continue
		}
		sub := c.fieldNode(at, v, arm, name)
		if sub == nil {
			continue
		}
		if x, ok := c.Check(at.With(name), value, sub); ok {
			sound[name] = x
		}
	}
	for _, name := range arm.names {
		if arm.fields[name].required && !hasField(v, name) && !c.partial {
			c.missing(at, name, arm.fields[name].SchemaNode)
		}
	}
	return sound, true
}

// Missing tells a field that stands in a definition the user refers to as required, and is not
// there.
func Missing(v cue.Value) bool {
	err := v.Err()
	if err == nil {
		return false
	}
	var e cueerrors.Error
	if !errors.As(err, &e) {
		return false
	}
	format, _ := e.Msg()
	return strings.HasPrefix(format, "field is required but not present")
}

func hasField(v cue.Value, name string) bool {
	f := Settled(v).LookupPath(cue.MakePath(cue.Str(name)))
	return (f.Exists() || f.Err() != nil && f.Pos().IsValid()) && !Missing(f)
}

// fieldNode returns what the schema says of a field, and reports one that it does not know. What
// the field holds is checked even when its name is wrong, where the schema leaves no doubt what it
// should be.
func (c *Checker) fieldNode(at diagnostic.Path, v cue.Value, s *SchemaNode, name string) *SchemaNode {
	if sub := s.child(name); sub != nil {
		return sub
	}
	// A schema may allow a field on a condition, which only the two together show.
	if both := s.Value.Unify(v); both.Err() == nil && both.Allows(cue.Str(name)) {
		return NewSchemaNode(both.LookupPath(cue.MakePath(cue.Str(name).Optional())))
	}
	at = at.With(name)
	if sub := s.anyName(); sub != nil {
		c.wrongName(at, sub)
		return sub
	}
	c.unknown(at, s)
	return nil
}

// checkArms explains a struct by the arm of a disjunction that it fits best.
func (c *Checker) checkArms(at diagnostic.Path, v cue.Value, arms []*SchemaNode) (any, bool) {
	var best *Checker
	var sound any
	for _, arm := range arms {
		if both := arm.Value.Unify(v); both.Validate(cue.Concrete(true)) == nil {
			return decoded(v)
		}
		try := &Checker{reporter: c.reporter, stack: slices.Clone(c.stack), partial: c.partial}
		try.Report = c.Fields()
		x, _ := try.Check(at, v, arm)
		if best == nil || len(try.Diags) < len(best.Diags) {
			best, sound = try, x
		}
	}
	if best == nil {
		return nil, false
	}
	c.take(best.Report)
	return sound, true
}

func (c *Checker) checkList(at diagnostic.Path, v cue.Value, s *SchemaNode) (any, bool) {
	if !s.accepts(cue.ListKind) {
		c.wrongKind(at, v, s, c.named(at))
		return nil, false
	}
	arm, _ := pick(s, cue.ListKind)
	sound, whole := []any{}, true
	before := len(c.Diags)
	for i := 0; ; i++ {
		elem, sub := v.LookupPath(cue.MakePath(cue.Index(i))), arm.element(i)
		if !elem.Exists() || sub == nil {
			break
		}
		x, ok := c.Check(at.With(diagnostic.IndexStep(i)), elem, sub)
		whole = whole && ok
		sound = append(sound, x)
	}
	if before == len(c.Diags) && !c.Explained(at) && arm.Value.Unify(v).Validate(cue.Concrete(true)) != nil {
		c.wrongList(at, v, arm)
		return nil, false
	}
	return sound, whole // a list that lacks an entry would give the others wrong places
}

func (c *Checker) checkScalar(at diagnostic.Path, v cue.Value, s *SchemaNode) (any, bool) {
	if !s.accepts(v.Kind()) {
		c.wrongKind(at, v, s, c.named(at))
		return nil, false
	}
	if s.Value.Unify(v).Validate(cue.Concrete(true)) != nil {
		c.wrongValue(at, v, s)
		return nil, false
	}
	return decoded(v)
}

func decoded(v cue.Value) (any, bool) {
	var x any
	if err := v.Decode(&x); err != nil {
		return nil, false
	}
	return x, true
}

// named reports whether the schema knows a field by its name, and not as one of any name.
func (c *Checker) named(at diagnostic.Path) bool {
	return len(c.stack) == 0 || c.stack[len(c.stack)-1].knows(at.Last())
}
