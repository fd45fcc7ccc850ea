package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// scanner walks over a JSON text without decoding it. It accepts every valid text, and some that
// are not, but never reads past the end. After an error what comes means nothing.
//
// TODO: use encoding/json/jsontext as soon as it needs no GOEXPERIMENT.
type scanner struct {
	text []byte
	at   int
	bad  bool
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) {
	if s.peek() != c || s.bad {
		s.bad = true
		return
	}
	s.at++
}

// str skips a string and returns it with its quotes.
func (s *scanner) str() []byte {
	s.expect('"')
	start := s.at - 1
	for !s.bad {
		n := bytes.IndexByte(s.text[s.at:], '"')
		if n < 0 {
			s.bad = true
			return nil
		}
		escapes := 0
		for i := s.at + n - 1; i >= s.at && s.text[i] == '\\'; i-- {
			escapes++
		}
		s.at += n + 1
		if escapes%2 == 0 {
			return s.text[start:s.at]
		}
	}
	return nil
}

// value skips any value and returns its text.
func (s *scanner) value() []byte {
	first := s.peek()
	start := s.at
	switch first {
	case '"':
		return s.str()
	case '{', '[':
		s.nested()
	case 0:
		s.bad = true
	default:
		for s.at < len(s.text) && !endsScalar(s.text[s.at]) {
			s.at++
		}
		s.bad = s.bad || s.at == start // there is none
	}
	if s.bad {
		return nil
	}
	return s.text[start:s.at]
}

