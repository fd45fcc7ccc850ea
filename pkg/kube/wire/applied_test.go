package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

const manager = `koop"<erd>`

// entry is one of managedFields that our manager has applied.
func entry(fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(fields),
	}
}

// managed is a pod with these entries beside those of others, and three owners.
func managed(entries ...metav1.ManagedFieldsEntry) *corev1.Pod {
	p := pod("a")
	p.TypeMeta = podType
	p.OwnerReferences = nil
	for _, uid := range []types.UID{"1-1", "2-2", "3-3"} {
		p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: uid})
	}
	p.ManagedFields = append(append(p.ManagedFields[:1:1], entries...), p.ManagedFields[1])
	return p
}

func TestApplied(t *testing.T) {
	with := func(change func(*metav1.ManagedFieldsEntry)) metav1.ManagedFieldsEntry {
		e := entry(`{"f:data":{}}`)
		change(&e)
		return e
	}
	tests := map[string]struct {
		entries []metav1.ManagedFieldsEntry
		want    []wire.AppliedEntry
		owners  []types.UID
	}{
		"no entry":                {},
		"an empty entry":          {entries: []metav1.ManagedFieldsEntry{{}}},
		"of another manager":      {entries: []metav1.ManagedFieldsEntry{with(func(e *metav1.ManagedFieldsEntry) { e.Manager = "koop" })}},
		"of an update":            {entries: []metav1.ManagedFieldsEntry{with(func(e *metav1.ManagedFieldsEntry) { e.Operation = metav1.ManagedFieldsOperationUpdate })}},
		"of a subresource":        {entries: []metav1.ManagedFieldsEntry{with(func(e *metav1.ManagedFieldsEntry) { e.Subresource = "status" })}},
		"of another type":         {entries: []metav1.ManagedFieldsEntry{with(func(e *metav1.ManagedFieldsEntry) { e.FieldsType = "FieldsV2" })}},
		"without fields":          {entries: []metav1.ManagedFieldsEntry{with(func(e *metav1.ManagedFieldsEntry) { e.FieldsV1 = nil })}},
		"nothing":                 {entries: []metav1.ManagedFieldsEntry{entry(`{}`)}, want: []wire.AppliedEntry{{"", "v1", `{}`}}},
		"the metadata themselves": {entries: []metav1.ManagedFieldsEntry{entry(`{"f:metadata":{}}`)}, want: []wire.AppliedEntry{{"", "v1", `{"f:metadata":{}}`}}},
		"fields": {
			entries: []metav1.ManagedFieldsEntry{entry(`{"f:metadata":{"f:labels":{"f:a":{}}},"f:data":{}}`)},
			want:    []wire.AppliedEntry{{"", "v1", `{"f:metadata":{"f:labels":{"f:a":{}}},"f:data":{}}`}},
		},
		"an owner": {
			entries: []metav1.ManagedFieldsEntry{entry(`{"f:metadata":{"f:labels":{"f:a":{}},"f:ownerReferences":{"k:{\"uid\":\"2-2\"}":{}}},"f:data":{}}`)},
			want:    []wire.AppliedEntry{{"", "v1", `{"f:metadata":{"f:labels":{"f:a":{}}},"f:data":{}}`}}, owners: []types.UID{"2-2"},
		},
		"owners before the rest": {
			entries: []metav1.ManagedFieldsEntry{entry(`{"f:metadata":{"f:ownerReferences":{".":{},"k:{\"uid\":\"1-1\"}":{".":{},"f:name":{}},"k:{\"uid\":\"3-3\"}":{}},"f:zone":{}}}`)},
			want:    []wire.AppliedEntry{{"", "v1", `{"f:metadata":{"f:zone":{}}}`}}, owners: []types.UID{"1-1", "3-3"},
		},
		"an owner alone": {
			entries: []metav1.ManagedFieldsEntry{entry(`{"f:data":{},"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"1-1\"}":{}}}}`)},
			want:    []wire.AppliedEntry{{"", "v1", `{"f:data":{}}`}}, owners: []types.UID{"1-1"},
		},
		"an owner and nothing else": {
			entries: []metav1.ManagedFieldsEntry{entry(`{"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"1-1\"}":{}}}}`)},
			want:    []wire.AppliedEntry{{"", "v1", `{}`}}, owners: []types.UID{"1-1"},
		},
		"an owner that is gone": {
			entries: []metav1.ManagedFieldsEntry{entry(`{"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"4-4\"}":{},"k:{\"name\":\"1-1\"}":{}}}}`)},
			want:    []wire.AppliedEntry{{"", "v1", `{}`}},
		},
		"several versions": {
			entries: []metav1.ManagedFieldsEntry{
				with(func(e *metav1.ManagedFieldsEntry) { e.APIVersion = "v1beta1" }),
				entry(`{"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"3-3\"}":{}}}}`),
			},
			want: []wire.AppliedEntry{{"", "v1beta1", `{"f:data":{}}`}, {"", "v1", `{}`}}, owners: []types.UID{"3-3"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := managed(tc.entries...)
			for encoding, data := range map[string][]byte{"protobuf": encodeProtobuf(t, p), "JSON": encodeJSON(t, p)} {
				o, applied := parseApplied(t, data)
				if diff := cmp.Diff(tc.want, applied.Entries()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", encoding, diff)
				}
				if diff := cmp.Diff(tc.owners, o.AppliedOwners()); diff != "" {
					t.Errorf("%s: owners (-want +got):\n%s", encoding, diff)
				}
				plain := parseObject(t, data)
				if string(plain.Data) != string(o.Data) || plain.AppliedOwners() != nil {
					t.Errorf("%s: the object without a manager is another: %s, %s", encoding, plain.Data, o.Data)
				}
			}
		})
	}
}

