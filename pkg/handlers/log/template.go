package log

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// template is a JSONPath template that has been checked. It keeps the text and not the parsed form,
// because that is good for one evaluation: client-go's range and index nodes keep numbers of the
// object they saw last.
type template struct {
	text         string
	metadataOnly bool
	// single is true for one expression and nothing else, whose value keeps its type.
	single bool
	// ranges is true for a template with {range}.
	ranges bool
}

// parseTemplate reads a template, or a single path without braces.
func parseTemplate(text string) (template, error) {
	switch {
	case strings.Contains(text, "{"):
	case strings.HasPrefix(text, "."), strings.HasPrefix(text, "["), strings.HasPrefix(text, "$"):
		text = "{" + text + "}"
	default:
		return template{}, errors.New("want a JSONPath")
	}
	parser, err := jsonpath.Parse("", text)
	if err != nil {
		return template{}, fmt.Errorf("not a JSONPath: %w", err)
	}
	names := identifiers(parser.Root)
	if err := checkRanges(names); err != nil {
		return template{}, err
	}
	return template{
		text:         text,
		metadataOnly: len(names) == 0 && readsMetadataOnly(text, parser.Root.Nodes),
		single:       len(names) == 0 && len(parser.Root.Nodes) == 1,
		ranges:       len(names) > 0,
	}, nil
}

// checkRanges finds the mistakes that client-go reports only while it evaluates: names other than
// range and end, an end without a range, and a range without an end.
func checkRanges(names []string) error {
	depth := 0
	for _, name := range names {
		switch name {
		case "range":
			depth++
		case "end":
			depth--
		default:
			return fmt.Errorf("not a JSONPath: unknown name %q", name)
		}
		if depth < 0 {
			return errors.New("not a JSONPath: {end} without {range}")
		}
	}
	if depth > 0 {
		return errors.New("not a JSONPath: {range} without {end}")
	}
	return nil
}

// identifiers returns the words in a template that are no fields, in order.
func identifiers(node jsonpath.Node) []string {
	switch node := node.(type) {
	case *jsonpath.IdentifierNode:
		return []string{node.Name}
	case *jsonpath.ListNode:
		var names []string
		for _, inner := range node.Nodes {
			names = append(names, identifiers(inner)...)
		}
		return names
	default:
		return nil
	}
}

// readsMetadataOnly reports whether every expression of a template without a range begins at a
// field that is known without decoding the object. It says no when in doubt: a filter or a union
// may begin anew, at the whole object.
func readsMetadataOnly(text string, nodes []jsonpath.Node) bool {
	if strings.ContainsAny(text, "$@(,") {
		return false
	}
	for _, node := range nodes {
		list, ok := node.(*jsonpath.ListNode)
		if !ok {
			continue // text
		}
		if len(list.Nodes) == 0 {
			return false
		}
		first, ok := list.Nodes[0].(*jsonpath.FieldNode)
		if !ok || !slices.Contains([]string{"metadata", "apiVersion", "kind"}, first.Value) {
			return false
		}
	}
	return true
}

// find evaluates the template. A template of one expression gives the value itself, or the list of
// them when there are several; any other gives text. It gives nothing when the object does not have
// one of the fields, or has something else in its place. Inside a range a missing field is empty
// text.
func (t template) find(data map[string]any) (value any, ok bool) {
	// client-go's evaluation panics on some content, for example on an index into a null inside a
	// range.
	defer func() {
		if recover() != nil {
			value, ok = nil, false
		}
	}()
	path := jsonpath.New("").AllowMissingKeys(true)
	if err := path.Parse(t.text); err != nil {
		return nil, false
	}
	results, err := path.FindResults(data)
	if err != nil {
		return nil, false
	}
	if t.single && len(results) == 1 {
		return single(results[0])
	}
	var text strings.Builder
	for _, group := range results {
		if !t.ranges && missing(group) {
			return nil, false
		}
		if err := path.PrintResults(&text, group); err != nil {
			return nil, false
		}
	}
	return text.String(), text.Len() > 0
}

// missing reports whether an expression has found nothing, or null.
func missing(found []reflect.Value) bool {
	for _, v := range found {
		if v.IsValid() && v.Interface() != nil {
			return false
		}
	}
	return true
}

func single(found []reflect.Value) (any, bool) {
	switch len(found) {
	case 0:
		return nil, false
	case 1:
		value := found[0].Interface()
		return value, value != nil
	}
	values := make([]any, len(found))
	for i, v := range found {
		values[i] = v.Interface()
	}
	return values, true
}
