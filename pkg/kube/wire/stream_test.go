package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

// protobufFrame writes an event as the API server does: its length, then a WatchEvent with the
// object in its envelope.
func protobufFrame(t testing.TB, what watch.EventType, object runtime.Object) []byte {
	t.Helper()
	event := metav1.WatchEvent{Type: string(what), Object: runtime.RawExtension{Raw: encodeProtobuf(t, object)}}
	body, err := event.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func jsonFrame(t testing.TB, what watch.EventType, object any) []byte {
	t.Helper()
	return encodeJSON(t, map[string]any{"type": what, "object": object})
}

func TestStream(t *testing.T) {
	gone := &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Code: 410, Reason: metav1.StatusReasonExpired, Message: "too old }"}
	a, b := &podList("a").Items[0], &podList("b").Items[0]
	indented := func(frame []byte) []byte {
		var text bytes.Buffer
		if err := json.Indent(&text, frame, "", "\t"); err != nil {
			t.Fatal(err)
		}
		return text.Bytes()
	}
	frames := [][]byte{jsonFrame(t, watch.Added, a), jsonFrame(t, watch.Deleted, b), jsonFrame(t, watch.Error, gone)}
	tests := map[string][]byte{
		"protobuf": bytes.Join([][]byte{
			protobufFrame(t, watch.Added, a), protobufFrame(t, watch.Deleted, b), protobufFrame(t, watch.Error, gone),
		}, nil),
		"JSON":                      append(bytes.Join(frames, []byte("\n")), '\n'),
		"JSON without line ends":    bytes.Join(frames, nil),
		"JSON with other line ends": append([]byte("\r\n "), bytes.Join(frames, []byte("\r\n"))...),
		"indented JSON":             append(append(indented(frames[0]), indented(frames[1])...), indented(frames[2])...),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			for _, reader := range []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text)), iotest.DataErrReader(bytes.NewReader(text))} {
				s := wire.NewStream(reader)
				for i, want := range []string{"ADDED a", "DELETED b"} {
					event, err := s.Next()
					if err != nil {
						t.Fatalf("event %d: %v", i, err)
					}
					o, err := event.Object()
					if err != nil || string(event.Type)+" "+o.Name != want || event.Kind.Kind != "Pod" {
						t.Errorf("event %d is %s %s of kind %s, %v; want %s", i, event.Type, o.Name, event.Kind.Kind, err, want)
					}
					checkPod(t, o, o.Name)
				}
				event, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				status, err := event.Status()
				if err != nil || event.Type != watch.Error || status.Code != 410 || status.Message != gone.Message {
					t.Errorf("event %s with %+v, %v", event.Type, status, err)
				}
				if _, err := s.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("at the end: %v", err)
				}
			}
		})
	}
}

// TestStreamBreaksOff ends a stream after every byte: that must not look like an end, nor like an
// error of the server.
func TestStreamBreaksOff(t *testing.T) {
	for name, frame := range map[string][]byte{
		"protobuf": protobufFrame(t, watch.Added, &podList("a").Items[0]), "JSON": jsonFrame(t, watch.Added, podList("a").Items[0]),
	} {
		for n := 1; n < len(frame); n++ {
			//nolint:errorlint // client-go compares it so
			if _, err := wire.NewStream(bytes.NewReader(frame[:n])).Next(); err != io.ErrUnexpectedEOF {
				t.Fatalf("%s after %d of %d bytes: %v", name, n, len(frame), err)
			}
		}
	}
}

func TestStreamOfNonsense(t *testing.T) {
	for _, text := range []string{
		`{"type":"ADDED"}`, `{"object":{}}`, `{"type":"ADDED","object":}`, `{}`, `{"type":{"a":"}"},"object":[}`,
		"\xff\xff\xff\xff", "\x00\x00\x00\x02\xff\xff", "\x00\x00\x00\x00",
	} {
		if event, err := wire.NewStream(strings.NewReader(text)).Next(); err == nil {
			if _, err = event.Object(); err == nil && event.Type != "" {
				t.Errorf("%q is taken for an event of type %q", text, event.Type)
			}
		}
	}
}

// TestNoList must not take any other answer for an empty list: every object would be taken for
// deleted.
func TestNoList(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"kind":"Status","apiVersion":"v1"}`, "k8s\x00", `{"kind":"PodList","items":[{"metadata":}]}`,
		`{"kind":"PodList","items":[{]}`, `{"kind":"PodList","items":}`, `{"kind":"PodList","items":[,]}`,
		`{"kind":"PodList","apiVersion":"v1"}`, `{"kind":"APIResourceList","resources":[{"name":"pods"}]}`,
	} {
		if list, err := wire.ParseList([]byte(text)); err == nil {
			t.Errorf("%q is taken for a list of %d objects", text, len(list.Objects))
		}
	}
	if _, err := wire.ParseList([]byte(`{"kind":"PodList","items":null}`)); err != nil {
		t.Errorf("an empty list is refused: %v", err)
	}
	// A CRD names its lists.
	if list, err := wire.ParseList([]byte(`{"kind":"Widgets","items":[{"metadata":{"name":"a"}}]}`)); err != nil || len(list.Objects) != 1 {
		t.Errorf("a list of another name: %d objects, %v", len(list.Objects), err)
	}
}