// TestAppliedOfSeveralManagers keeps the entries of all managers whose names begin alike.
func TestAppliedOfSeveralManagers(t *testing.T) {
	of := func(name string) metav1.ManagedFieldsEntry {
		e := entry(`{"f:data":{}}`)
		e.Manager = name
		return e
	}
	p := managed(of(manager), of(manager+"/"), of(manager+"/b"), of(manager+"-create"), of(manager+"/a"))
	want := []wire.AppliedEntry{{manager + "/b", "v1", `{"f:data":{}}`}, {manager + "/a", "v1", `{"f:data":{}}`}}
	for encoding, data := range map[string][]byte{"protobuf": encodeProtobuf(t, p), "JSON": encodeJSON(t, p)} {
		e, err := wire.ParseEnvelope(data)
		if err != nil {
			t.Fatal(err)
		}
		_, applied, err := wire.NewFieldManager(manager + "/").Object(e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, applied.Entries()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", encoding, diff)
		}
	}
}

func parseApplied(t testing.TB, data []byte) (wire.Object, wire.Applied) {
	t.Helper()
	e, err := wire.ParseEnvelope(data)
	if err != nil {
		t.Fatal(err)
	}
	o, applied, err := wire.NewFieldManager(manager).Object(e)
	if err != nil {
		t.Fatal(err)
	}
	return o, applied
}

// TestAppliedWithSpaces has fields that are indented as everything around them.
func TestAppliedWithSpaces(t *testing.T) {
	p := managed(entry(`{"f:data":{},"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"1-1\"}":{}},"f:labels":{"f:a":{}}}}`))
	o, applied := parseApplied(t, indented(t, p))
	entries := applied.Entries()
	if len(entries) != 1 || len(o.AppliedOwners()) != 1 {
		t.Fatalf("entries %q with owners %q", entries, o.AppliedOwners())
	}
	if set := setOf(t, entries[0].FieldsV1); set.Size() != 2 || set.Has(fieldpath.MakePathOrDie("metadata", "ownerReferences")) {
		t.Errorf("%s is the set %s", entries[0].FieldsV1, set)
	}
}

func setOf(t *testing.T, fields string) *fieldpath.Set {
	t.Helper()
	set := &fieldpath.Set{}
	if err := set.FromJSON(strings.NewReader(fields)); err != nil {
		t.Fatalf("%s: %v", fields, err)
	}
	return set
}

