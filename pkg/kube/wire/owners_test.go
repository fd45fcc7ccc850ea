package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

func TestOwners(t *testing.T) {
	yes, no := true, false
	tests := map[string][]metav1.OwnerReference{
		"none":  nil,
		"empty": {{}},
		"one":   {{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "1", Controller: &yes, BlockOwnerDeletion: &no}},
		"several": {
			{APIVersion: "example.com/v1", Kind: "Widget", Name: `a "quoted" \ name`, UID: "2"},
			{APIVersion: "v1", Kind: "ConfigMap", Name: "]}", UID: "3", Controller: &no},
		},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			p := pod("a")
			p.TypeMeta, p.OwnerReferences = podType, want
			for encoding, data := range map[string][]byte{
				"protobuf": encodeProtobuf(t, p), "JSON": encodeJSON(t, p), "indented JSON": indented(t, p),
			} {
				if diff := cmp.Diff(want, parseObject(t, data).Owners()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", encoding, diff)
				}
			}
		})
	}
}

// What an aggregated API server may send in the place of owner references gives none.
func TestOwnersThatAreNone(t *testing.T) {
	for given, want := range map[string]int{
		`{}`:                                    0,
		`{"metadata":null}`:                     0,
		`{"metadata":{"ownerReferences":null}}`: 0,
		`{"metadata":{"ownerReferences":{"uid":"1"}}}`:                           0,
		`{"metadata":{"ownerReferences":["a",1,null]}}`:                          0,
		`{"metadata":{"ownerReferences":[{"uid":1}]}}`:                           1,
		`{"metadata":{"labels":{"ownerReferences":[]}}}`:                         0,
		`{"metadata":{"ownerReferences":[{"controller":"true","uid":"1"}, {}]}}`: 2,
	} {
		o := parseObject(t, []byte(given))
		if got := o.Owners(); len(got) != want {
			t.Errorf("%s has the owners %+v, want %d", given, got, want)
		}
	}
}

func parseObject(t *testing.T, data []byte) *wire.Object {
	t.Helper()
	e, err := wire.ParseEnvelope(data)
	if err != nil {
		t.Fatal(err)
	}
	o, err := e.Object()
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

// FuzzOwners compares what is scanned with what is decoded, wherever that succeeds.
func FuzzOwners(f *testing.F) {
	owned := pod("a")
	owned.TypeMeta = podType
	f.Add(encodeProtobuf(f, owned))
	f.Add(encodeJSON(f, owned))
	f.Add([]byte(`{"metadata":{"ownerReferences":[{"uid":"\u0031"}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := wire.ParseEnvelope(data)
		if err != nil {
			return
		}
		o, err := e.Object()
		if err != nil {
			return
		}
		got := o.Owners()
		if o.Encoding != wire.Protobuf {
			return // encoding/json takes names in any case, and the last of two members
		}
		var decoded corev1.Pod
		if err := decoded.Unmarshal(o.Data); err != nil {
			return
		}
		if diff := cmp.Diff(decoded.OwnerReferences, got); diff != "" {
			t.Errorf("scanned and decoded differ:\n%s", diff)
		}
	})
}
