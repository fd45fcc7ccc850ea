package trigger

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
)

// Filter decides which changes of the objects of one kind call a handler. A nil *Filter lets all of
// them through. A Filter is immutable and safe for concurrent use.
type Filter struct {
	kind    schema.GroupVersionKind
	ignored *expression.Fields
	where   *expression.Condition
	reads   *expression.Fields
}

// Compiler makes filters. The zero Compiler is ready for use, by one goroutine at a time. It makes
// the CEL environment, which takes longer than compiling an expression, with the first expression.
type Compiler struct {
	// TypeOf returns what is known of the objects of a kind. Nil stands for expression.OfKind.
	TypeOf func(schema.GroupVersionKind) expression.Type

	language *expression.Language
}

// Filter compiles the texts of a filter: paths of fields in which changes are ignored, and an
// expression, nil for none. Without either it returns nil. Mistakes in the texts are a
// *FilterError; any other error is a mistake in this package.
func (c *Compiler) Filter(kind schema.GroupVersionKind, ignore []string, where *string) (*Filter, error) {
	if len(ignore) == 0 && where == nil {
		return nil, nil //nolint:nilnil // no filter is no error
	}
	f := &Filter{kind: kind}
	wrong := &FilterError{}
	if len(ignore) > 0 {
		f.ignored, wrong.Ignore = c.ignoredFields(kind, ignore)
	}
	if where != nil {
		var err error
		if f.where, err = c.condition(kind, *where); err != nil && !errors.As(err, &wrong.Where) {
			return nil, err
		}
	}
	if wrong.Where != nil || slices.ContainsFunc(wrong.Ignore, func(m *expression.Mistake) bool { return m != nil }) {
		return nil, wrong
	}
	if f.where != nil {
		f.reads = expression.FieldsAround(kind, f.where.Reads())
	}
	return f, nil
}

// condition compiles an expression and checks it against what is known of the kind.
func (c *Compiler) condition(kind schema.GroupVersionKind, text string) (*expression.Condition, error) {
	if c.language == nil {
		language, err := expression.NewLanguage()
		if err != nil {
			return nil, err
		}
		c.language = language
	}
	if kind.Kind == "" {
		return c.language.Condition(text, kind)
	}
	return c.language.ConditionOf(text, kind.Kind, c.typeOf(kind))
}

func (c *Compiler) typeOf(kind schema.GroupVersionKind) expression.Type {
	if c.TypeOf == nil {
		return expression.OfKind(kind)
	}
	return c.TypeOf(kind)
}

// ignoredFields reads the paths of `ignore`. The mistakes are by index, nil for a path without one.
func (c *Compiler) ignoredFields(kind schema.GroupVersionKind, texts []string) (*expression.Fields, []*expression.Mistake) {
	paths, mistakes := make([]expression.Path, len(texts)), make([]*expression.Mistake, len(texts))
	for i, text := range texts {
		var err error
		if paths[i], err = expression.ParsePath(text); err != nil && errors.As(err, &mistakes[i]) {
			mistakes[i].Message = fmt.Sprintf("%s is not the path of a field: %s", quoted(text), mistakes[i].Message)
		}
	}
	all := &expression.Fields{Steps: [][]expression.Step{}}
	for i, path := range paths {
		if mistakes[i] != nil {
			continue
		}
		var steps []expression.Step
		steps, mistakes[i] = c.ignorable(kind, path)
		if mistakes[i] == nil {
			mistakes[i] = redundant(texts, paths, i)
		}
		all.Paths, all.Steps = append(all.Paths, path), append(all.Steps, steps)
	}
	if _, whole := expression.KnownType(kind); !whole {
		all.Steps = nil
	}
	return all, mistakes
}

// ignorable checks that changes in a field can be ignored, and returns the way to it for kinds
// whose protobuf is known.
func (c *Compiler) ignorable(kind schema.GroupVersionKind, p expression.Path) ([]expression.Step, *expression.Mistake) {
	if slices.Equal(p, expression.Path{"metadata", "deletionTimestamp"}) {
		return nil, &expression.Mistake{
			Message: "a change that sets metadata.deletionTimestamp calls the handler in any case",
			Hint:    "leave it out",
		}
	}
	known, whole := expression.KnownType(kind)
	var steps []expression.Step
	var err error
	if whole {
		steps, err = expression.Resolve(known, p)
	} else {
		err = expression.Find(c.typeOf(kind), p)
	}
	if wrong := (*expression.FieldError)(nil); errors.As(err, &wrong) {
		return nil, &expression.Mistake{
			Message: kind.Kind + ": " + wrong.Message, Hint: wrong.Hint,
			Within: p[:wrong.Index], Unknown: p[wrong.Index], Known: wrong.Known,
		}
	}
	return steps, nil
}

// redundant is a mistake where another path makes this one redundant: the same one before it, or
// one above it.
func redundant(texts []string, paths []expression.Path, i int) *expression.Mistake {
	p := paths[i]
	for j, other := range paths {
		if other == nil || j == i || len(other) > len(p) || !slices.Equal(other, p[:len(other)]) {
			continue
		}
		switch {
		case len(other) < len(p):
			return &expression.Mistake{
				Message: fmt.Sprintf("%s is ignored already, by %s at [%d]", quoted(texts[i]), quoted(texts[j]), j),
				Hint:    "leave it out",
			}
		case j < i:
			return &expression.Mistake{Message: fmt.Sprintf("%s is there twice, first at [%d]", quoted(texts[i]), j)}
		}
	}
	return nil
}

// Ignored returns the fields in which a change alone does not call the handler, or nil for none.
func (f *Filter) Ignored() *expression.Fields {
	if f == nil {
		return nil
	}
	return f.ignored
}

// Where returns the condition, or nil for none.
func (f *Filter) Where() *expression.Condition {
	if f == nil {
		return nil
	}
	return f.where
}

// Reads returns the fields that the condition reads, or nil without one.
func (f *Filter) Reads() *expression.Fields {
	if f == nil {
		return nil
	}
	return f.reads
}

// MetadataOnly reports whether the metadata of objects is enough to decide. For ignored fields it
// is not, as all others count.
func (f *Filter) MetadataOnly() bool {
	switch {
	case f == nil:
		return true
	case f.ignored != nil:
		return false
	}
	return !slices.ContainsFunc(f.reads.Paths, func(p expression.Path) bool {
		return len(p) == 0 || !slices.Contains([]string{"metadata", "apiVersion", "kind"}, p[0])
	})
}

// FilterError is all that is wrong with the texts of a filter.
type FilterError struct {
	// Ignore has the mistake of each path, nil for one that is right. It is empty without paths.
	Ignore []*expression.Mistake
	// Where are the mistakes of the expression.
	Where expression.Mistakes
}

// Error returns the messages.
func (e *FilterError) Error() string {
	var all expression.Mistakes
	for _, m := range e.Ignore {
		if m != nil {
			all = append(all, m)
		}
	}
	return append(all, e.Where...).Error()
}

// quoted prints a text in quotes, cut when it is long.
func quoted(text string) string { return fmt.Sprintf("%.60q", text) }
