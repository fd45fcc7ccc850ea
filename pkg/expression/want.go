package expression

import (
	"fmt"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	kubernetes "k8s.io/apiserver/pkg/cel"
)

// Want is what an expression has to make. The zero Want is any JSON value.
type Want struct {
	check  func(x *explainer) *Mistake
	public string // the name of a place for which values of Secrets are nothing
}

// of returns a Mistakes when an expression without other mistakes makes something else. What may be
// a number or a string only has to fit as one of them.
func (w Want) of(x *explainer, parsed *ast.AST) error {
	m := w.check(x)
	if m == nil {
		return nil
	}
	if x.types.seen && x.types.intOrString != cel.StringType {
		t, err := x.language.checkWithStrings(parsed, x.source, x.scope)
		if err != nil {
			return err
		}
		again := *x
		again.typed, again.checked = *t, nodesByID(t.tree)
		if len(t.errors) == 0 && w.check(&again) == nil {
			return nil
		}
	}
	return Mistakes{m}
}

// WantBool is true or false.
func WantBool() Want { return Want{check: (*explainer).noBool} }

// WantList is a list.
func WantList() Want {
	return Want{check: func(x *explainer) *Mistake {
		return x.result(func(node ast.Expr, t *cel.Type) string {
			if t.Kind() == types.ListKind {
				return ""
			}
			return fmt.Sprintf("want a list, but %s is %s", x.name(node), ended(x.what(node)))
		})
	}}
}

// WantText is a string, a number, true or false: what can be a part of a text.
func WantText() Want {
	return Want{check: func(x *explainer) *Mistake {
		return x.result(func(node ast.Expr, t *cel.Type) string {
			switch t.Kind() {
			case types.StringKind, types.IntKind, types.UintKind, types.DoubleKind, types.BoolKind:
				return ""
			}
			return fmt.Sprintf("%s is %s, which cannot stand within a text", x.name(node), ended(x.what(node)))
		})
	}}
}

// WantValue is a JSON value for a place of a type, which messages call by a name. With a nil type
// it is any JSON value.
func WantValue(place string, of Type) Want {
	return Want{check: func(x *explainer) *Mistake {
		return x.result(func(node ast.Expr, t *cel.Type) string {
			if why := notJSON(t); why != "" {
				return fmt.Sprintf("%s is %s, which is no JSON", x.name(node), why)
			}
			if of == nil || fits(t, of) {
				return ""
			}
			return fmt.Sprintf("%s is %s, but %s is %s", place, ended(wanted(of)), x.name(node), ended(x.what(node)))
		})
	}}
}

// result checks the type of what an expression makes. wrong says what is wrong with it.
func (x *explainer) result(wrong func(node ast.Expr, t *cel.Type) string) *Mistake {
	node := x.checked[x.tree.Expr().ID()]
	t := x.tree.GetType(node.ID())
	if isOptional(t) {
		t = t.Parameters()[0]
	}
	switch t.Kind() {
	case types.DynKind, types.ErrorKind, types.AnyKind, types.TypeParamKind, types.NullTypeKind:
		return nil
	}
	message := wrong(node, t)
	if message == "" {
		return nil
	}
	m := &Mistake{Offset: x.place(node), Message: message}
	if hasText(t) {
		m.Hint = fmt.Sprintf("write string(%s)", x.text(node))
	}
	return m
}

// hasText reports whether string() makes a text of what is no JSON.
func hasText(t *cel.Type) bool {
	if _, ok := ofKubernetes[t.TypeName()]; ok {
		return t.TypeName() != kubernetes.FormatType.TypeName()
	}
	return slices.Contains([]types.Kind{types.BytesKind, types.DurationKind, types.TimestampKind}, t.Kind())
}

