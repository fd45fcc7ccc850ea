package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
)

// labelSelector returns the selector, of which equal ones have equal texts; nil selects everything.
func (r *resolver) labelSelector(at diagnostic.Path, f *language.Selector) labels.Selector {
	if f == nil {
		return nil
	}
	sel := labels.NewSelector()
	if f.Object != nil {
		sel = r.labelObject(at, f.Object)
	} else if parsed, err := labels.Parse(f.Text); err == nil {
		sel = parsed
	} else {
		r.report(at, selectorMessage("label", f.Text, err), `write it as kubectl does, such as "app=web,tier in (a, b),!canary"`)
	}
	if sel.Empty() {
		return nil
	}
	return sel
}

// noise are the parts of apimachinery's messages that tell of its code, not of the selector.
var noise = []*regexp.Regexp{
	regexp.MustCompile(`^couldn't parse the selector string ".*": `),
	regexp.MustCompile(`^unable to parse requirement: `),
	regexp.MustCompile(`^invalid selector: '.*'; `),
	regexp.MustCompile(`<nil>: |^key: |^values\[\d+\]\[[^\]]*\]: `),
	regexp.MustCompile(` \(e\.g\. .*\)`),
}

// selectorMessage rewords an error of apimachinery's selector parsers.
func selectorMessage(what, text string, err error) string {
	message := err.Error()
	for _, re := range noise {
		message = re.ReplaceAllString(message, "")
	}
	message = strings.NewReplacer("Invalid value: ", "", "found '',", "found the end,", "found '' ", "found the end, ", "can't understand", "cannot read").Replace(message)
	return fmt.Sprintf("%s is not a %s selector: %s", diagnostic.Quote(text), what, message)
}

func (r *resolver) labelObject(at diagnostic.Path, f *language.SelectorFields) labels.Selector {
	sel := labels.NewSelector()
	for _, key := range sortedKeys(f.MatchLabels) {
		where := at.With("matchLabels", key)
		if r.labelKey(where, key) && r.labelValue(where, f.MatchLabels[key]) {
			sel = sel.Add(newRequirement(key, selection.Equals, []string{f.MatchLabels[key]})...)
		}
	}
	for i, e := range f.MatchExpressions {
		sel = sel.Add(r.labelRequirement(at.With("matchExpressions", diagnostic.IndexStep(i)), e)...)
	}
	return sel
}

func (r *resolver) labelKey(at diagnostic.Path, key string) bool {
	problems := validation.IsQualifiedName(key)
	if len(problems) > 0 {
		r.report(at, fmt.Sprintf("%s is not a label", diagnostic.Quote(key)), "want letters, digits, '-', '_' and '.', with an optional prefix as in example.com/name")
	}
	return len(problems) == 0
}

func (r *resolver) labelValue(at diagnostic.Path, value string) bool {
	problems := validation.IsValidLabelValue(value)
	if len(problems) > 0 {
		r.report(at, fmt.Sprintf("no label can have the value %s", diagnostic.Quote(value)), "want at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends")
	}
	return len(problems) == 0
}

var labelOperators = map[string]selection.Operator{
	"In": selection.In, "NotIn": selection.NotIn, "Exists": selection.Exists, "DoesNotExist": selection.DoesNotExist,
}

func (r *resolver) labelRequirement(at diagnostic.Path, e language.Requirement) []labels.Requirement {
	op, known := labelOperators[e.Operator]
	if !known || e.Key == "" {
		return nil // the schema has reported it
	}
	ok := r.labelKey(at.With("key"), e.Key)
	takesValues := op == selection.In || op == selection.NotIn
	switch {
	case takesValues && len(e.Values) == 0:
		r.report(at.With("values"), e.Operator+" wants at least one value", "")
		return nil
	case !takesValues && len(e.Values) > 0:
		r.report(at.With("values"), e.Operator+" takes no values", "")
		return nil
	}
	for i, v := range e.Values {
		ok = r.labelValue(at.With("values", diagnostic.IndexStep(i)), v) && ok
	}
	if !ok {
		return nil
	}
	return newRequirement(e.Key, op, e.Values)
}

