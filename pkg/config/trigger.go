package config

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/trigger"
)

// filter compiles what decides on the changes of a definition's objects, and reports its mistakes.
func (r *resolver) filter(at path, kind schema.GroupVersionKind, c *fileController) *trigger.Filter {
	filter, err := r.filters.Filter(kind, c.Ignore, c.Where)
	wrong := (*trigger.FilterError)(nil)
	if err != nil && !errors.As(err, &wrong) {
		r.report(at.with("where"), err.Error(), "this is a mistake in kooperd")
		return nil
	}
	if wrong == nil {
		return filter
	}
	for i, m := range wrong.Ignore {
		if m != nil {
			r.mistake(at.with("ignore").with(indexStep(i)), c.Ignore[i], m)
		}
	}
	for _, m := range wrong.Where {
		r.mistake(at.with("where"), *c.Where, m)
	}
	return nil
}

// mistake reports a mistake at its place in a text.
func (r *resolver) mistake(at path, text string, m *trigger.Mistake) {
	hint := m.Hint
	if name := closest(m.Unknown, m.Known); m.Unknown != "" && name != "" {
		hint = fmt.Sprintf("did you mean %q?", append(slices.Clone(m.Within), name))
	}
	r.problems = append(r.problems, problem{
		at: at, message: m.Message, hint: hint, text: &text, offset: m.Offset,
	})
}