// notJSON says what values of a type are when they are no JSON. Optional ones are values or left
// out.
func notJSON(t *cel.Type) string {
	if isOptional(t) {
		return notJSON(t.Parameters()[0])
	}
	if of, ok := ofKubernetes[t.TypeName()]; ok {
		return of.what
	}
	switch t.Kind() {
	case types.BytesKind:
		return "bytes"
	case types.UintKind:
		return "an unsigned number"
	case types.DurationKind:
		return "a duration"
	case types.TimestampKind:
		return "a timestamp"
	case types.TypeKind:
		return "a type"
	case types.MapKind:
		if key := t.Parameters()[0]; key.Kind() != types.StringKind && key.Kind() != types.DynKind && key.Kind() != types.TypeParamKind {
			return "a map whose keys are no strings"
		}
		return notJSON(t.Parameters()[1])
	case types.ListKind:
		return notJSON(t.Parameters()[0])
	}
	return ""
}

// fits reports whether values of a CEL type can stand in a place of a type. Optional ones are
// values or left out.
func fits(t *cel.Type, of Type) bool {
	if isOptional(t) {
		return fits(t.Parameters()[0], of)
	}
	switch t.Kind() {
	case types.DynKind, types.AnyKind, types.TypeParamKind, types.NullTypeKind, types.ErrorKind:
		return true
	}
	switch of.shape() {
	case aStruct:
		return t.Kind() == types.MapKind || t.Kind() == types.StructKind
	case aMap:
		if t.Kind() == types.MapKind {
			return of.elem() == nil || fits(t.Parameters()[1], of.elem())
		}
		return t.Kind() == types.StructKind
	case aList:
		return t.Kind() == types.ListKind && (of.elem() == nil || fits(t.Parameters()[0], of.elem()))
	}
	number := t.Kind() == types.IntKind || t.Kind() == types.UintKind || t.Kind() == types.DoubleKind
	switch of.scalar() {
	case aQuantity, aNumberOrString:
		return number || t.Kind() == types.StringKind
	case aNumber:
		return number
	}
	plain := of.plain(&objectTypes{intOrString: cel.DynType})
	switch plain.Kind() {
	case types.DynKind:
		return true
	case types.IntKind:
		return number && t.Kind() != types.DoubleKind
	}
	return plain.Kind() == t.Kind()
}

// wanted says what a place of a type holds.
func wanted(of Type) string {
	switch shape := of.shape(); {
	case shape != aValue:
		return string(shape)
	case of.scalar() != "":
		return of.scalar()
	default:
		return described(of.plain(&objectTypes{intOrString: cel.DynType}))
	}
}

// Describe says what values of a type are, "" where that is open.
func Describe(of Type) string {
	if of == nil || of.shape() == aValue && of.scalar() == "" && of.plain(&objectTypes{intOrString: cel.DynType}).Kind() == types.DynKind {
		return ""
	}
	return ended(wanted(of))
}

// Misfit says what is wrong with a decoded JSON value without parts, or with the kind of one that
// has parts, in a place of a type, which it calls by a name; "" when it fits.
func Misfit(place string, value any, of Type) string {
	if of == nil || value == nil {
		return ""
	}
	var t *cel.Type
	var what string
	switch v := value.(type) {
	case string:
		t, what = cel.StringType, fmt.Sprintf("%.40q is a string", v)
	case bool:
		t, what = cel.BoolType, fmt.Sprintf("%v is true or false", v)
	case int64:
		t, what = cel.IntType, fmt.Sprintf("%d is a number", v)
	case float64:
		t, what = cel.DoubleType, fmt.Sprintf("%v is a number with a fraction", v)
	case map[string]any:
		t, what = cel.MapType(cel.StringType, cel.DynType), "it is "+string(aStruct)
	case []any:
		t, what = cel.ListType(cel.DynType), "it is "+string(aList)
	default:
		return ""
	}
	if fits(t, of) {
		return ""
	}
	return fmt.Sprintf("%s is %s, but %s", place, ended(wanted(of)), what)
}

// Field returns the type of what a key or an entry of a value of a type holds, and the names that
// there are instead where there is no such key.
func Field(of Type, key string) (t Type, known []string, ok bool) {
	if of == nil {
		return nil, nil, true
	}
	switch of.shape() {
	case aStruct:
		if t, ok := of.field(key); ok {
			return t, nil, true
		}
		return nil, of.names(), false
	case aMap:
		return of.elem(), nil, true
	}
	return nil, nil, true
}

// Entry returns the type of the entries of a list.
func Entry(of Type) Type {
	if of == nil || of.shape() != aList {
		return nil
	}
	return of.elem()
}
