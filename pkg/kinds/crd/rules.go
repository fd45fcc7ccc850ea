package crd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	k8sschema "k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
)

// PathError is for a path of a rule that leads nowhere in a schema.
type PathError struct {
	// Message says what is wrong, and Hint what would be right.
	Message, Hint string
}

// Error returns the message.
func (e *PathError) Error() string { return e.Message }

// AddRule adds a rule, as x-kubernetes-validations has it, to the part of a schema at a path, in
// place. The path has names with dots between them and [*] for the entries of a list or a map. It
// returns where in the schema the rule stands. The error is a *PathError.
func AddRule(schema map[string]any, path string, rule map[string]any) ([]string, error) {
	steps, err := ruleSteps(path)
	if err != nil {
		return nil, err
	}
	var at []string
	for _, step := range steps {
		var next map[string]any
		var down []string
		switch {
		case step != eachEntry:
			next, down = object(object(schema["properties"])[step]), []string{"properties", step}
		case schema["items"] != nil:
			next, down = object(schema["items"]), []string{"items"}
		default:
			next, down = object(schema[additional]), []string{additional}
		}
		if next == nil {
			return nil, noStep(schema, step)
		}
		schema, at = next, append(at, down...)
	}
	all := list(schema[validations])
	schema[validations] = append(slices.Clone(all), rule)
	return append(at, validations, index(len(all))), nil
}

// eachEntry stands for the entries of a list or a map.
const eachEntry = "[*]"

func noStep(schema map[string]any, step string) *PathError {
	if step == eachEntry {
		return &PathError{Message: "[*] stands where there is neither a list nor a map"}
	}
	known := slices.Sorted(maps.Keys(object(schema["properties"])))
	e := &PathError{Message: fmt.Sprintf("the schema has no field %q there", step)}
	if len(known) > 0 {
		e.Hint = "the fields are " + strings.Join(known, ", ")
	}
	return e
}

// ruleSteps takes a path apart.
func ruleSteps(path string) ([]string, error) {
	var steps []string
	for i, piece := range strings.Split(path, eachEntry) {
		if i > 0 {
			steps = append(steps, eachEntry)
			piece = strings.TrimPrefix(piece, ".")
		}
		if piece == "" {
			continue
		}
		names, err := expression.ParsePath(piece)
		if mistake := (*expression.Mistake)(nil); errors.As(err, &mistake) {
			return nil, &PathError{Message: mistake.Message, Hint: mistake.Hint}
		}
		steps = append(steps, names...)
	}
	return steps, nil
}

// language is that of rules. It is made when it is needed for the first time, as that takes long.
var language = sync.OnceValues(func() (*expression.Language, error) { return expression.NewLanguage() })

// CheckRules reports what is wrong with the rules of a schema that is structural, in their syntax
// and with the fields that they name. What they cost, the API server alone can tell.
func CheckRules(kind k8sschema.GroupVersionKind, schema map[string]any) ([]Problem, error) {
	if !hasRules(schema) {
		return nil, nil
	}
	l, err := language()
	if err != nil {
		return nil, err
	}
	c := &ruleChecker{language: l, kind: kind}
	c.check(nil, schema)
	return c.problems, c.err
}

func hasRules(schema map[string]any) bool {
	found := false
	visit(nil, schema, func(_ []string, s map[string]any) { found = found || s[validations] != nil })
	return found
}

// visit calls see with a schema and all schemas of fields and entries in it.
func visit(at []string, s map[string]any, see func(at []string, s map[string]any)) {
	if s == nil {
		return
	}
	see(at, s)
	properties := object(s["properties"])
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		visit(below(at, "properties", name), object(properties[name]), see)
	}
	visit(below(at, "items"), object(s["items"]), see)
	visit(below(at, additional), object(s[additional]), see)
}

// ruleChecker checks the rules of one schema.
type ruleChecker struct {
	checker
	language *expression.Language
	kind     k8sschema.GroupVersionKind
	err      error
}

