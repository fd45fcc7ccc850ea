package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/trigger"
)

// ignore reads the fields in which changes are ignored and returns them in their canonical form.
func (r *resolver) ignore(at path, kind schema.GroupVersionKind, texts []string) []string {
	var all []string
	for i, text := range texts {
		where := at.with(indexStep(i))
		p, err := trigger.ParsePath(text)
		if mistake := (*trigger.Mistake)(nil); errors.As(err, &mistake) {
			r.mistake(where, text, mistake, quote(text)+" is not the path of a field: ")
			continue
		}
		if !r.fieldPath(where, kind, p) {
			continue
		}
		if r.covered(where, texts, i, p) {
			continue
		}
		all = append(all, p.String())
	}
	return all
}

// covered reports a path that another one of the list makes needless: the same one before it, or one above it.
func (r *resolver) covered(at path, texts []string, i int, p trigger.Path) bool {
	for j, text := range texts {
		other, err := trigger.ParsePath(text)
		if err != nil || j == i || len(other) > len(p) || !slices.Equal(other, p[:len(other)]) {
			continue
		}
		switch {
		case len(other) < len(p):
			r.report(at, fmt.Sprintf("%s is ignored already, by %s at [%d]", quote(texts[i]), quote(text), j), "leave it out")
			return true
		case j < i:
			r.report(at, fmt.Sprintf("%s is there twice, first at [%d]", quote(texts[i]), j), "")
			return true
		}
	}
	return false
}

// fieldPath checks that a path leads somewhere. The fields of custom kinds are not known, but for their metadata.
func (r *resolver) fieldPath(at path, kind schema.GroupVersionKind, p trigger.Path) bool {
	if slices.Equal(p, trigger.Path{"metadata", "deletionTimestamp"}) {
		r.report(at, "a change that sets metadata.deletionTimestamp calls the handler in any case", "leave it out")
		return false
	}
	known, whole := fieldsOf(kind)
	if !whole && p[0] != "metadata" {
		return true
	}
	_, err := trigger.Resolve(known, p)
	if wrong := (*trigger.FieldError)(nil); errors.As(err, &wrong) {
		hint := wrong.Hint
		if name := closest(p[wrong.Index], wrong.Known); name != "" {
			hint = fmt.Sprintf("did you mean %q?", append(slices.Clone(p[:wrong.Index]), name))
		}
		r.report(at, fmt.Sprintf("%s: %s", kind.Kind, wrong.Message), hint)
		return false
	}
	return true
}

// fieldsOf returns the Go type of a kind; of a custom one only the metadata is known, and it is not whole.
func fieldsOf(kind schema.GroupVersionKind) (known reflect.Type, whole bool) {
	if known, ok := scheme.Scheme.KnownTypes(kind.GroupVersion())[kind.Kind]; ok {
		return known, true
	}
	return reflect.TypeFor[metav1.PartialObjectMetadata](), false
}

// where checks an expression.
func (r *resolver) where(at path, kind schema.GroupVersionKind, text *string) string {
	if text == nil {
		return ""
	}
	if r.language == nil {
		language, err := trigger.NewLanguage()
		if err != nil {
			r.report(at, err.Error(), "this is a mistake in kooperd")
			return ""
		}
		r.language = language
	}
	condition, err := r.language.Compile(*text)
	if mistakes := (trigger.Mistakes)(nil); errors.As(err, &mistakes) {
		for _, m := range mistakes {
			r.mistake(at, *text, m, "")
		}
		return *text
	}
	known, whole := fieldsOf(kind)
	for _, m := range condition.Check(known, whole) {
		r.mistake(at, *text, m, kind.Kind+": ")
	}
	return *text
}

// mistake reports a mistake at its place in a text.
func (r *resolver) mistake(at path, text string, m *trigger.Mistake, prefix string) {
	hint := m.Hint
	if m.Unknown != "" {
		if h := didYouMean(m.Unknown, m.Known); h != "" {
			hint = h
		}
	}
	r.problems = append(r.problems, problem{at: at, message: prefix + m.Message, hint: hint, text: &text, offset: m.Offset})
}
