package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// defaultMaxDepth is enough for the schema of any CustomResourceDefinition.
const defaultMaxDepth = 256

// maxValues is how many values one answer may have. Small ones take many times their text in
// memory.
const maxValues = 500_000

var errDepth = errors.New("is too deep")

// decoder reads JSON into plain values, as Kubernetes has them: whole numbers are int64.
type decoder struct {
	tokens   *json.Decoder
	maxDepth int
	room     *int // for so many values more
	unique   bool // a name that an object has twice is a mistake
}

// position is where a value is in an answer. It becomes text only when something is wrong there.
type position struct {
	above *position
	name  string // empty for an item of a list
	index int
}

func (p *position) String() string {
	if p == nil {
		return ""
	}
	if p.name == "" {
		return fmt.Sprintf("%s[%d]", p.above, p.index)
	}
	return member(p.above.String(), p.name)
}

// decode reads text, which has to be one JSON value.
func decode(text []byte, maxDepth int, unique bool) (any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("the answer is empty")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, fmt.Errorf("the answer is no JSON: %w: %s", err, excerpt(text))
	}
	if !utf8.Valid(text) {
		return nil, errors.New("the answer is no UTF-8")
	}
	room := maxValues
	tokens := json.NewDecoder(bytes.NewReader(text))
	tokens.UseNumber()
	d := decoder{tokens: tokens, maxDepth: maxDepth, room: &room, unique: unique}
	return d.value(nil, 0)
}

func (d decoder) value(at *position, depth int) (any, error) {
	token, err := d.tokens.Token()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", at, err)
	}
	if *d.room--; *d.room < 0 {
		return nil, fmt.Errorf("the answer has more than %d values", maxValues)
	}
	switch token := token.(type) {
	case json.Delim:
		if depth++; depth > d.maxDepth {
			return nil, mistake(at.String(), fmt.Sprintf("%v: objects and lists may be %d in each other", errDepth, d.maxDepth))
		}
		if token == '{' {
			return d.object(at, depth)
		}
		return d.list(at, depth)
	case json.Number:
		return number(token, at)
	default:
		return token, nil
	}
}

func (d decoder) object(at *position, depth int) (map[string]any, error) {
	tree := map[string]any{}
	for d.tokens.More() {
		token, err := d.tokens.Token()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", at, err)
		}
		name, _ := token.(string)
		below := &position{above: at, name: name}
		if _, twice := tree[name]; twice && d.unique {
			return nil, mistake(below.String(), "is there twice")
		}
		if tree[name], err = d.value(below, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.tokens.Token()
	return tree, err
}

func (d decoder) list(at *position, depth int) ([]any, error) {
	list := []any{}
	for d.tokens.More() {
		item, err := d.value(&position{above: at, index: len(list)}, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err := d.tokens.Token()
	return list, err
}

func number(n json.Number, at *position) (any, error) {
	if whole, err := n.Int64(); err == nil {
		return whole, nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, mistake(at.String(), "is a number that is too large: "+excerpt([]byte(n)))
	}
	return f, nil
}

// mistake is an error about one place of an answer.
func mistake(path, message string) error {
	if path == "" {
		path = "the answer"
	}
	return fmt.Errorf("%s: %s", shorten(path), message)
}

// member writes the path of a field.
func member(of, name string) string {
	switch {
	case strings.ContainsFunc(name, func(r rune) bool { return !isPlain(r) }) || name == "":
		return fmt.Sprintf("%s[%s]", of, excerpt([]byte(name)))
	case of == "":
		return name
	}
	return of + "." + name
}

func isPlain(r rune) bool {
	return r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

const (
	// maxExcerpt is how many bytes of an answer are quoted in an error.
	maxExcerpt = 256
	// maxPath is how long a path in an error may be.
	maxPath = 256
)

// excerpt quotes the beginning of a text.
func excerpt(text []byte) string {
	if len(text) <= maxExcerpt {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q…", strings.ToValidUTF8(string(text[:maxExcerpt]), ""))
}

// shorten cuts a path in the middle.
func shorten(path string) string {
	if len(path) <= maxPath {
		return path
	}
	const half = maxPath / 2
	return strings.ToValidUTF8(path[:half], "") + "…" + strings.ToValidUTF8(path[len(path)-half:], "")
}