// newRequirement makes a requirement of a key and values that are checked already.
func newRequirement(key string, op selection.Operator, values []string) []labels.Requirement {
	req, err := labels.NewRequirement(key, op, values)
	if err != nil {
		return nil
	}
	return []labels.Requirement{*req}
}

// fieldSelector returns the selector, of which equal ones have equal texts; nil selects everything.
func (r *resolver) fieldSelector(at diagnostic.Path, f *language.Selector) fields.Selector {
	if f == nil {
		return nil
	}
	const hint = `write it as kubectl does, such as "status.phase=Running,spec.nodeName!=n1"`
	var terms []fields.Selector
	if f.Object != nil {
		terms = r.fieldObject(at, f.Object)
	} else {
		sel, err := fields.ParseSelector(f.Text)
		if err != nil {
			r.report(at, selectorMessage("field", f.Text, err), hint)
			return nil
		}
		for _, req := range sel.Requirements() {
			if !fieldName.MatchString(req.Field) {
				r.report(at, fmt.Sprintf("%s is not a field selector: %s is not the name of a field", diagnostic.Quote(f.Text), diagnostic.Quote(req.Field)), hint)
				return nil
			}
		}
		terms = []fields.Selector{sel}
	}
	return canonicalFields(fields.AndSelectors(terms...))
}

// canonicalFields sorts the terms of a selector, which it joins by "and", and removes repeated
// ones. Without a term it returns nil.
func canonicalFields(sel fields.Selector) fields.Selector {
	var terms []fields.Selector
	for _, req := range sel.Requirements() {
		term := fields.OneTermEqualSelector(req.Field, req.Value)
		if req.Operator == selection.NotEquals {
			term = fields.OneTermNotEqualSelector(req.Field, req.Value)
		}
		terms = append(terms, term)
	}
	if len(terms) == 0 {
		return nil
	}
	slices.SortFunc(terms, func(a, b fields.Selector) int { return strings.Compare(a.String(), b.String()) })
	terms = slices.CompactFunc(terms, func(a, b fields.Selector) bool { return a.String() == b.String() })
	return fields.AndSelectors(terms...)
}

// fieldName is the path of a field, as metadata.name and spec.template.spec["x"] are.
var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\-/\[\]"']*$`)

func (r *resolver) fieldObject(at diagnostic.Path, f *language.SelectorFields) []fields.Selector {
	var terms []fields.Selector
	for _, key := range sortedKeys(f.MatchFields) {
		if r.fieldKey(at.With("matchFields", key), key) {
			terms = append(terms, fields.OneTermEqualSelector(key, f.MatchFields[key]))
		}
	}
	for i, e := range f.MatchExpressions {
		where := at.With("matchExpressions", diagnostic.IndexStep(i))
		if e.Key == "" || e.Operator == "" || !r.fieldKey(where.With("key"), e.Key) {
			continue
		}
		if e.Operator == "In" && len(e.Values) > 1 {
			r.report(where.With("values"), fmt.Sprintf("In takes one value, have %d", len(e.Values)), "a field selector has no \"or\": make a definition for each")
			continue
		}
		for _, v := range e.Values {
			if e.Operator == "In" {
				terms = append(terms, fields.OneTermEqualSelector(e.Key, v))
			} else {
				terms = append(terms, fields.OneTermNotEqualSelector(e.Key, v))
			}
		}
	}
	return terms
}

func (r *resolver) fieldKey(at diagnostic.Path, key string) bool {
	if fieldName.MatchString(key) {
		return true
	}
	r.report(at, fmt.Sprintf("%s is not the name of a field", diagnostic.Quote(key)), `want a path such as "status.phase"`)
	return false
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