func (c *ruleChecker) check(at []string, root map[string]any) {
	visit(at, root, func(at []string, s map[string]any) {
		if s[validations] == nil {
			return
		}
		self, err := expression.OfValue(fmt.Sprintf("%s.%s", c.kind.Kind, strings.Join(at, ".")), len(at) == 0, s)
		if err != nil {
			c.err = errors.Join(c.err, err)
			return
		}
		if hasFormats(s) {
			self = nil // Of some formats, the API server makes values of other types.
		}
		for i, one := range list(s[validations]) {
			place := below(at, validations, index(i))
			switch namesOld, ok := c.rule(place, object(one), self); {
			case !ok:
			case namesOld:
				c.oldSelf(place, root)
			case object(one)["optionalOldSelf"] != nil:
				c.reportKey(below(place, "optionalOldSelf"), "means nothing, as the rule does not name oldSelf", "leave it out")
			}
		}
	})
}

// oldSelf reports a rule about what was before where the API server cannot tell what that is.
func (c *ruleChecker) oldSelf(at []string, root map[string]any) {
	for i, s := 0, root; i < len(at) && at[i] != validations; i++ {
		kind, _ := s[listType].(string)
		switch {
		case at[i] == "properties":
			i++
			s = object(object(s["properties"])[at[i]])
			continue
		case at[i] == "items" && kind == "":
			kind = "atomic"
		}
		if at[i] == "items" && kind != "map" {
			c.report(below(at, "rule"), fmt.Sprintf("names oldSelf, and entries of a list of type %s are not told from earlier ones", kind),
				"make it a list of type map, or write a rule for the whole list")
			return
		}
		s = object(s[at[i]])
	}
}

// hasFormats reports whether there are texts of which the API server makes times and the like.
func hasFormats(s map[string]any) bool {
	found := false
	visit(nil, s, func(_ []string, s map[string]any) {
		switch s["format"] {
		case "date-time", "date", "duration", "byte":
			found = true
		}
	})
	return found
}

// ruleWords are the fields of a rule.
var ruleWords = []string{"fieldPath", "message", "messageExpression", "optionalOldSelf", "reason", "rule"}

// rule checks one rule, and reports whether it names what was before; ok is false when that cannot
// be told.
func (c *ruleChecker) rule(at []string, rule map[string]any, self expression.Type) (namesOld, ok bool) {
	for _, word := range slices.Sorted(maps.Keys(rule)) {
		if !slices.Contains(ruleWords, word) {
			c.reportKey(below(at, word), "is no field of a rule", "a rule has "+strings.Join(ruleWords, ", "))
		}
	}
	text, ok := rule["rule"].(string)
	if !ok {
		c.report(at, "has no rule", `write rule: "self.min <= self.max"`)
		return false, false
	}
	compiled := c.compile(below(at, "rule"), text, self, rule, expression.WantBool())
	if text, ok := rule["messageExpression"].(string); ok {
		c.compile(below(at, "messageExpression"), text, self, rule, expression.WantValue("messageExpression", expression.OfGo[string]()))
	}
	return compiled != nil && compiled.Names("oldSelf"), compiled != nil
}

// compile returns nil where there is a mistake.
func (c *ruleChecker) compile(at []string, text string, self expression.Type, rule map[string]any, want expression.Want) *expression.Expression {
	scope := expression.Scope{Variables: map[string]expression.Type{"self": self, "oldSelf": self}}
	if strings.Contains(text, "__") {
		scope.Variables["self"], scope.Variables["oldSelf"] = nil, nil // Names of fields may be escaped.
	}
	if isTrue(rule["optionalOldSelf"]) {
		scope.Variables["oldSelf"] = nil
	}
	compiled, err := c.language.Compile(text, scope, want)
	if err == nil {
		return compiled
	}
	mistakes := expression.Mistakes(nil)
	if !errors.As(err, &mistakes) {
		c.err = errors.Join(c.err, err)
		return nil
	}
	for _, m := range mistakes {
		c.problems = append(c.problems, Problem{Path: at, Message: m.Message, Hint: m.Hint, Offset: m.Offset})
	}
	return nil
}
