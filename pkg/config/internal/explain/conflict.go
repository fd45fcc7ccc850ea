package explain

import (
	"errors"
	"fmt"
	"slices"

	"cuelang.org/go/cue"
	cueerrors "cuelang.org/go/cue/errors"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// side is one of several values or constraints of the same field.
type side struct {
	value        cue.Value // with the default of a disjunction taken
	whole        cue.Value
	pos          diagnostic.Position
	alternatives bool // whole is a disjunction
}

// userConjuncts are what the user's files say of one field, each in the order of the files. What
// kooperd's own schema says, when a file imports it, is left out.
type userConjuncts struct {
	values []side // one of each
	limits []side // constraints, and disjunctions of which no alternative is the default
	broken []side // expressions that fail by themselves
}

func (d *Document) userConjuncts(v cue.Value) userConjuncts {
	var u userConjuncts
	for _, part := range Conjuncts(v) {
		pos, ok := d.Position(valuePos(part))
		if !ok {
			continue
		}
		op, _ := cue.Dereference(part).Expr()
		value := Settled(part)
		one := side{value: value, whole: part, pos: pos, alternatives: op == cue.OrOp}
		switch {
		case isBroken(value):
			u.broken = append(u.broken, one)
		case !value.IsConcrete():
			u.limits = append(u.limits, one)
		case !slices.ContainsFunc(u.values, func(x side) bool { return x.value.Equals(value) }):
			u.values = append(u.values, one)
		}
	}
	order := func(a, b side) int { return diagnostic.ComparePositions(a.pos, b.pos) }
	for _, sides := range [][]side{u.values, u.limits, u.broken} {
		slices.SortStableFunc(sides, order)
	}
	return u
}

// isBroken reports whether v is a scalar expression that fails by itself, and not for want of a
// value.
func isBroken(v cue.Value) bool {
	return v.Err() != nil && v.IsConcrete() && v.IncompleteKind() == cue.BottomKind && !IsStruct(v) && !isList(v)
}

// UserPart returns what the user's files say of a value, when kooperd's own schema, which a file
// may import, refuses it so that nothing below it can be seen any more.
func (d *Document) UserPart(v cue.Value) cue.Value {
	if IsStruct(v) {
		return v
	}
	if u := d.userConjuncts(v); len(u.values) == 1 && len(u.limits) == 0 {
		return u.values[0].value
	}
	return v
}

// conflict reports a value that was set in several places and differs, or that a constraint of the
// user refuses. What only kooperd's own schema refuses is left to s to explain.
func (c *Checker) conflict(at diagnostic.Path, v cue.Value, s *SchemaNode) bool {
	u := c.Doc.userConjuncts(v)
	switch {
	case len(u.broken) > 0:
		b := u.broken[0]
		c.Add(b.pos, at, diagnostic.FirstMessage(b.value.Err()), "")
		return true
	case len(u.values) >= 2 && IsStruct(u.values[0].value) && IsStruct(u.values[1].value):
		return c.conflictOfObjects(at, v, s, u.values[0], u.values[1])
	case len(u.values) >= 2:
		a, b := u.values[0], u.values[1]
		c.Add(a.pos, at, fmt.Sprintf("set to %s in %s and to %s in %s", c.Doc.printed(a.value), a.pos, c.Doc.printed(b.value), b.pos), "", b.pos)
		return true
	case len(u.values) == 1:
		return c.conflictWithLimits(at, v, s, u.values[0], u.limits)
	}
	return false
}

// conflictWithLimits reports the first constraint that refuses a value.
func (c *Checker) conflictWithLimits(at diagnostic.Path, v cue.Value, s *SchemaNode, a side, limits []side) bool {
	for _, b := range limits {
		if a.value.Unify(b.value).Err() == nil {
			continue
		}
		if IsStruct(a.value) && IsStruct(b.value) {
			return c.conflictOfObjects(at, v, s, a, b)
		}
		c.Add(a.pos, at, fmt.Sprintf("%s conflicts with %s in %s", c.Doc.printed(a.value), expression(b.value), b.pos), "", b.pos)
		return true
	}
	if s == nil {
		return false
	}
	before := len(c.Diags)
	c.Check(at, a.value, s)
	return len(c.Diags) > before
}

// conflictOfObjects reports two objects that exclude each other as wholes: no alternative of a
// disjunction fits, or a closed definition lacks a field. A field in which they differ has a report
// of its own.
func (c *Checker) conflictOfObjects(at diagnostic.Path, v cue.Value, s *SchemaNode, a, b side) bool {
	if isHandler(at) && c.HandlerParts(at, v) || s != nil && !isHandler(at) && c.checkParts(at, s, a, b) {
		c.Mark(at) // CUE complains of every alternative
		return true
	}
	if a.alternatives {
		a, b = b, a
	}
	below, reason := difference(a.value, b)
	if reason == "" {
		below, reason = firstReason(at, v)
	}
	if len(below) > 0 {
		reason = below.String() + " " + reason
	}
	message := fmt.Sprintf("conflicts with the object in %s: %s", b.pos, reason)
	if b.alternatives {
		message = fmt.Sprintf("fits no alternative of the disjunction in %s: %s", b.pos, reason)
	}
	c.Add(a.pos, at, message, "", b.pos)
	return true
}

// difference returns the first field in which an object and all alternatives of another side
// exclude each other, and how.
func difference(a cue.Value, b side) (at diagnostic.Path, reason string) {
	alternatives := []cue.Value{b.whole}
	if b.alternatives {
		_, alternatives = cue.Dereference(b.whole).Expr()
	}
	var there []string
	here := ""
	for _, one := range alternatives {
		field, x, y, ok := differentField(a, Settled(one))
		if !ok || at != nil && !slices.Equal(at, field) {
			return nil, ""
		}
		at, here = field, expression(x)
		if text := expression(y); !slices.Contains(there, text) {
			there = append(there, text)
		}
	}
	return at, fmt.Sprintf("is %s there and %s here", diagnostic.Listing(there, "or"), here)
}

// differentField returns the first field in which two objects exclude each other, and what it is in
// both.
func differentField(a, b cue.Value) (at diagnostic.Path, x, y cue.Value, ok bool) {
	it, err := a.Fields()
	if err != nil {
		return nil, x, y, false
	}
	for it.Next() {
		name := it.Selector().Unquoted()
		x, y = Settled(it.Value()), Settled(b.LookupPath(cue.MakePath(it.Selector())))
		switch {
		case !y.Exists() || x.Unify(y).Err() == nil:
		case IsStruct(x) && IsStruct(y):
			if below, x, y, ok := differentField(x, y); ok {
				return diagnostic.Path{name}.With(below...), x, y, true
			}
		default:
			return diagnostic.Path{name}, x, y, true
		}
	}
	return nil, x, y, false
}

// firstReason returns what CUE says first of a value, and where below at.
func firstReason(at diagnostic.Path, v cue.Value) (below diagnostic.Path, reason string) {
	err := v.Err()
	if err == nil {
		err = v.Validate()
	}
	if e, ok := errors.AsType[cueerrors.Error](err); ok {
		if full := diagnostic.ErrorPath(e.Path()); len(full) > len(at) {
			below = full[len(at):]
		}
	}
	return below, diagnostic.FirstMessage(err)
}

// checkParts checks each side by itself, and reports whether it found a mistake.
func (c *Checker) checkParts(at diagnostic.Path, s *SchemaNode, sides ...side) bool {
	before, partial := len(c.Diags), c.partial
	c.partial = true
	for _, one := range sides {
		if value := Settled(one.value); value.IsConcrete() {
			c.Check(at, value, s)
		}
	}
	c.partial = partial
	return len(c.Diags) > before
}

// isHandler reports whether a path is that of a definition's handler.
func isHandler(at diagnostic.Path) bool {
	return len(at) == 3 && at[0] == "controllers" && at[2] == "handler"
}
