package hook

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/handlers"
)

// maxMistakes is how many mistakes of one answer are named.
const maxMistakes = 8

// fields reads the fields of one object of an answer. What is wrong with them is collected, and
// null is the same as absent.
type fields struct {
	tree     map[string]any
	at       string
	mistakes *mistakes
}

// mistakes are what is wrong with one answer. The first ones are named, and the others counted: an
// answer may have millions.
type mistakes struct {
	named []error
	more  int
}

// skip counts a mistake that is not to be named any more. It reports false if it is to be named.
func (m *mistakes) skip() bool {
	if len(m.named) < maxMistakes {
		return false
	}
	m.more++
	return true
}

func (m *mistakes) count() int { return len(m.named) + m.more }

// err joins what is wrong; nil for nothing.
func (m *mistakes) err() error {
	if m.more > 0 {
		return errors.Join(append(slices.Clip(m.named), fmt.Errorf("and %d more mistakes", m.more))...)
	}
	return errors.Join(m.named...)
}

// report notes what is wrong with a field; "" stands for the object.
func (f fields) report(name, message string) {
	if f.mistakes.skip() {
		return
	}
	path := f.at
	if name != "" {
		path = member(path, name)
	}
	f.mistakes.named = append(f.mistakes.named, mistake(path, message))
}

// known reports fields that are none of names. Loosely, they are left out, unless one differs from
// a name by its case alone: what it says would be left out, and the children be deleted.
func (f fields) known(loose bool, names ...string) {
	found := false
	for _, name := range slices.Sorted(maps.Keys(f.tree)) {
		if slices.Contains(names, name) {
			found = true
			continue
		}
		meant := slices.IndexFunc(names, func(known string) bool { return strings.EqualFold(known, name) })
		switch {
		case meant >= 0:
			f.report(name, fmt.Sprintf("means nothing here; did you mean %q?", names[meant]))
		case !loose && !f.mistakes.skip():
			f.report(name, "means nothing here; known are "+strings.Join(names, ", "))
		}
	}
	if loose && !found && len(f.tree) > 0 {
		f.report("", "it has none of the fields "+strings.Join(names, ", "))
	}
}

// take returns a field as a T. A field that is absent or null is the zero T.
func take[T any](f fields, name, want string) (value T, there bool) {
	found := f.tree[name]
	if found == nil {
		return value, false
	}
	value, ok := found.(T)
	if !ok {
		f.report(name, fmt.Sprintf("is %s, want %s", handlers.KindOfJSON(found), want))
	}
	return value, ok
}

// text returns a field that is a string.
func (f fields) text(name string) string {
	text, _ := take[string](f, name, "a string")
	return text
}

// flag returns a field that is true or false.
func (f fields) flag(name string) bool {
	flag, _ := take[bool](f, name, "true or false")
	return flag
}

// object returns a field that is an object, or false if it is not there.
func (f fields) object(name string) (fields, bool) {
	tree, there := take[map[string]any](f, name, "an object")
	return fields{tree: tree, at: member(f.at, name), mistakes: f.mistakes}, there
}

// list returns a field that is a list.
func (f fields) list(name string) []any {
	list, _ := take[[]any](f, name, "a list")
	return list
}

// objects calls do for each item of a list of objects, unless there are too many.
func (f fields) objects(name string, do func(fields)) {
	list := f.list(name)
	if len(list) > maxChildren {
		f.report(name, fmt.Sprintf("has %d items, want at most %d", len(list), maxChildren))
		return
	}
	for i, item := range list {
		tree, ok := item.(map[string]any)
		if !ok && f.mistakes.skip() {
			continue
		}
		below := fields{tree: tree, at: fmt.Sprintf("%s[%d]", member(f.at, name), i), mistakes: f.mistakes}
		if !ok {
			below.report("", fmt.Sprintf("is %s, want an object", handlers.KindOfJSON(item)))
			continue
		}
		do(below)
	}
}

// texts returns a list of strings.
func (f fields) texts(name string) []string {
	var texts []string
	for i, item := range f.list(name) {
		text, ok := item.(string)
		if !ok && !f.mistakes.skip() {
			f.report(name, fmt.Sprintf("item %d is %s, want a string", i, handlers.KindOfJSON(item)))
		}
		texts = append(texts, text)
	}
	return texts
}

// marks returns a map of strings, in which null stands for what is to be removed.
func (f fields) marks(name string) map[string]*string {
	given, there := f.object(name)
	if !there || len(given.tree) == 0 {
		return nil
	}
	marks := make(map[string]*string, len(given.tree))
	for _, key := range slices.Sorted(maps.Keys(given.tree)) {
		switch value := given.tree[key].(type) {
		case nil:
			marks[key] = nil
		case string:
			marks[key] = &value
		default:
			if given.mistakes.skip() {
				continue
			}
			given.report(key, fmt.Sprintf("is %s, want a string or null", handlers.KindOfJSON(value)))
		}
	}
	return marks
}
