package cases

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	sigsyaml "sigs.k8s.io/yaml"
)

const expectField = "expect"

var errNotRewritten = errors.New("its text cannot be changed here: write expect as a block, as in \"expect:\" on a line of its own")

// Rewrite returns the text of the file with another expectation. What stays as it is keeps its
// text: the other fields, comments, and within the expectation what is the same as before.
func (c *Case) Rewrite(expect Outcome) ([]byte, error) {
	want := map[string]any{}
	for name, value := range expect {
		want[string(name)] = value
	}
	for _, whole := range []bool{false, true} {
		text, ok := c.rewritten(want, whole)
		if !ok {
			continue
		}
		again, err := Parse(c.Path, text)
		if err != nil || !reflect.DeepEqual(again.Expect, expect) {
			continue // Such YAML is not understood well enough.
		}
		again.Expect, again.text = c.Expect, c.text
		if sameInput(c, again) {
			return text, nil
		}
	}
	return nil, fmt.Errorf("updating %s: %w", c.Path, errNotRewritten)
}

// sameInput compares all but the expectation, and where it stands.
func sameInput(a, b *Case) bool {
	sources := func(c *Case) (all []any) {
		for _, s := range slices.Concat([]Source{c.Object}, c.Children, c.Related) {
			all = append(all, s.Object, s.Path)
		}
		for _, name := range namesOf(toAny(c.Made), nil) {
			all = append(all, name, c.Made[name].Object)
		}
		return append(all, c.Config, c.CRDs, c.Definition)
	}
	return reflect.DeepEqual(sources(a), sources(b))
}

func toAny(of map[string]Source) map[string]any {
	all := make(map[string]any, len(of))
	for name := range of {
		all[name] = nil
	}
	return all
}

// rewritten is Rewrite without a look at the result. With whole, all of the expectation is written
// anew.
func (c *Case) rewritten(want map[string]any, whole bool) (text []byte, ok bool) {
	r := &reader{file: c.Path}
	root := r.root(c.text)
	if root == nil || !isBlock(root) {
		return nil, false
	}
	e := &editor{reader: r, lines: bytes.SplitAfter(c.text, []byte("\n"))}
	if last := len(e.lines) - 1; len(e.lines[last]) == 0 {
		e.lines = e.lines[:last]
	} else {
		e.lines[last] = append(slices.Clip(e.lines[last]), '\n')
	}
	all := r.entries(root, "a case")
	at := slices.IndexFunc(all, func(e entry) bool { return e.name == expectField })
	if at < 0 {
		e.emit(0, len(e.lines))
		e.render(expectField, want, root.Column-1)
		return e.out.Bytes(), true
	}
	expect, end := all[at], len(e.lines)
	if at+1 < len(all) {
		end = all[at+1].key.Line - 1
	}
	end = e.endOf(expect, end)
	e.emit(0, expect.key.Line-1)
	if whole || !e.edit(expect, end, want) {
		e.render(expectField, want, root.Column-1)
	}
	e.emit(end, len(e.lines))
	return e.out.Bytes(), len(r.problems) == 0
}

// isBlock reports whether a mapping is written with a key on each line.
func isBlock(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && len(n.Content) > 0
}

// editor changes parts of a text by lines.
type editor struct {
	*reader
	lines [][]byte
	out   bytes.Buffer
}

// emit writes lines as they are. They are counted from 0.
func (e *editor) emit(from, to int) {
	for _, line := range e.lines[from:max(from, to)] {
		e.out.Write(line)
	}
}

// render writes a key with its value.
func (e *editor) render(name string, value any, indent int) {
	text, err := sigsyaml.Marshal(map[string]any{name: value})
	if name == expectField && indent == 0 {
		text, err = marshalExpect(value)
	}
	if err != nil {
		text = nil // The result is looked at.
	}
	margin := strings.Repeat(" ", indent)
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) > 0 {
			e.out.WriteString(margin)
		}
		e.out.Write(line)
	}
}

// marshalExpect writes the expectation with its sections in their order.
func marshalExpect(value any) ([]byte, error) {
	of, _ := value.(map[string]any)
	if len(of) == 0 {
		return []byte(expectField + ": {}\n"), nil
	}
	var out bytes.Buffer
	out.WriteString(expectField + ":\n")
	for _, s := range sections {
		value, ok := of[string(s.name)]
		if !ok {
			continue
		}
		text, err := sigsyaml.Marshal(map[string]any{string(s.name): value})
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(text) {
			if len(bytes.TrimSpace(line)) > 0 {
				out.WriteString("  ")
			}
			out.Write(line)
		}
	}
	return out.Bytes(), nil
}

// endOf is the line after an entry that ends before the line end: comments and empty lines behind
// it belong to what follows.
func (e *editor) endOf(of entry, end int) int {
	for end > of.key.Line {
		line := bytes.TrimRight(e.lines[end-1], " \r\n")
		text := bytes.TrimLeft(line, " ")
		if len(text) > 0 && (text[0] != '#' || len(line)-len(text) >= of.key.Column) {
			break
		}
		end--
	}
	return end
}

// edit writes an entry, which ends before a line, with another value, if both are objects and what
// is there is written with a key on each line.
func (e *editor) edit(of entry, end int, want map[string]any) bool {
	if !isBlock(of.value) || len(want) == 0 || of.value.Content[0].Line == of.key.Line || of.value.Anchor != "" {
		return false
	}
	e.emit(of.key.Line-1, of.key.Line)
	e.mapping(of.value, of.key.Line, end, want)
	return true
}

// mapping writes the lines from begin to end, which have a mapping, with another value.
func (e *editor) mapping(n *yaml.Node, begin, end int, want map[string]any) {
	all := e.entries(n, "an object")
	indent := n.Content[0].Column - 1
	for i, entry := range all {
		next := end
		if i+1 < len(all) {
			next = all[i+1].key.Line - 1
		}
		next = e.endOf(entry, next)
		value, wanted := want[entry.name]
		if !wanted {
			e.emit(begin, e.commentAbove(begin, entry.key.Line-1))
			begin = next
			continue
		}
		e.emit(begin, entry.key.Line-1)
		object, isObject := value.(map[string]any)
		switch have := e.normal(entry.value); {
		case reflect.DeepEqual(have, value):
			e.emit(entry.key.Line-1, next)
		case isObject && e.edit(entry, next, object):
		default:
			e.render(entry.name, value, indent)
		}
		begin = next
	}
	for _, name := range e.missing(all, want) {
		e.render(name, want[name], indent)
	}
	e.emit(begin, end)
}

// commentAbove is the first line of the comment that stands right above a line, not before begin.
func (e *editor) commentAbove(begin, line int) int {
	for line > begin && bytes.HasPrefix(bytes.TrimLeft(e.lines[line-1], " "), []byte("#")) {
		line--
	}
	return line
}

// missing are the keys of an object that are not there yet, sections in their order first.
func (e *editor) missing(all []entry, want map[string]any) (names []string) {
	is := func(name string) bool {
		return slices.ContainsFunc(all, func(e entry) bool { return e.name == name })
	}
	for _, name := range namesOf(want, nil) {
		if !is(name) {
			names = append(names, name)
		}
	}
	order := func(name string) int { return slices.Index(sectionNames(), name) }
	slices.SortStableFunc(names, func(a, b string) int { return order(a) - order(b) })
	return names
}
