package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"kooperd.dev/kooperd/pkg/expression"
)

// FieldMask is some fields of an object. What it leaves out need not be decoded. A nil *FieldMask
// is the whole object. It does not change.
type FieldMask struct {
	json     *fieldTree // by name
	protobuf *fieldTree // by number and key; nil when the kind has no protobuf
}

// NewFieldMask returns the mask of what is at and below paths; an empty path is the whole object.
// steps are the same places in the protobuf of the kind, or nil for a kind that has none.
func NewFieldMask(paths []expression.Path, steps [][]expression.Step) *FieldMask {
	p := &FieldMask{json: &fieldTree{}}
	for _, path := range paths {
		if len(path) == 0 {
			return nil
		}
		at := p.json
		for _, name := range path {
			at = at.member(name)
		}
		at.all = true
	}
	if steps != nil {
		p.protobuf = treeOf(steps)
	}
	return p
}

// Apply returns the object with these fields alone. Its metadata cannot be decoded by itself.
func (p *FieldMask) Apply(o *Object) *Object {
	kept := *o
	switch {
	case p == nil || o.Encoding == Protobuf && p.protobuf == nil:
		return o
	case o.Encoding == Protobuf:
		kept.Data = p.protobuf.keepFields(nil, o.Data)
	default:
		kept.Data = p.json.keepMembers(nil, o.Data)
	}
	kept.metaStart, kept.metaEnd = 0, 0
	return &kept
}

// keepMembers appends a JSON object with the members that are kept. What is no object is kept as it
// is, damage included.
func (i *fieldTree) keepMembers(to, value []byte) []byte {
	s := &scanner{text: value}
	if i.all || s.peek() != '{' {
		return append(to, value...)
	}
	start := len(to)
	to = append(to, '{')
	s.members(func(name, value []byte) {
		below := i.names[text(name)]
		if below == nil {
			return
		}
		if to[len(to)-1] != '{' {
			to = append(to, ',')
		}
		to = append(append(to, name...), ':')
		to = below.keepMembers(to, value)
	})
	if s.bad {
		return append(to[:start], value...)
	}
	return append(to, '}')
}

// keepFields appends a message with the fields that are kept. Damage is kept as it is.
func (i *fieldTree) keepFields(to, message []byte) []byte {
	start := len(to)
	err := eachField(message, func(number protowire.Number, value, whole []byte) error {
		switch below := i.numbers[number]; {
		case below == nil:
		case below.all || below.names != nil && below.names[string(mapKeyOf(value))] != nil:
			to = append(to, whole...)
		case below.names != nil: // an entry of another key
		default:
			nested := below.keepFields(nil, value)
			to = protowire.AppendTag(to, number, protowire.BytesType)
			to = protowire.AppendBytes(to, nested)
		}
		return nil
	})
	if err != nil {
		return append(to[:start], message...)
	}
	return to
}
