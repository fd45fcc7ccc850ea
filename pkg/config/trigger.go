package config

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/config/internal/suggest"
	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/trigger"
)

// filter compiles what decides on the changes of a definition's objects, and reports its mistakes.
func (r *resolver) filter(at diagnostic.Path, kind schema.GroupVersionKind, c *language.Controller) *trigger.Filter {
	filter, err := r.filters.Filter(kind, c.Ignore, c.Where)
	wrong := (*trigger.FilterError)(nil)
	if err != nil && !errors.As(err, &wrong) {
		r.report(at.With("where"), err.Error(), "this is a mistake in kooperd")
		return nil
	}
	if wrong == nil {
		return filter
	}
	for i, m := range wrong.Ignore {
		if m != nil {
			r.mistake(at.With("ignore").With(diagnostic.IndexStep(i)), c.Ignore[i], m)
		}
	}
	for _, m := range wrong.Where {
		r.mistake(at.With("where"), *c.Where, m)
	}
	return nil
}

// mistake reports a mistake at its place in a text.
func (r *resolver) mistake(at diagnostic.Path, text string, m *expression.Mistake) {
	r.problems = append(r.problems, problem{
		at: at, message: m.Message, hint: suggested(m.Hint, m.Unknown, m.Known, m.Within), text: &text, offset: m.Offset,
	})
}

// suggested returns the hint, or the known name that is closest to an unknown one behind within.
func suggested(hint, unknown string, known []string, within expression.Path) string {
	if unknown == "" {
		return hint
	}
	if name := suggest.Closest(unknown, known); name != "" {
		if len(within) == 0 {
			return fmt.Sprintf("did you mean %q?", name) // It may be a function, with a dot in its name.
		}
		return fmt.Sprintf("did you mean %q?", append(slices.Clone(within), name))
	}
	return hint
}
