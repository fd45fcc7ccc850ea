package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ParseEnvelope reads what an answer says of itself, in protobuf or JSON. One in CBOR becomes JSON.
func ParseEnvelope(data []byte) (Envelope, error) {
	if bytes.HasPrefix(data, cborPrefix) {
		text, err := cborToJSON(data)
		if err != nil {
			return Envelope{}, err
		}
		data = text
	}
	if bytes.HasPrefix(data, protobufPrefix) {
		return parseProtobufEnvelope(data)
	}
	return parseJSONEnvelope(data)
}

// Object takes the one object out of an answer.
func (e Envelope) Object() (Object, error) {
	var none *FieldManager
	o, _, err := none.Object(e)
	return o, err
}

// List takes the objects out of an answer that is a list.
func (e Envelope) List() (List, error) {
	var none *FieldManager
	return none.list(e)
}

// ParseList is ParseEnvelope and Envelope.List. An answer that does not say that it is a list is an
// error, and not an empty list: every object would be taken for deleted.
func ParseList(data []byte) (List, error) {
	var none *FieldManager
	return none.ParseList(data)
}

// ParseList is the function ParseList, and keeps what the manager has applied.
func (m *FieldManager) ParseList(data []byte) (List, error) {
	e, err := ParseEnvelope(data)
	if err != nil {
		return List{}, fmt.Errorf("reading a list: %w", err)
	}
	// A CRD may call its lists what it likes, and they travel as JSON.
	if e.Encoding == Protobuf && !strings.HasSuffix(e.Kind.Kind, "List") {
		return List{}, fmt.Errorf("reading a list: the answer is a %q", e.Kind.Kind)
	}
	return m.list(e)
}

func (m *FieldManager) list(e Envelope) (List, error) {
	if e.Encoding == Protobuf {
		return protobufList(e.Raw, m)
	}
	return jsonList(e.Raw, m)
}

// add appends an object that m has just read.
func (l *List) add(o Object, m *FieldManager) {
	l.Objects = append(l.Objects, o)
	if m != nil {
		l.Applied = append(l.Applied, m.take())
	}
}

// Status takes the Status out of an answer that is one: the object of an event of type ERROR.
func (e Envelope) Status() (*metav1.Status, error) {
	status := &metav1.Status{}
	var err error
	if e.Encoding == Protobuf {
		err = status.Unmarshal(e.Raw)
	} else {
		err = json.Unmarshal(e.Raw, status)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a Status: %w", err)
	}
	return status, nil
}
