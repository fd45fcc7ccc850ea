package apply

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"kooperd.dev/kooperd/pkg/expression"
)

// selectorTemplate is a label selector in which values may have expressions. A word stands there
// for each expression.
type selectorTemplate struct {
	written *metav1.LabelSelector
	values  map[string][]segment // the values with expressions, by what stands in written
}

// parseSelector reads a label selector as kubectl writes it; nil for an empty one. An expression
// can be a value or a part of it, and nothing else: no value of the parent changes what is asked.
func parseSelector(text string) (*selectorTemplate, *expression.Mistake) {
	if text == "" {
		return nil, nil
	}
	segments, m := parseText(text)
	if m != nil {
		return nil, m
	}
	marks := marksFor(text)
	var plain strings.Builder
	var back []string // what is written, by what stands for it
	for i, s := range segments {
		if !s.isExpression {
			plain.WriteString(s.literal)
			continue
		}
		stand := marks.around(i)
		plain.WriteString(stand)
		back = append(back, stand, "${"+s.expression+"}")
	}
	written, err := labelSelectorOf(plain.String())
	if err != nil {
		return nil, &expression.Mistake{
			Message: "is no label selector: " + strings.NewReplacer(back...).Replace(err.Error()), Hint: `write it as in "app=web,tier in (a, b)"`,
		}
	}
	t := &selectorTemplate{written: written, values: map[string][]segment{}}
	found := 0
	for _, value := range t.all() {
		if parts := standing(value, marks, segments); hasExpressions(parts) {
			t.values[value] = parts
			for _, part := range parts {
				if part.isExpression {
					found++
				}
			}
		}
	}
	if found < len(back)/2 {
		return nil, &expression.Mistake{
			Offset: firstExpression(segments), Message: "an expression stands for something else than the value of a label",
			Hint: `write it as in "app=${object.metadata.name}": the rest of the selector is known without an object`,
		}
	}
	return t, nil
}

// labelSelectorOf reads a label selector without expressions.
func labelSelectorOf(text string) (*metav1.LabelSelector, error) {
	requirements, err := labels.ParseToRequirements(text)
	if err != nil {
		return nil, fmt.Errorf("parsing %q: %w", text, err)
	}
	out := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for _, r := range requirements {
		values := r.Values().List()
		_, taken := out.MatchLabels[r.Key()]
		add := func(operator metav1.LabelSelectorOperator) {
			out.MatchExpressions = append(out.MatchExpressions, metav1.LabelSelectorRequirement{Key: r.Key(), Operator: operator, Values: values})
		}
		switch operator := r.Operator(); {
		case (operator == selection.Equals || operator == selection.DoubleEquals) && !taken:
			out.MatchLabels[r.Key()] = values[0]
		case operator == selection.Equals, operator == selection.DoubleEquals, operator == selection.In:
			add(metav1.LabelSelectorOpIn)
		case operator == selection.NotEquals, operator == selection.NotIn:
			add(metav1.LabelSelectorOpNotIn)
		case operator == selection.Exists:
			add(metav1.LabelSelectorOpExists)
		case operator == selection.DoesNotExist:
			add(metav1.LabelSelectorOpDoesNotExist)
		default:
			return nil, fmt.Errorf("parsing %q: labels are not compared by %s", text, operator)
		}
	}
	return out, nil
}

// standMarks are what a word for an expression begins and ends with. They differ, so that none
// begins where another one ends.
type standMarks struct{ before, after string }

// marksFor returns marks that a text does not have, and that may stand in the value of a label.
func marksFor(text string) standMarks {
	unused := func(letter string) string {
		word := letter
		for strings.Contains(text, word) {
			word += letter
		}
		return word
	}
	return standMarks{before: unused("E"), after: unused("F")}
}

// around is the word for the expression with an index.
func (m standMarks) around(i int) string { return fmt.Sprintf("%s%d%s", m.before, i, m.after) }

func firstExpression(segments []segment) int {
	for _, s := range segments {
		if s.isExpression {
			return s.offset
		}
	}
	return 0
}

// standing takes a value apart in which words stand for expressions.
func standing(value string, marks standMarks, segments []segment) []segment {
	var parts []segment
	for i, s := range segments {
		before, after, ok := strings.Cut(value, marks.around(i))
		if !s.isExpression || !ok {
			continue
		}
		if before != "" {
			parts = append(parts, segment{literal: before})
		}
		parts, value = append(parts, s), after
	}
	if value != "" {
		parts = append(parts, segment{literal: value})
	}
	return parts
}

// hasExpressions reports whether there is one among the parts of a text.
func hasExpressions(segments []segment) bool {
	return slices.ContainsFunc(segments, func(s segment) bool { return s.isExpression })
}

// all returns the values of a selector.
func (t *selectorTemplate) all() []string {
	all := slices.Collect(maps.Values(t.written.MatchLabels))
	for _, r := range t.written.MatchExpressions {
		all = append(all, r.Values...)
	}
	return all
}

// varies reports whether one of some values has an expression.
func (t *selectorTemplate) varies(values ...string) bool {
	return slices.ContainsFunc(values, func(value string) bool { return t.values[value] != nil })
}

// fixed returns a selector that all objects have which the template selects for some parent.
func (t *selectorTemplate) fixed() *metav1.LabelSelector {
	if len(t.values) == 0 {
		return t.written
	}
	out := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	exists := func(key string) {
		out.MatchExpressions = append(out.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpExists})
	}
	for _, key := range sortedKeys(t.written.MatchLabels) {
		if value := t.written.MatchLabels[key]; t.varies(value) {
			exists(key)
		} else {
			out.MatchLabels[key] = value
		}
	}
	for _, r := range t.written.MatchExpressions {
		switch {
		case !t.varies(r.Values...):
			out.MatchExpressions = append(out.MatchExpressions, r)
		case r.Operator == metav1.LabelSelectorOpIn:
			exists(r.Key)
		}
	}
	if len(out.MatchLabels)+len(out.MatchExpressions) == 0 {
		return nil
	}
	return out
}

// with returns the selector with what the values with expressions have come to.
func (t *selectorTemplate) with(values map[string]string) *metav1.LabelSelector {
	out := t.written.DeepCopy()
	for key, value := range out.MatchLabels {
		if text, ok := values[value]; ok {
			out.MatchLabels[key] = text
		}
	}
	for _, r := range out.MatchExpressions {
		for i, value := range r.Values {
			if text, ok := values[value]; ok {
				r.Values[i] = text
			}
		}
	}
	return out
}