// TestAppliedInLists has what each object of a list has, in its place.
func TestAppliedInLists(t *testing.T) {
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for _, p := range []*corev1.Pod{managed(entry(`{"f:data":{}}`)), managed(), managed(entry(`{"f:data":{}}`)), managed(entry(`{"f:spec":{}}`))} {
		list.Items = append(list.Items, *p)
	}
	for encoding, data := range map[string][]byte{"protobuf": encodeProtobuf(t, list), "JSON": encodeJSON(t, list)} {
		parsed, err := wire.NewFieldManager(manager).ParseList(data)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, applied := range parsed.Applied {
			text := "none"
			for _, e := range applied.Entries() {
				text = e.FieldsV1
			}
			have = append(have, text)
		}
		if diff := cmp.Diff([]string{`{"f:data":{}}`, "none", `{"f:data":{}}`, `{"f:spec":{}}`}, have); diff != "" {
			t.Errorf("%s (-want +got):\n%s", encoding, diff)
		}
		if plain, err := wire.ParseList(data); err != nil || plain.Applied != nil {
			t.Errorf("%s: without a manager there is %q, %v", encoding, plain.Applied, err)
		}
	}
}

// TestManyOwners has more owner references than can be marked: those beyond count as not applied.
func TestManyOwners(t *testing.T) {
	p := managed()
	p.OwnerReferences = nil
	var keys []string
	for i := range 40 {
		uid := strings.Repeat("x", i+1)
		p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{UID: types.UID(uid)})
		keys = append(keys, `"k:{\"uid\":\"`+uid+`\"}":{}`)
	}
	p.ManagedFields = append(p.ManagedFields, entry(`{"f:metadata":{"f:ownerReferences":{`+strings.Join(keys, ",")+`}}}`))
	for encoding, data := range map[string][]byte{"protobuf": encodeProtobuf(t, p), "JSON": encodeJSON(t, p)} {
		o, _ := parseApplied(t, data)
		if owners := o.AppliedOwners(); len(owners) != 32 || owners[31] != p.OwnerReferences[31].UID {
			t.Errorf("%s: owners %q, want the first 32", encoding, owners)
		}
	}
}

// TestDamagedFields has in the place of managedFields, and of fields, what only a broken API server
// sends.
func TestDamagedFields(t *testing.T) {
	ours := `"manager":"koop\"<erd>","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1"`
	for _, fields := range []string{
		`null`, `{}`, `"a"`, `1`, `[]`, `[null]`, `[1]`, `[[]]`, `[{}]`, `[{` + ours + `}]`, `[{` + ours + `,"fieldsV1":null}]`,
		`[{` + ours + `,"fieldsV1":[]}]`, `[{` + ours + `,"fieldsV1":{]}]`, `[{` + ours + `,"fieldsV1":{"a"}}]`,
		`[{` + ours + `,"fieldsV1":{"f:metadata":{"a"}}}]`, `[{` + ours + `,"fieldsV1":{"f:metadata":{"f:ownerReferences":{},}}}]`,
		`[{"manager":null,"operation":1,"fieldsV1":{}}]`,
	} {
		o, applied := parseApplied(t, []byte(`{"metadata":{"name":"a","managedFields":`+fields+`}}`))
		if applied != "" || string(o.Data) != `{"metadata":{"name":"a"}}` {
			t.Errorf("%s is %q of %s", fields, applied, o.Data)
		}
	}
	for _, fields := range []string{"", "{", "[]", "null", `{"f:metadata":{`, `{"f:metadata":{}`, `{"f:metadata":{"f:ownerReferences":{}}`, "\x00"} {
		e := entry("{}")
		e.FieldsV1 = metav1.NewFieldsV1(fields)
		if _, applied := parseApplied(t, encodeProtobuf(t, managed(e))); applied != "" {
			t.Errorf("%q is %q", fields, applied)
		}
	}
}

