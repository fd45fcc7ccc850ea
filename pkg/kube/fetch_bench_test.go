package kube

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

// BenchmarkWatch reads events of pods that are 3.4 KB as JSON, with package wire and with
// client-go's stream decoder, which gets a decoder that does not decode objects. See
// docs/decisions/0008.
//
//	go test -run "^$" -bench "Watch$" -benchtime 20000x -count 10 ./pkg/kube
func BenchmarkWatch(b *testing.B) {
	pod := largePod(b)
	partial := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: partialKind}, ObjectMeta: pod.ObjectMeta}
	streams := []struct {
		name         string
		contentType  string
		event        []byte
		metadataOnly bool
	}{
		{"protobuf", runtime.ContentTypeProtobuf, protobufEvent(b, pod), false},
		{"JSON", runtime.ContentTypeJSON, jsonEvent(b, pod), false},
		{"metadata", runtime.ContentTypeProtobuf, protobufEvent(b, partial), true},
	}
	readers := []struct {
		name string
		open func(*restFetcher) (watch.Interface, error)
	}{
		{"wire", func(f *restFetcher) (watch.Interface, error) { return f.watch(b.Context(), metav1.ListOptions{}) }},
		{"client-go", func(f *restFetcher) (watch.Interface, error) {
			return f.get(metav1.ListOptions{Watch: true}).Watch(b.Context())
		}},
	}
	for _, s := range streams {
		for _, reader := range readers {
			b.Run(s.name+"/"+reader.name, func(b *testing.B) {
				w, err := reader.open(fetcherOf(b, s.contentType, s.event, s.metadataOnly))
				if err != nil {
					b.Fatal(err)
				}
				defer w.Stop()
				b.ReportAllocs()
				b.SetBytes(int64(len(s.event)))
				for b.Loop() {
					event := <-w.ResultChan()
					if o, ok := event.Object.(*object); !ok || o.Name != pod.Name || len(o.Data) == 0 {
						b.Fatalf("event %s with %v", event.Type, event.Object)
					}
				}
			})
		}
	}
}

// largePod is a pod that is 3.4 KB as JSON, a third of it managedFields.
func largePod(b *testing.B) *corev1.Pod {
	b.Helper()
	fields := `{"f:metadata":{"f:labels":{` + strings.Repeat(`"f:app.kubernetes.io/name":{},`, 30) + `"f:app":{}}}}`
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-7c5ddbdf54-x7k2p", Namespace: "shop", UID: "d3ee7e44-2b1c-4a8e-9f6d-0c1b2a3d4e5f", ResourceVersion: "4711",
			Labels: map[string]string{"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": "shop-1", "pod-template-hash": "7c5ddbdf54"},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsV1: metav1.NewFieldsV1(fields),
			}},
		},
		Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "web", Image: "registry.example.com/shop/web:v1.42.7"}}},
	}
	web := &pod.Spec.Containers[0]
	for i := 0; len(encodeJSON(b, pod)) < 3400; i++ {
		web.Env = append(web.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", i), Value: "checkout=true,search=canary"})
	}
	return pod
}

func encodeJSON(b *testing.B, value any) []byte {
	b.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

// jsonEvent is an event as the API server writes it, a line.
func jsonEvent(b *testing.B, object runtime.Object) []byte {
	b.Helper()
	return append(encodeJSON(b, map[string]any{"type": watch.Modified, "object": object}), '\n')
}

// protobufEvent is an event as the API server writes it, behind its length.
func protobufEvent(b *testing.B, object runtime.Object) []byte {
	b.Helper()
	var encoded bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(object, &encoded); err != nil {
		b.Fatal(err)
	}
	event := metav1.WatchEvent{Type: string(watch.Modified), Object: runtime.RawExtension{Raw: encoded.Bytes()}}
	message, err := event.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

// fetcherOf is a fetcher whose API server sends one event again and again. Its client can read them
// in both ways.
func fetcherOf(b *testing.B, contentType string, event []byte, metadataOnly bool) *restFetcher {
	b.Helper()
	answer := roundTripper(func(*http.Request) (*http.Response, error) {
		body := io.NopCloser(&repeated{text: event})
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {contentType + ";stream=watch"}}, Body: body}, nil
	})
	id := sourceID{kind: podKind, metadataOnly: metadataOnly}
	res := resource{gvr: podKind.GroupVersion().WithResource("pods")}
	client := &http.Client{Transport: answer}
	made, err := newFetcher(&rest.Config{Host: "https://127.0.0.1"}, client, id, res, func(o *object) *object { return o })
	if err != nil {
		b.Fatal(err)
	}
	f, ok := made.(*restFetcher)
	if !ok {
		b.Fatalf("the fetcher is a %T", made)
	}
	gv := podKind.GroupVersion()
	f.client, err = rest.RESTClientForConfigAndClient(&rest.Config{Host: "https://127.0.0.1", APIPath: "/api", ContentConfig: rest.ContentConfig{
		GroupVersion: &gv, NegotiatedSerializer: encodedSerializer{scheme.Codecs.WithoutConversion(), f.codec},
	}}, client)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// repeated is a text without an end.
type repeated struct {
	text []byte
	at   int
}

func (r *repeated) Read(into []byte) (n int, err error) {
	for n < len(into) {
		copied := copy(into[n:], r.text[r.at:])
		n += copied
		r.at = (r.at + copied) % len(r.text)
	}
	return n, nil
}

// encodedSerializer lets client-go take a stream apart, and leaves its objects encoded.
type encodedSerializer struct {
	runtime.NegotiatedSerializer
	codec *codec
}

func (s encodedSerializer) DecoderToVersion(runtime.Decoder, runtime.GroupVersioner) runtime.Decoder {
	return encodedDecoder{s.codec}
}

// encodedDecoder copies an object out of its event.
type encodedDecoder struct{ codec *codec }

func (d encodedDecoder) Decode(data []byte, _ *schema.GroupVersionKind, _ runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	envelope, err := wire.ParseEnvelope(data)
	if err != nil {
		return nil, nil, err
	}
	if envelope.Kind.Kind == "Status" {
		return nil, nil, errors.New("the API server has ended the watch")
	}
	o, err := envelope.Object()
	if err != nil {
		return nil, nil, err
	}
	return &object{codec: d.codec, Object: o}, &envelope.Kind, nil
}
