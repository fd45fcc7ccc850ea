package handlerstest

import (
	"errors"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// samples are objects that no handler may panic on. All but the first have content that a schema
// would refuse somewhere, because a custom resource may have no schema.
func samples(t testing.TB) map[string]handlers.Object {
	t.Helper()
	minimal := Object(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"minimal"}}`)
	return map[string]handlers.Object{
		"minimal": minimal,
		"hostile text": Object(t, `{"apiVersion":"v1","kind":"ConfigMap",
			"metadata":{"namespace":"default","name":"text","labels":{"app":"web"}},
			"data":{"shell":"; rm -rf / $(id) `+"`id`"+` | cat","dash":"--help","lines":"a\nb\r\n","nul":"a\u0000b",
				"unicode":"\u202e\ud83d\ude00","template":"{{ . }} ${HOME} %s %n","empty":""}}`),
		"odd types": Object(t, `{"apiVersion":"example.com/v1","kind":"Odd",
			"metadata":{"namespace":"default","name":"odd","labels":null,"annotations":{},"ownerReferences":[],"generation":-1},
			"spec":null,"status":[],"data":[{"a":[[],{},null,true,-0.5,9223372036854775807,1e300]}],"":{"":""}}`),
		"deeply nested": Object(t, `{"apiVersion":"example.com/v1","kind":"Deep","metadata":{"name":"deep"},"spec":`+
			strings.Repeat(`{"a":[`, 100)+strings.Repeat(`]}`, 100)+`}`),
		"two MiB": Object(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large"},"data":{"a":"`+
			strings.Repeat("0123456789abcdef", 2<<20/16)+`"}}`),
		"being deleted": Object(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"default","name":"gone",
			"uid":"4f7b3b1c","resourceVersion":"7","deletionTimestamp":"2024-01-02T03:04:05Z","finalizers":["example.com/hold"]}}`),
		"undecodable": undecodable{Object: minimal},
	}
}

// undecodable is an object whose content cannot be had.
type undecodable struct{ handlers.Object }

var errUndecodable = errors.New("this sample has no content")

func (undecodable) JSON() ([]byte, error) { return nil, errUndecodable }
func (undecodable) Into(any) error        { return errUndecodable }