// FuzzFieldsV1 compares what is cut with what structured-merge-diff reads before and after.
func FuzzFieldsV1(f *testing.F) {
	f.Add(`{"f:metadata":{"f:labels":{"f:a":{}},"f:ownerReferences":{"k:{\"uid\":\"2-2\"}":{}}},"f:data":{}}`)
	f.Add(`{"f:metadata":{"f:ownerReferences":{".":{},"k:{\"uid\":\"1-1\"}":{".":{},"f:uid":{}}}}}`)
	f.Add(` { "f:metadata" : { "f:ownerReferences" : { } , "f:a" : { } } , "v:1" : { } } `)
	f.Add(`{"f:metadata":{".":{},"f:ownerReferences":{}},"i:0":{},"f:spec":{"k:{\"name\":\"}]\"}":{}}}`)
	f.Fuzz(func(t *testing.T, fields string) {
		o, applied := parseApplied(t, encodeProtobuf(t, managed(entry(fields))))
		o.AppliedOwners()
		entries := applied.Entries()
		if !json.Valid([]byte(fields)) || fields[0] != '{' || strings.Count(fields, "f:metadata") > 1 || strings.Count(fields, "f:ownerReferences") > 1 || strings.Contains(fields, `\u`) {
			return // a name twice, or one that is escaped: structured-merge-diff writes neither
		}
		if len(entries) != 1 {
			t.Fatalf("%s has the entries %q", fields, entries)
		}
		whole, cut := &fieldpath.Set{}, &fieldpath.Set{}
		if whole.FromJSON(strings.NewReader(fields)) != nil {
			return
		}
		if err := cut.FromJSON(strings.NewReader(entries[0].FieldsV1)); err != nil {
			t.Fatalf("%s became %s: %v", fields, entries[0].FieldsV1, err)
		}
		owners := fieldpath.NewSet(fieldpath.MakePathOrDie("metadata", "ownerReferences"))
		if want := whole.RecursiveDifference(owners); !want.Equals(cut) {
			t.Errorf("%s became %s, the set\n%s, want\n%s", fields, entries[0].FieldsV1, cut, want)
		}
	})
}

// FuzzApplied reads anything with a manager.
func FuzzApplied(f *testing.F) {
	p := managed(entry(`{"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"1-1\"}":{}}}}`))
	f.Add(encodeProtobuf(f, p))
	f.Add(encodeJSON(f, p))
	f.Add([]byte(`{"metadata":{"managedFields":[{"manager":"koop\"<erd>","operation":"Apply","fieldsType":"FieldsV1","fieldsV1":{}}],"name":"x"},"items":[{"metadata":{}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := wire.NewFieldManager(manager)
		list, err := m.ParseList(data)
		if err == nil && len(list.Applied) != len(list.Objects) {
			t.Errorf("%d objects have %d texts", len(list.Objects), len(list.Applied))
		}
		e, err := wire.ParseEnvelope(data)
		if err != nil {
			return
		}
		o, applied, err := m.Object(e)
		if err != nil {
			return
		}
		applied.Entries()
		o.AppliedOwners()
		only := o.OnlyMetadata()
		if string(only.MetadataBytes()) != string(o.MetadataBytes()) {
			t.Errorf("the metadata are %q, want %q", only.MetadataBytes(), o.MetadataBytes())
		}
	})
}

// BenchmarkApplied reads a pod that our manager has applied, with and without keeping what it owns.
func BenchmarkApplied(b *testing.B) {
	p := managed(entry(`{"f:metadata":{"f:labels":{"f:app":{},"f:tier":{}},"f:ownerReferences":{"k:{\"uid\":\"1-1\"}":{}}},` +
		`"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{},"f:name":{}}},"f:nodeName":{}}}`))
	p.ManagedFields[1].Manager = "kooperd"
	for encoding, data := range map[string][]byte{"protobuf": encodeProtobuf(b, p), "JSON": encodeJSON(b, p)} {
		for name, m := range map[string]*wire.FieldManager{"without": nil, "with": wire.NewFieldManager("kooperd")} {
			b.Run(encoding+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					e, err := wire.ParseEnvelope(data)
					if err != nil {
						b.Fatal(err)
					}
					if _, applied, err := m.Object(e); err != nil || (applied != "") != (m != nil) {
						b.Fatal(applied, err)
					}
				}
			})
		}
	}
}
