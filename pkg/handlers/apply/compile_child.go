package apply

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apijson "k8s.io/apimachinery/pkg/util/json"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
)

// head is what stands at the beginning of a template and is known without a parent.
type head struct {
	kind schema.GroupVersionKind
}

// isPatch reports whether a child contributes to an object that is not made.
func (c Child) isPatch() bool { return len(c.Patch) > 0 }

// body returns what is written of the object, and the field in which that is.
func (c Child) body() (raw json.RawMessage, field string) {
	if c.isPatch() {
		return c.Patch, "patch"
	}
	return c.Template, "template"
}

// head reads apiVersion and kind of a template, which rights and watches follow from.
func (c *compiler) head(name string) head {
	path, written := "children."+quoteLabel(name), c.config.Children[name]
	switch {
	case len(written.Template) == 0 && !written.isPatch():
		c.report(path, "has neither template nor patch", "write what should be made in template, or what is contributed to an object of others in patch")
		return head{}
	case len(written.Template) > 0 && written.isPatch():
		c.report(path, "has both template and patch", "write two children")
		return head{}
	}
	raw, field := written.body()
	path += "." + field
	var t struct {
		APIVersion any `json:"apiVersion"`
		Kind       any `json:"kind"`
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		c.report(path, "is no object", "write what should be made, with apiVersion, kind and metadata")
		return head{}
	}
	apiVersion, kind := c.plainText(path, "apiVersion", t.APIVersion), c.plainText(path, "kind", t.Kind)
	if apiVersion == "" || kind == "" {
		return head{}
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil || gv.Version == "" {
		c.report(path+".apiVersion", fmt.Sprintf("%q is no apiVersion", apiVersion), `write it as in "v1" or "apps/v1"`)
		return head{}
	}
	if !(objectCheck{c}).checkKind(path, gv.WithKind(kind)) {
		return head{}
	}
	return head{kind: gv.WithKind(kind)}
}

// plainText returns a field of a template that has to be known without a parent.
func (c *compiler) plainText(path, field string, value any) string {
	s, ok := value.(string)
	switch {
	case value == nil || s == "" && ok:
		c.report(path, "has no "+field, "")
	case !ok:
		c.report(path+"."+field, "is no string", "")
	case strings.Contains(s, "${"):
		c.report(path+"."+field, "is an expression, and has to be known without a parent: the rights and the watches follow from it",
			"write one child for each "+field+", with includeWhen")
	default:
		return s
	}
	return ""
}

var identifier = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// child compiles one child.
func (c *compiler) child(name string, h head) *child {
	written := c.config.Children[name]
	path := "children." + quoteLabel(name)
	out := &child{Child: written, name: name, kind: h.kind, at: "child " + name, as: written.variable()}
	scope := c.scopeWith(nil)
	if written.ForEach != "" {
		scope = c.entries(path, out, scope)
	} else if written.As != "" || written.Key != "" {
		c.report(path, "has as or key without forEach", "")
	}
	if written.IncludeWhen != "" {
		out.include = c.expression(path+".includeWhen", written.IncludeWhen, 0, scope, expression.WantBool())
	}
	compileBody(c, path, out, scope)
	if written.ReadyWhen != "" {
		scope.Variables[selfVariable] = typeOf(c.kinds, h.kind)
		out.ready = c.expression(path+".readyWhen", written.ReadyWhen, 0, scope, expression.WantBool())
	}
	c.reads(path, out)
	return out
}

// compileBody compiles what should be.
func compileBody(c *compiler, path string, out *child, scope expression.Scope) {
	if len(out.Template) > 0 == out.isPatch() {
		return // The head has said so.
	}
	raw, field := out.body()
	if out.isPatch() {
		patchCheck{c}.check(path, out)
	}
	at := place{path: path + "." + field, of: typeOf(c.kinds, out.kind), kind: out.kind, raw: out.Raw}
	switch {
	case out.Raw:
		c.template(raw, scope, at) // It has no expressions, but may have mistakes.
		out.template = constantOf(raw)
	case out.Update == handlers.UpdateCreateOnly && !out.isPatch():
		generating{c}.template(out, scope, at)
	default:
		out.template = c.template(raw, scope, at)
	}
	if !out.isPatch() {
		objectCheck{c}.checkMetadata(at, raw)
	}
}

// entries compiles what makes one child for each entry of a list.
func (c *compiler) entries(path string, out *child, scope expression.Scope) expression.Scope {
	as := out.as
	if _, taken := scope.Variables[as]; taken || as == selfVariable || as == generateNamespace || !identifier.MatchString(as) {
		c.report(path+".as", fmt.Sprintf("%q cannot be the name of a variable here", as), "choose another one, such as "+defaultAs)
		as = defaultAs
	}
	out.forEach = c.expression(path+".forEach", out.ForEach, 0, scope, expression.WantList())
	var entry expression.Type
	if out.forEach != nil {
		entry = expression.Entry(out.forEach.Makes())
	}
	scope = c.scopeWith(map[string]expression.Type{as: entry})
	secret := out.forEach != nil && out.forEach.MakesSecret()
	if secret {
		scope.Secret = []string{as}
	}
	if out.Key != "" {
		if e := c.expression(path+".key", out.Key, 0, scope, expression.WantText().Public("the key of a child")); e != nil {
			out.key = text{at: "key", parts: []textPart{{Expression: e}}}
		}
		return scope
	}
	switch what := expression.Describe(entry); {
	case secret:
		c.report(path+".forEach", "the entries are values of a Secret, and each child would be known by one", "say with key what an entry is known by")
	case expression.Misfit(as, "", entry) != "": // An entry that may be a string is known by itself.
		c.report(path+".forEach", fmt.Sprintf("each entry is %s: its child has to be known by something that stays when the list changes", what),
			fmt.Sprintf("add key, as in key: %q", exampleKey(as, entry)))
	}
	return scope
}

// exampleKey is an expression that may be the key of entries that are no strings.
func exampleKey(as string, entry expression.Type) string {
	isOne := func(value any) bool { return expression.Misfit(as, value, entry) == "" }
	if isOne(int64(0)) || isOne(true) {
		return "string(" + as + ")"
	}
	if isOne([]any{}) {
		return as + "[0]"
	}
	if _, _, ok := expression.Field(entry, "metadata"); ok {
		return as + ".metadata.name"
	}
	if _, known, ok := expression.Field(entry, "name"); !ok && len(known) > 0 {
		return as + "." + known[0]
	}
	return as + ".name"
}

// reads notes the children that a child reads, and checks its after.
func (c *compiler) reads(path string, out *child) {
	read, whole := names(out.expressions(), childrenVariable)
	if whole {
		c.report(path, "reads all children, itself among them", "read one of them, as in children.name")
	}
	for i, other := range out.After {
		at := fmt.Sprintf("%s.after[%d]", path, i)
		switch first, ok := c.config.Children[other]; {
		case !ok:
			c.problems = append(c.problems, problemAt(at, "there is no child "+other, other, sortedKeys(c.config.Children)))
		case first.isPatch():
			c.report(at, other+" is a patch, and patches are applied after all children", "turn it round: let the patch come after the child")
		}
	}
	var deciding []*expression.Expression
	for _, e := range []*expression.Expression{out.forEach, out.include} {
		if e != nil {
			deciding = append(deciding, e)
		}
	}
	out.counts, _ = names(append(deciding, expressionsIn(out.key)...), childrenVariable)
	for _, other := range read {
		if c.mayBeGone(other) {
			c.report(path, "reads the child "+other+", which is deleted some time after it has finished, and cannot be read then",
				"come after it with after alone, or say whenGone: \"recreate\" there")
		}
	}
	out.reads = slices.Compact(slices.Sorted(slices.Values(slices.Concat(read, out.After))))
}

// mayBeGone reports whether a child is a Job that goes by itself and is not made again.
func (c *compiler) mayBeGone(name string) bool {
	written, ok := c.config.Children[name]
	if !ok || written.WhenGone == handlers.WhenGoneRecreate {
		return false
	}
	var t struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			TTL any `json:"ttlSecondsAfterFinished"`
		} `json:"spec"`
	}
	err := json.Unmarshal(written.Template, &t)
	return err == nil && t.Spec.TTL != nil && handlers.Finishes(schema.FromAPIVersionAndKind(t.APIVersion, t.Kind).GroupKind())
}

// constantOf is a template without expressions.
func constantOf(raw json.RawMessage) node {
	var value any
	_ = apijson.Unmarshal(raw, &value) // The head has been read of it.
	return constant{value: value}
}