// endsScalar reports whether a number, true, false or null ends before a byte.
func endsScalar(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// nested skips an object or an array. Depth is counted instead of kept on the stack, whatever the
// text.
func (s *scanner) nested() {
	for depth := 0; s.at < len(s.text) && !s.bad; {
		switch s.text[s.at] {
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			s.at++
			if depth--; depth == 0 {
				return
			}
		case '"':
			s.str()
		case 0:
			s.bad = true
		default:
			s.at++
		}
	}
	s.bad = true
}

// members calls visit with every member of the object at this place.
func (s *scanner) members(visit func(name, value []byte)) {
	s.expect('{')
	if s.peek() == '}' {
		s.at++
		return
	}
	for !s.bad {
		name := s.str()
		s.expect(':')
		s.peek()
		value := s.value()
		if s.bad {
			return
		}
		visit(name, value)
		if s.peek() == '}' {
			s.at++
			return
		}
		s.expect(',')
	}
}

// elements calls visit with every element of the array at this place.
func (s *scanner) elements(visit func(value []byte)) {
	s.expect('[')
	if s.peek() == ']' {
		s.at++
		return
	}
	for !s.bad {
		s.peek()
		value := s.value()
		if s.bad {
			return
		}
		visit(value)
		if s.peek() == ']' {
			s.at++
			return
		}
		s.expect(',')
	}
}

// text decodes a string. What is no string is empty.
func text(quoted []byte) string {
	if len(quoted) < 2 || quoted[0] != '"' {
		return ""
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var decoded string
	if err := json.Unmarshal(quoted, &decoded); err != nil {
		return ""
	}
	return decoded
}

// parseJSONEnvelope reads apiVersion and kind.
func parseJSONEnvelope(data []byte) (Envelope, error) {
	var apiVersion, kind string
	s := &scanner{text: data}
	s.members(func(name, value []byte) {
		switch string(name) {
		case `"apiVersion"`:
			apiVersion = text(value)
		case `"kind"`:
			kind = text(value)
		}
	})
	if s.bad {
		return Envelope{}, fmt.Errorf("reading JSON: %w", errTruncated)
	}
	return Envelope{Kind: schema.FromAPIVersionAndKind(apiVersion, kind), Encoding: JSON, Raw: data}, nil
}

// jsonList takes a list apart.
func jsonList(data []byte, m *FieldManager) (List, error) {
	var list List
	var metadata, items []byte
	s := &scanner{text: data}
	s.members(func(name, value []byte) {
		switch string(name) {
		case `"metadata"`:
			metadata = value
		case `"items"`:
			items = value
		}
	})
	if s.bad {
		return List{}, fmt.Errorf("reading a list: %w", errTruncated)
	}
	if items == nil {
		return List{}, errors.New("reading a list: the answer has no items")
	}
	if metadata != nil {
		if err := json.Unmarshal(metadata, &list.ListMeta); err != nil {
			return List{}, fmt.Errorf("reading a list: %w", err)
		}
	}
	if string(items) == "null" {
		return list, nil
	}
	var failed error
	each := &scanner{text: items}
	each.elements(func(value []byte) {
		object, err := jsonObject(value, m)
		if err != nil && failed == nil {
			failed = err
		}
		list.add(object, m)
	})
	if each.bad && failed == nil {
		failed = errTruncated
	}
	if failed != nil {
		return List{}, fmt.Errorf("reading a list: %w", failed)
	}
	return list, nil
}

// jsonObject copies an object without its managedFields, of which m notes what it keeps.
func jsonObject(data []byte, m *FieldManager) (Object, error) {
	m.begin()
	o := Object{Encoding: JSON}
	var metadata []byte
	s := &scanner{text: data}
	s.members(func(name, value []byte) {
		if string(name) == `"metadata"` {
			metadata = value
		}
	})
	if s.bad {
		return Object{}, fmt.Errorf("reading an object: %w", errTruncated)
	}
	data = data[:s.at] // without what follows
	if metadata == nil || metadata[0] != '{' {
		o.Data = bytes.Clone(data)
		return o, nil
	}
	kept, err := o.readJSONMeta(metadata, m)
	if err != nil {
		return Object{}, fmt.Errorf("reading metadata: %w", err)
	}
	start := cap(data) - cap(metadata) // Both are parts of one array.
	o.Data = make([]byte, 0, len(data)-len(metadata)+len(kept))
	o.Data = append(o.Data, data[:start]...)
	o.Data = append(o.Data, kept...)
	o.Data = append(o.Data, data[start+len(metadata):]...)
	o.metaStart, o.metaEnd = uint32(start), uint32(start+len(kept))
	if m != nil {
		o.markOwners(m.owners)
	}
	return o, nil
}

// readJSONMeta takes what the cache needs from the metadata and returns it without managedFields.
func (o *Object) readJSONMeta(metadata []byte, m *FieldManager) ([]byte, error) {
	kept := metadata
	s := &scanner{text: metadata}
	s.members(func(name, value []byte) {
		switch string(name) {
		case `"name"`:
			o.Name = text(value)
		case `"namespace"`:
			o.Namespace = text(value)
		case `"uid"`:
			o.UID = types.UID(text(value))
		case `"resourceVersion"`:
			o.ResourceVersion = text(value)
		case `"managedFields"`:
			kept = cut(metadata, name, value)
			m.readJSON(value)
		}
	})
	if s.bad {
		return nil, errTruncated
	}
	return kept, nil
}

// cut returns an object without one of its members.
func cut(object, name, value []byte) []byte {
	from, to := bounds(object, name, value)
	kept := make([]byte, 0, len(object)-(to-from))
	return append(append(kept, object[:from]...), object[to:]...)
}

// bounds returns where a member of an object is, with a comma that belongs to it. All are parts of
// one array.
func bounds(object, name, value []byte) (from, to int) {
	from, to = cap(object)-cap(name), cap(object)-cap(value)+len(value)
	if rest := bytes.TrimLeft(object[to:], " \t\r\n"); rest[0] == ',' {
		return from, len(object) - len(rest) + 1
	}
	return len(bytes.TrimRight(object[:from], " \t\r\n,")), to
}

// jsonLabels reads the labels out of metadata.
func jsonLabels(metadata []byte) map[string]string {
	var found []byte
	if len(metadata) == 0 {
		return nil
	}
	s := &scanner{text: metadata}
	s.members(func(name, value []byte) {
		if string(name) == `"labels"` {
			found = value
		}
	})
	var labels map[string]string
	if len(found) == 0 || found[0] != '{' {
		return nil
	}
	each := &scanner{text: found}
	each.members(func(name, value []byte) {
		if labels == nil {
			labels = map[string]string{}
		}
		labels[text(name)] = text(value)
	})
	return labels
}
