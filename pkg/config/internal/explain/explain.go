package explain

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	cueerrors "cuelang.org/go/cue/errors"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/suggest"
)

// reporter words what is wrong with one value.
type reporter struct {
	*Report
	Doc     *Document
	Plugins Plugins
	core    *SchemaNode // of the whole document
}

// Plugins are the plugins that a handler may name.
type Plugins struct {
	Names []string // sorted
	// Node returns the schema of a plugin's config, or nil for an unknown plugin.
	Node func(name string) *SchemaNode
}

// missing reports a required field that is not there, at the nearest thing that is.
func (c *reporter) missing(at diagnostic.Path, name string, s *SchemaNode) {
	full := at.With(name)
	if c.Has(full) {
		return
	}
	hint := ""
	switch {
	case full.Key() == "apiVersion":
		hint = `write apiVersion: "kooperd.dev/v1alpha1"`
	case s.ref == "#Handler":
		hint = "name one of the plugins: " + diagnostic.Listing(c.Plugins.Names, "or")
	case s.accepts(cue.StringKind) && !s.accepts(cue.StructKind) && s.text != "":
		hint = "want " + s.want()
	}
	c.Add(c.Doc.KeyPosition(at), full, "required field is missing", hint)
}

// wrongKind reports a value of a kind that the schema does not have there. The field is named when
// the schema knows it by its name, and not as one of any name.
func (c *reporter) wrongKind(at diagnostic.Path, v cue.Value, s *SchemaNode, named bool) {
	if c.Has(at) {
		return
	}
	message := fmt.Sprintf("want %s, have %s", s.want(), c.Doc.Have(v))
	hint := c.Doc.kindHint(v, s)
	switch text, err := v.String(); {
	case v.Kind() == cue.NullKind && s.accepts(cue.StringKind) && !named:
		hint = fmt.Sprintf("write %q in quotes", c.Doc.printed(v))
	case s.ref == "#Secret":
		// What stands there may be the secret.
		message, hint = "want an object, have something else", `write {env: "NAME"} or {file: "/path"}: a secret never stands in the file`
	case s.ref == "#Handler" && err == nil && slices.Contains(c.Plugins.Names, text):
		hint = fmt.Sprintf("write {%s: {}}", text)
	case s.ref == "#Handler":
		hint = "name one of the plugins: " + diagnostic.Listing(c.Plugins.Names, "or")
	case at.Key() == "apiVersion":
		message, hint = c.Doc.versionMessage(v)
	}
	c.Add(c.Doc.ValuePosition(at), at, message, hint)
}

// wrongName reports a name that no pattern of the schema allows.
func (c *reporter) wrongName(at diagnostic.Path, s *SchemaNode) {
	if c.Has(at) {
		return
	}
	hint := ""
	switch {
	case len(at) == 2 && at[0] == "controllers":
		hint = suggest.LabelHint(at.Last())
	case len(at) == 2 && at[0] == "kinds":
		hint = suggest.KindNameHint(at.Last())
	}
	c.Add(c.Doc.KeyPosition(at), at, "is not "+s.name, hint)
}

// kindHint says how the value would have to be written.
func (d *Document) kindHint(v cue.Value, s *SchemaNode) string {
	text, err := v.String()
	isText := err == nil
	if hint := synonymHint(v, s); hint != "" {
		return hint
	}
	switch {
	case v.Kind() == cue.NullKind && s.accepts(cue.StructKind):
		return "write {} for no settings"
	case v.Kind() == cue.NullKind:
		return "leave the field out for its default"
	case isText && s.accepts(cue.BoolKind):
		return boolHint(text)
	case isText && s.accepts(cue.NumberKind) && plainNumber.MatchString(text):
		return "write " + text + " without quotes"
	case v.Kind() == cue.FloatKind && s.accepts(cue.IntKind):
		if n, err := v.Float64(); err == nil && n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return fmt.Sprintf("write %.0f", n)
		}
	case isText && s.accepts(cue.ListKind):
		return fmt.Sprintf("write [%s]", diagnostic.Quote(text))
	case s.ref == "#Duration" || slices.ContainsFunc(s.alternatives(), func(a *SchemaNode) bool { return a.ref == "#Duration" }):
		return suggest.DurationHint(d.printed(v))
	case s.accepts(cue.StringKind) && v.Kind()&(cue.NumberKind|cue.BoolKind) != 0:
		if enum := s.enum(); len(enum) > 0 {
			return ""
		}
		return fmt.Sprintf("write %q in quotes", d.printed(v))
	}
	return ""
}

var plainNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

func boolHint(text string) string {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "y":
		return "write true"
	case "false", "no", "off", "n":
		return "write false"
	}
	return ""
}

// wrongValue reports a scalar of the right kind that the schema refuses.
func (c *reporter) wrongValue(at diagnostic.Path, v cue.Value, s *SchemaNode) {
	if c.Has(at) {
		return
	}
	hint := ""
	if text, err := v.String(); err == nil {
		hint = textHint(text, s)
	}
	if synonym := synonymHint(v, s); synonym != "" {
		hint = synonym
	}
	message := fmt.Sprintf("want %s, have %s", s.want(), c.Doc.printed(v))
	if at.Key() == "apiVersion" {
		message, hint = c.Doc.versionMessage(v)
	}
	c.Add(c.Doc.ValuePosition(at), at, message, hint)
}

// textHint guesses what a refused text was meant to be.
func textHint(text string, s *SchemaNode) string {
	if hint := suggest.DidYouMean(text, s.enum()); hint != "" {
		return hint
	}
	refs := []string{s.ref}
	for _, arm := range s.alternatives() {
		refs = append(refs, arm.ref)
	}
	for _, ref := range refs {
		if hint := hintFor(ref, text); hint != "" {
			return hint
		}
	}
	return ""
}

// wrongList reports a list whose elements are right one by one.
func (c *reporter) wrongList(at diagnostic.Path, v cue.Value, s *SchemaNode) {
	if c.Has(at) {
		return
	}
	message := "the list is not as the schema wants it"
	if n, err := v.Len().Int64(); err == nil && n == 0 {
		message = "the list is empty"
	}
	hint := "want at least one entry"
	if at.Last() == "namespaces" {
		hint = "leave the field out to watch all namespaces"
	}
	if message != "the list is empty" {
		hint = diagnostic.FirstMessage(s.Value.Unify(v).Validate(cue.Concrete(true)))
	}
	c.Add(c.Doc.ValuePosition(at), at, message, hint)
}

// incomplete reports a CUE constraint where a value should be.
func (c *reporter) incomplete(at diagnostic.Path, v cue.Value, s *SchemaNode) {
	hint := ""
	if attr := v.Attribute("embed"); attr.Err() == nil {
		hint = "@embed is not supported"
	}
	message := "has no value yet, only the constraint " + expression(v)
	if err := v.Err(); err != nil {
		message = "has no value yet: " + diagnostic.FirstMessage(err)
	}
	if hint == "" {
		hint = "want " + s.want()
	}
	c.Add(c.Doc.ValuePosition(at), at, message, hint)
}

// Undecided reports an object or a list of which several alternatives are left.
func (c *reporter) Undecided(at diagnostic.Path, v cue.Value) {
	c.Add(c.Doc.ValuePosition(at), at, "several alternatives are left: "+expression(v),
		"mark the default with *, or set a field that only one of them allows")
}

// broken reports a value that is a mistake in itself: a conflict, or an expression that fails.
func (c *Checker) broken(at diagnostic.Path, v cue.Value, s *SchemaNode, err error) {
	if c.conflict(at, v, s) {
		return
	}
	c.Add(c.Doc.errorPosition(err, c.Doc.ValuePosition(at)), at, diagnostic.FirstMessage(err), "")
}

// errorPosition returns the first place in the user's files that an error of CUE names, or another
// one without any.
func (d *Document) errorPosition(err error, other diagnostic.Position) diagnostic.Position {
	if e, ok := errors.AsType[cueerrors.Error](err); ok {
		for _, p := range cueerrors.Positions(e) {
			if known, ok := d.Position(p); ok {
				return known
			}
		}
	}
	return other
}
