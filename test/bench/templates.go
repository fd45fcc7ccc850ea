package main

import (
	"kooperd.dev/kooperd/test/bench/order"
)

// template is a ConfigMap that is made of a parent, with expressions in ${…}.
type template struct {
	part string // which is the end of its name
	data map[string]any
}

// dialect is how expressions name things.
type dialect struct {
	parent string // the variable
	child  string // what stands before the name of a child
}

// The dialects of kooperd's plugin apply, and of kro.
var (
	applyDialect = dialect{parent: "object", child: "children."}
	kroDialect   = dialect{parent: "schema"}
)

// templates returns what an order makes of a parent.
func (d dialect) templates(o order.Order) []template {
	text := "${" + d.parent + ".spec.text}"
	if o.Graph == order.Answer {
		return []template{
			{order.Asked, map[string]any{order.TextKey: text}},
			{order.Answered, map[string]any{order.AnswerKey: "${" + d.child + order.Asked + ".data." + order.AnswerKey + "}"}},
		}
	}
	var all []template
	for i, part := range o.Children() {
		data := map[string]any{}
		switch {
		case o.Graph == order.Chain && i > 0:
			data[order.BeforeKey] = "${" + d.child + all[i-1].part + ".metadata.uid}"
		case o.Graph == order.Chain:
			data[order.TextKey] = text
		default:
			data[order.TextKey] = part + " of " + text
		}
		if o.Extra != "" {
			data["extra"] = o.Extra
		}
		all = append(all, template{part, data})
	}
	return all
}

// status returns the expression of the one field of the status. It reads a child.
func (d dialect) status(o order.Order) string {
	children := o.Children()
	switch o.Graph {
	case order.Chain:
		return "${" + d.child + children[len(children)-1] + ".metadata.uid}"
	case order.Answer:
		return "${" + d.child + order.Answered + ".data." + order.AnswerKey + "}"
	default:
		return "${" + d.child + children[0] + ".data." + order.TextKey + "}"
	}
}

// object returns a template as an object.
func (d dialect) object(t template) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": order.ChildName("${"+d.parent+".metadata.name}", t.part)},
		"data":     t.data,
	}
}

// applyConfig returns the config of kooperd's plugin apply for an order.
func applyConfig(o order.Order) map[string]any {
	children := map[string]any{}
	for _, t := range applyDialect.templates(o) {
		children[t.part] = map[string]any{"template": applyDialect.object(t)}
	}
	return map[string]any{"children": children, "status": map[string]any{"observed": applyDialect.status(o)}}
}

// graphSpec returns the spec of kro's ResourceGraphDefinition for an order.
func graphSpec(o order.Order) map[string]any {
	var resources []any
	for _, t := range kroDialect.templates(o) {
		resources = append(resources, map[string]any{"id": t.part, "template": kroDialect.object(t)})
	}
	return map[string]any{
		"schema": map[string]any{
			"group": graphKind.Group, "apiVersion": graphKind.Version, "kind": graphKind.Kind,
			"spec": map[string]any{"text": "string"}, "status": map[string]any{"observed": kroDialect.status(o)},
		},
		"resources": resources,
	}
}
