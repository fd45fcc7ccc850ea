package apply

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apijson "k8s.io/apimachinery/pkg/util/json"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
)

// place is where a value stands: its path in the config, its name for messages, and what is known
// of what belongs there.
type place struct {
	path, name string
	of         expression.Type

	kind   schema.GroupVersionKind // of the template; empty for the status
	raw    bool                    // there are no expressions
	public string                  // what more people can read than may read Secrets; empty for a place that is no such

	holds   string // "labels", "annotations" or "matchLabels", where Kubernetes itself has them
	isLabel bool   // it is the value of one
}

// key returns the place of a key.
func (p place) key(key string, of expression.Type) place {
	name := p.name + "." + key
	if !identifier.MatchString(key) {
		name = p.name + fmt.Sprintf("[%q]", key)
	}
	below := p
	below.path, below.name, below.of = p.path+"."+quoteLabel(key), strings.TrimPrefix(name, "."), of
	if isMetadata(p.name) && (key == "labels" || key == "annotations") {
		below.public = below.name
	}
	below.holds, below.isLabel = "", p.holds == "labels" || p.holds == "matchLabels"
	switch {
	case p.isObjectMeta() && (key == "labels" || key == "annotations"), p.of == expression.OfGo[metav1.LabelSelector]() && key == "matchLabels":
		below.holds = key
	}
	return below
}

// isObjectMeta reports whether a place is the metadata of an object of Kubernetes, or of a template
// of such. What a custom kind has within, other programs read, by their own rules.
func (p place) isObjectMeta() bool { return p.of == expression.OfGo[metav1.ObjectMeta]() }

// isMetadata reports whether a place is the metadata of an object, or of a template of objects.
func isMetadata(name string) bool { return name == "metadata" || strings.HasSuffix(name, ".metadata") }

// isData reports whether a place is in the data of a ConfigMap or Secret, which can be any text.
func (p place) isData() bool {
	field, _, _ := strings.Cut(strings.ReplaceAll(p.name, "[", "."), ".")
	return p.kind.Group == "" && (p.kind.Kind == "ConfigMap" || p.kind.Kind == "Secret") && strings.HasSuffix(strings.ToLower(field), "data") &&
		field != "metadata"
}

// index returns the place of an entry of a list.
func (p place) index(i int) place {
	below := p
	below.path, below.name, below.of = fmt.Sprintf("%s[%d]", p.path, i), fmt.Sprintf("%s[%d]", p.name, i), expression.Entry(p.of)
	return below
}

// template compiles a template at a place.
func (c *compiler) template(raw json.RawMessage, scope expression.Scope, at place) node {
	var value any
	if err := apijson.Unmarshal(raw, &value); err != nil {
		c.report(at.path, "is no JSON: "+err.Error(), "")
		return constant{}
	}
	return c.node(value, scope, at)
}

// node compiles a part of a template.
func (c *compiler) node(value any, scope expression.Scope, at place) node {
	switch v := value.(type) {
	case map[string]any:
		return c.object(v, scope, at)
	case []any:
		return c.array(v, scope, at)
	case string:
		return c.text(v, scope, at)
	default:
		c.reportMisfit(value, at)
		return constant{value: value}
	}
}

func (c *compiler) object(v map[string]any, scope expression.Scope, at place) node {
	if c.reportMisfit(v, at) {
		return constant{value: v}
	}
	out, plain := object{values: map[string]node{}}, true
	for _, key := range sortedKeys(v) {
		of, known, ok := expression.Field(at.of, key)
		below := at.key(key, of)
		if !ok {
			c.problems = append(c.problems, problemAt(below.path, "there is no field "+below.name, key, known))
		}
		objectCheck{c}.checkKey(key, at, below)
		if strings.Contains(key, "${") && !at.raw {
			c.report(below.path, fmt.Sprintf("the key %q has an expression in it", key), "keys are taken as they are written: make the whole map with an expression")
		}
		n := c.node(v[key], scope, below)
		if _, ok := n.(constant); !ok {
			plain = false
		}
		out.keys, out.values[key] = append(out.keys, key), n
	}
	if plain && len(c.problems) == 0 {
		return constant{value: unescaped(v)}
	}
	return out
}

func (c *compiler) array(v []any, scope expression.Scope, at place) node {
	if c.reportMisfit(v, at) {
		return constant{value: v}
	}
	out, plain := make(array, len(v)), true
	for i, entry := range v {
		out[i] = c.node(entry, scope, at.index(i))
		if _, ok := out[i].(constant); !ok {
			plain = false
		}
	}
	if plain && len(c.problems) == 0 {
		return constant{value: unescaped(v)}
	}
	return out
}

