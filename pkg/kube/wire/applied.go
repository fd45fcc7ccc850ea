package wire

import (
	"bytes"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Fields of metav1.ManagedFieldsEntry.
const (
	entryManager     = 1
	entryOperation   = 2
	entryAPIVersion  = 3
	entryFieldsType  = 6
	entryFieldsV1    = 7
	entrySubresource = 8

	fieldsV1Raw = 1
)

const (
	fieldsType = "FieldsV1" // the only one there is
	// maxKnown bounds how many different texts a FieldManager remembers.
	maxKnown = 256
	// maxMarked is how many owner references of an object can be marked as applied.
	maxMarked = 32
)

// Applied is what one field manager, or several, own of an object by Apply, as managedFields has
// it, but for the owner references, for which there is Object.AppliedOwners: they name a UID and
// differ from object to object. So many objects have equal texts. It is empty when the manager has
// applied nothing. See Entries.
type Applied string

// AppliedEntry is one entry of managedFields. A manager has several when it has applied an object
// in several versions.
type AppliedEntry struct {
	// Manager is the field manager where several are kept, else empty.
	Manager string
	// APIVersion is the version in which the object was applied.
	APIVersion string
	// FieldsV1 is the set of fields in JSON. It looks like an object and may be damaged
	// nevertheless.
	FieldsV1 string
}

// Entries takes the text apart, in the order of managedFields, where the latest entry is the last.
func (a Applied) Entries() []AppliedEntry {
	var entries []AppliedEntry
	for rest := []byte(a); len(rest) > 0; {
		var parts [3][]byte
		for i := range parts {
			part, n := protowire.ConsumeBytes(rest)
			if n < 0 {
				return entries
			}
			parts[i], rest = part, rest[n:]
		}
		entries = append(entries, AppliedEntry{Manager: string(parts[0]), APIVersion: string(parts[1]), FieldsV1: string(parts[2])})
	}
	return entries
}

// FieldManager takes answers apart as an Envelope does and keeps what one field manager has
// applied, or several of them. Nil keeps nothing. It is for one goroutine.
type FieldManager struct {
	name  string             // that of the manager; with a slash at the end, what the names of several begin with
	many  bool               // it has that slash
	known map[string]Applied // texts of objects before

	// Of the object that is being read.
	applied []byte
	owners  [][]byte // UIDs of the owner references that the manager owns
}

// NewFieldManager returns what keeps the fields of the field manager of that name, nil if it is
// empty. A name that ends in a slash stands for all managers whose names begin so.
func NewFieldManager(name string) *FieldManager {
	if name == "" {
		return nil
	}
	return &FieldManager{name: name, many: strings.HasSuffix(name, "/"), known: map[string]Applied{}}
}

// keeps reports whether the fields of a manager are kept.
func (m *FieldManager) keeps(manager []byte) bool {
	if m.many {
		return len(manager) > len(m.name) && string(manager[:len(m.name)]) == m.name
	}
	return string(manager) == m.name
}

// Object takes the one object out of an answer.
func (m *FieldManager) Object(e Envelope) (Object, Applied, error) {
	var o Object
	var err error
	if e.Encoding == Protobuf {
		o, err = protobufObject(e.Raw, m)
	} else {
		o, err = jsonObject(e.Raw, m)
	}
	return o, m.take(), err
}

// begin forgets the object before.
func (m *FieldManager) begin() {
	if m != nil {
		m.applied, m.owners = m.applied[:0], m.owners[:0]
	}
}

// take returns the text of the object that has been read. Objects with the same text share it.
func (m *FieldManager) take() Applied {
	if m == nil || len(m.applied) == 0 {
		return ""
	}
	if known, ok := m.known[string(m.applied)]; ok {
		return known
	}
	if len(m.known) >= maxKnown {
		clear(m.known)
	}
	applied := Applied(m.applied)
	m.known[string(applied)] = applied
	return applied
}

// readProtobuf reads one entry of managedFields.
func (m *FieldManager) readProtobuf(entry []byte) {
	if m == nil {
		return
	}
	var manager, operation, apiVersion, kind, subresource, fields []byte
	err := eachField(entry, func(number protowire.Number, value, _ []byte) error {
		switch number {
		case entryManager:
			manager = value
		case entryOperation:
			operation = value
		case entryAPIVersion:
			apiVersion = value
		case entryFieldsType:
			kind = value
		case entrySubresource:
			subresource = value
		case entryFieldsV1:
			return eachField(value, func(number protowire.Number, value, _ []byte) error {
				if number == fieldsV1Raw {
					fields = value
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && m.keeps(manager) && string(operation) == string(metav1.ManagedFieldsOperationApply) &&
		string(kind) == fieldsType && len(subresource) == 0 {
		m.add(manager, apiVersion, fields)
	}
}

// readJSON reads the value of managedFields.
func (m *FieldManager) readJSON(managedFields []byte) {
	if m == nil || managedFields[0] != '[' {
		return
	}
	each := &scanner{text: managedFields}
	each.elements(func(entry []byte) {
		if entry[0] != '{' {
			return
		}
		var manager, operation, apiVersion, kind, subresource, fields []byte
		s := &scanner{text: entry}
		s.members(func(name, value []byte) {
			switch string(name) {
			case `"manager"`:
				manager = value
			case `"operation"`:
				operation = value
			case `"apiVersion"`:
				apiVersion = value
			case `"fieldsType"`:
				kind = value
			case `"subresource"`:
				subresource = value
			case `"fieldsV1"`:
				fields = value
			}
		})
		if manager = textBytes(manager); !s.bad && m.keeps(manager) && string(textBytes(operation)) == string(metav1.ManagedFieldsOperationApply) &&
			string(textBytes(kind)) == fieldsType && len(textBytes(subresource)) == 0 {
			m.add(manager, textBytes(apiVersion), fields)
		}
	})
}

// textBytes is text, without a copy where there is nothing to decode.
func textBytes(quoted []byte) []byte {
	if len(quoted) < 2 || quoted[0] != '"' || bytes.IndexByte(quoted, '\\') >= 0 {
		return []byte(text(quoted))
	}
	return quoted[1 : len(quoted)-1]
}

// add notes an entry of a manager. One whose fields are no JSON object counts as none.
func (m *FieldManager) add(manager, apiVersion, fields []byte) {
	owners, from, to, ok := findOwners(fields)
	if !ok {
		return
	}
	if !m.many {
		manager = nil // It is known, and would take memory.
	}
	m.applied = protowire.AppendBytes(m.applied, manager)
	m.applied = protowire.AppendBytes(m.applied, apiVersion)
	m.applied = protowire.AppendVarint(m.applied, uint64(len(fields)-(to-from)))
	m.applied = append(append(m.applied, fields[:from]...), fields[to:]...)
	if len(owners) == 0 || owners[0] != '{' {
		return
	}
	s := &scanner{text: owners}
	s.members(func(name, _ []byte) {
		uid, isKey := bytes.CutPrefix(name, []byte(`"k:{\"uid\":\"`))
		uid, ends := bytes.CutSuffix(uid, []byte(`\"}"`))
		if isKey && ends && bytes.IndexByte(uid, '\\') < 0 {
			m.owners = append(m.owners, uid)
		}
	})
}

// findOwners returns the owner references among a set of fields, nil if there are none, and where
// to cut so that the rest is the set without them. An empty object would mean that the metadata as
// such is in the set, so it is cut with its last member. ok is false when this is no set.
func findOwners(fields []byte) (owners []byte, from, to int, ok bool) {
	var nameOfMetadata, metadata, nameOfOwners []byte
	s := &scanner{text: fields}
	s.members(func(name, value []byte) {
		if string(name) == `"f:metadata"` {
			nameOfMetadata, metadata = name, value
		}
	})
	if s.bad {
		return nil, 0, 0, false
	}
	if len(metadata) == 0 || metadata[0] != '{' {
		return nil, 0, 0, true
	}
	others := false
	s = &scanner{text: metadata}
	s.members(func(name, value []byte) {
		if string(name) == `"f:ownerReferences"` {
			nameOfOwners, owners = name, value
		} else {
			others = true
		}
	})
	switch {
	case s.bad:
		return nil, 0, 0, false
	case owners == nil:
		return nil, 0, 0, true
	case others:
		from, to = bounds(metadata, nameOfOwners, owners)
		start := cap(fields) - cap(metadata) // Both are parts of one array.
		return owners, start + from, start + to, true
	default:
		from, to = bounds(fields, nameOfMetadata, metadata)
		return owners, from, to, true
	}
}

// markOwners notes which owner references have one of these UIDs.
func (o *Object) markOwners(uids [][]byte) {
	if len(uids) == 0 {
		return
	}
	at := 0
	mark := func(uid []byte) {
		for _, applied := range uids {
			if at < maxMarked && bytes.Equal(uid, applied) {
				o.appliedOwners |= 1 << at
			}
		}
		at++
	}
	if o.Encoding == Protobuf {
		eachProtobufOwner(o.MetadataBytes(), func(owner []byte) { mark(fieldOf(owner, ownerUID)) })
		return
	}
	eachJSONOwner(o.MetadataBytes(), func(owner []byte) {
		var uid []byte
		s := &scanner{text: owner}
		s.members(func(name, value []byte) {
			if string(name) == `"uid"` {
				uid = textBytes(value)
			}
		})
		mark(uid)
	})
}

// fieldOf returns the value of a field of a message, nil if it is not there.
func fieldOf(message []byte, wanted protowire.Number) (found []byte) {
	_ = eachField(message, func(number protowire.Number, value, _ []byte) error {
		if number == wanted {
			found = value
		}
		return nil
	})
	return found
}

// AppliedOwners returns the UIDs of those owner references that a FieldManager has found applied.
// Of an object that no FieldManager has read there are none, and none beyond the 32nd reference.
func (o *Object) AppliedOwners() []types.UID {
	if o.appliedOwners == 0 {
		return nil
	}
	var uids []types.UID
	for i, owner := range o.Owners() {
		if i < maxMarked && o.appliedOwners&(1<<i) != 0 {
			uids = append(uids, owner.UID)
		}
	}
	return uids
}

// SameApplied reports whether the same owner references have been found applied.
func (o *Object) SameApplied(other *Object) bool { return o.appliedOwners == other.appliedOwners }
