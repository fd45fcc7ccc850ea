package explain

import (
	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/syntax"
)

// Document is what all files of a load say together, with the way back to the places where they say
// it.
type Document struct {
	Value cue.Value
	Files map[string]*syntax.Source // by absolute name
	first *syntax.Source
	// labels leads from the position of a field's value to the position of its label, for values
	// that come from more than one place and so have no single field.
	labels map[place]token.Pos
	// written are the numbers as the files have them, by their places: a value keeps the number
	// alone.
	written map[place]string
}

// NewDocument returns a document without files; first is the one that mistakes without a place are
// reported in.
func NewDocument(first *syntax.Source) *Document {
	return &Document{Files: map[string]*syntax.Source{}, first: first, labels: map[place]token.Pos{}, written: map[place]string{}}
}

// place is a token.Pos without the blanks around the token, which are a part of token.Pos.
type place struct {
	file   string
	offset int
}

func placeOf(p token.Pos) place { return place{file: p.Filename(), offset: p.Offset()} }

// Index remembers the labels and the numbers of a file.
func (d *Document) Index(f *ast.File) {
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			if n.Value != nil {
				d.labels[placeOf(n.Value.Pos())] = n.Label.Pos()
			}
			d.indexNumber(n.Value)
		case *ast.ListLit:
			for _, e := range n.Elts {
				d.indexNumber(e)
			}
		case *ast.BinaryExpr:
			if n.Op == token.OR || n.Op == token.AND {
				d.indexNumber(n.Y)
			}
		case *ast.UnaryExpr:
			if n.Op == token.MUL {
				d.indexNumber(n.X)
			}
		}
		return true
	}, nil)
}

// indexNumber remembers how x is written, if it is a number with or without a sign.
func (d *Document) indexNumber(x ast.Expr) {
	sign, lit := "", x
	if u, ok := x.(*ast.UnaryExpr); ok && (u.Op == token.SUB || u.Op == token.ADD) {
		sign, lit = u.Op.String(), u.X
	}
	if number, ok := lit.(*ast.BasicLit); ok && (number.Kind == token.INT || number.Kind == token.FLOAT) {
		d.written[placeOf(x.Pos())] = sign + number.Value
	}
}

// spelling returns how a number, true, false or null is written in the files, or "" for what an
// expression comes to.
func (d *Document) spelling(v cue.Value) string {
	for _, part := range append([]cue.Value{v, cue.Dereference(v)}, Conjuncts(v)...) {
		at := placeOf(valuePos(part))
		if src, ok := d.Files[at.file]; ok && src.Written[at.offset] != "" {
			return src.Written[at.offset]
		}
		if text := d.written[at]; text != "" {
			return text
		}
	}
	return ""
}

// Position turns a position of CUE into one of the user's files, or false when it is none.
func (d *Document) Position(p token.Pos) (diagnostic.Position, bool) {
	if !p.IsValid() {
		return diagnostic.Position{}, false
	}
	src, ok := d.Files[p.Filename()]
	if !ok || src.Name == syntax.SchemaName {
		return diagnostic.Position{}, false
	}
	return syntax.PositionAt(src.Name, src.Data, p.Offset()), true
}

// Start is the place for what belongs to no field that is there.
func (d *Document) Start() diagnostic.Position {
	return diagnostic.Position{File: d.first.Name, Line: 1, Column: 1}
}

// Lookup returns the value at a path; it may not exist. On the way it takes the default of every
// disjunction, but the value itself is returned as it stands.
func (d *Document) Lookup(at diagnostic.Path) cue.Value {
	v := d.Value
	for _, step := range at.Cue().Selectors() {
		v = Settled(v).LookupPath(cue.MakePath(step))
	}
	return v
}

// Settled returns the default of a disjunction, and any other value as it is. CUE looks for a field
// in a disjunction as a whole and finds none, so every step into a value begins with this.
func Settled(v cue.Value) cue.Value {
	v, _ = v.Default()
	return v
}

// Ambiguous reports whether v is an object or a list of which several alternatives are left and
// none is the default.
func Ambiguous(v cue.Value) bool {
	kind := v.IncompleteKind()
	return v.Err() == nil && kind != cue.BottomKind && kind&^(cue.StructKind|cue.ListKind) == 0 && !Settled(v).IsConcrete()
}

// KeyPosition returns where the name of a field stands, or of the nearest ancestor that stands in a
// file.
func (d *Document) KeyPosition(at diagnostic.Path) diagnostic.Position {
	return d.nearest(at, d.labelPos)
}

// ValuePosition returns where the value of a field stands, or the name of the nearest ancestor that
// stands in a file.
func (d *Document) ValuePosition(at diagnostic.Path) diagnostic.Position {
	if v := d.Lookup(at); v.Exists() || v.Err() != nil {
		for _, p := range d.candidates(v, valuePos) {
			return p
		}
	}
	return d.KeyPosition(at)
}

func (d *Document) nearest(at diagnostic.Path, of func(cue.Value) token.Pos) diagnostic.Position {
	for ; len(at) > 0; at = at.Parent() {
		v := d.Lookup(at)
		if !v.Exists() && v.Pos() == token.NoPos {
			continue
		}
		for _, p := range d.candidates(v, of) {
			return p
		}
	}
	return d.Start()
}

// candidates returns the places in the user's files that make up v, the most direct first.
func (d *Document) candidates(v cue.Value, of func(cue.Value) token.Pos) []diagnostic.Position {
	var found []diagnostic.Position
	if p, ok := d.Position(of(v)); ok {
		found = append(found, p)
	}
	for _, part := range Conjuncts(v) {
		if p, ok := d.Position(of(part)); ok {
			found = append(found, p)
		}
	}
	return found
}

// maxConjuncts bounds the search for the parts of a value; more are only useful to a machine.
const maxConjuncts = 64

// Conjuncts returns the values that were unified to v, or nil when v is a single one.
func Conjuncts(v cue.Value) []cue.Value {
	op, args := v.Expr()
	if op != cue.AndOp {
		return nil
	}
	var parts []cue.Value
	for len(args) > 0 && len(parts) < maxConjuncts {
		arg := args[0]
		args = args[1:]
		if op, more := arg.Expr(); op == cue.AndOp {
			args = append(more, args...)
			continue
		}
		parts = append(parts, arg)
	}
	return parts
}

// labelPos returns where the name of v's field stands.
func (d *Document) labelPos(v cue.Value) token.Pos {
	if f, ok := v.Source().(*ast.Field); ok {
		return f.Label.Pos()
	}
	pos := v.Pos()
	if label, ok := d.labels[placeOf(pos)]; ok {
		return label
	}
	return pos
}

// valuePos returns where v itself stands.
func valuePos(v cue.Value) token.Pos {
	if f, ok := v.Source().(*ast.Field); ok && f.Value != nil {
		return f.Value.Pos()
	}
	return v.Pos()
}