// text compiles a string of a template.
func (c *compiler) text(s string, scope expression.Scope, at place) node {
	if at.raw {
		if !c.reportMisfit(s, at) {
			objectCheck{c}.checkText(s, []segment{{literal: s}}, at)
		}
		return constant{value: s}
	}
	segments, m := parseText(s)
	if m != nil {
		c.mistake(at.path, 0, m)
		return constant{value: s}
	}
	if len(segments) == 1 && segments[0].isExpression {
		whole := at
		if at.isObjectMeta() { // Labels and annotations are in it.
			whole.public = at.name
		}
		e := embedded(c, whole, segments[0], scope, expression.WantValue(at.name, at.of))
		if e == nil {
			return object{} // It is not evaluated, as there is a problem.
		}
		return generating{c}.later(single{at: at.name, Expression: e}, at)
	}
	expressions := 0
	out := text{at: at.name}
	for _, segment := range segments {
		if !segment.isExpression {
			out.parts = append(out.parts, textPart{literal: segment.literal})
			continue
		}
		expressions++
		out.parts = append(out.parts, textPart{Expression: embedded(c, at, segment, scope, expression.WantText())})
	}
	if !c.reportMisfit(s, at) {
		objectCheck{c}.checkText(s, segments, at)
	}
	if expressions == 0 {
		return constant{value: plainOf(segments)}
	}
	return generating{c}.later(out, at)
}

// embedded compiles an expression within ${ and }.
func embedded(c *compiler, at place, s segment, scope expression.Scope, want expression.Want) *expression.Expression {
	before := len(c.problems)
	e := c.expression(at.path, s.expression, s.offset, scope, want.Public(at.public))
	if e == nil && ofShell.MatchString(s.expression) {
		for i := range c.problems[before:] {
			p := &c.problems[before+i]
			p.Hint, p.Unknown, p.Known = fmt.Sprintf("if it is not for kooperd but for a shell: write $${%s}, or raw: true beside the template", s.expression), "", nil
		}
	}
	return e
}

// ofShell is what stands in ${} in scripts for shells, and is hardly ever an expression.
var ofShell = regexp.MustCompile(`^[#!]?[A-Z_][A-Z0-9_]*([:#%/^,@+?=-].*)?$|^[#!]?[a-z_][a-z0-9_]*(:[-=?+]|##?|%%?|//|\^|,,).*$`)

// plainOf joins segments without expressions.
func plainOf(segments []segment) string {
	var all strings.Builder
	for _, s := range segments {
		all.WriteString(s.literal)
	}
	return all.String()
}

// unescaped returns a value without expressions as it is meant: $${ stands for ${.
func unescaped(value any) any {
	switch v := value.(type) {
	case map[string]any:
		all := make(map[string]any, len(v))
		for key, entry := range v {
			all[key] = unescaped(entry)
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i, entry := range v {
			all[i] = unescaped(entry)
		}
		return all
	case string:
		segments, _ := parseText(v)
		return plainOf(segments)
	default:
		return value
	}
}

// problemAt is a problem about a name that means nothing.
func problemAt(path, message, unknown string, known []string) handlers.Problem {
	return handlers.Problem{Path: path, Message: message, Unknown: unknown, Known: known}
}

// ownConditions are those that kooperd writes itself.
var ownConditions = []string{"Degraded", "Progressing", "Ready"}

// condition compiles a condition of the status.
func (c *compiler) condition(name string) condition {
	written, path := c.config.Conditions[name], "conditions."+quoteLabel(name)
	scope := c.scopeWith(nil)
	out := condition{name: name, when: c.expression(path+".when", written.When, 0, scope, expression.WantBool())}
	part := func(field, s string) node {
		if s == "" {
			return nil
		}
		at := place{path: path + "." + field, name: "conditions." + name + "." + field}
		at.public = at.name
		return c.text(s, scope, at)
	}
	if slices.Contains(ownConditions, name) {
		c.report(path, "is a condition of kooperd's own", "choose another name than "+strings.Join(ownConditions, ", "))
	}
	out.reason, out.message = part("reason", written.Reason), part("message", written.Message)
	return out
}

// reportMisfit reports a value that cannot stand at its place, and whether there was one.
func (c *compiler) reportMisfit(value any, at place) bool {
	message := expression.Misfit(at.name, value, at.of)
	if message == "" {
		return false
	}
	hint := ""
	if s, ok := value.(string); ok {
		hint = meant(s)
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			hint = fmt.Sprintf("write %s without quotes", s)
		}
	}
	c.report(at.path, message, hint)
	return true
}
