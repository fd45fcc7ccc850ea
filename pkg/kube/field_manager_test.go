package kube

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A source that keeps fields serves watches that need none; none serves one that needs others.
func TestFieldManagersShareSources(t *testing.T) {
	selected := Watch{Kind: widgetKind, LabelSelector: labelSelector(t, "app=web")}
	ours, theirs, all := selected, selected, Watch{Kind: widgetKind, FieldManager: testManager}
	ours.FieldManager, theirs.FieldManager = testManager, "other"
	metadata := ours
	metadata.MetadataOnly = true
	bare := metadata
	bare.FieldManager = ""
	tests := map[string]struct {
		planned     []Watch
		watch, want Watch
		filtered    bool
	}{
		"another needs fields":          {[]Watch{selected, ours}, selected, ours, false},
		"no other needs fields":         {[]Watch{selected, ours}, ours, ours, false},
		"fields of another":             {[]Watch{theirs, ours, selected}, ours, ours, false},
		"fields of all":                 {[]Watch{ours, all}, ours, all, true},
		"all without fields":            {[]Watch{ours, {Kind: widgetKind}}, ours, ours, false},
		"whole with fields":             {[]Watch{metadata, ours}, metadata, ours, false},
		"whole without fields":          {[]Watch{metadata, selected}, metadata, metadata, false},
		"metadata without fields":       {[]Watch{bare, metadata}, bare, metadata, false},
		"whole, of all and with fields": {[]Watch{bare, all}, bare, all, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, _ := newSilentCluster(t)
			cluster.Sources.Plan(tc.planned)
			view := cluster.Sources.Watch(t.Context(), tc.watch)
			defer view.Close()
			if got, want := view.sources[0].id, tc.want.ids()[0]; got != want {
				t.Errorf("source %+v, want %+v", got, want)
			}
			if filtered := view.sources[0].filter != nil; filtered != tc.filtered {
				t.Errorf("filtered: %t, want %t", filtered, tc.filtered)
			}
		})
	}
}

// The metrics of sources that differ in the manager alone are apart: the end of one takes no other
// out.
func TestMetricsOfFieldManagers(t *testing.T) {
	cluster, registry := newSilentCluster(t)
	contents := func() (found []string) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				for _, l := range m.GetLabel() {
					if family.GetName() == "kooperd_source_lists_total" && l.GetName() == "content" {
						found = append(found, l.GetValue())
					}
				}
			}
		}
		return found
	}
	first := cluster.Sources.Watch(t.Context(), Watch{Kind: widgetKind})
	defer first.Close()
	second := cluster.Sources.Watch(t.Context(), Watch{Kind: widgetKind, FieldManager: testManager})
	if diff := gocmp.Diff([]string{"whole", "whole, fields of kooperd"}, contents()); diff != "" {
		t.Errorf("two sources (-want +got):\n%s", diff)
	}
	second.Close()
	if diff := gocmp.Diff([]string{"whole"}, contents()); diff != "" {
		t.Errorf("one source (-want +got):\n%s", diff)
	}
}

func TestReadObject(t *testing.T) {
	p := child("a@1", "u-1", "nodeName")
	p.Spec.NodeName = "node-1"
	partial := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: partialKind}, ObjectMeta: p.ObjectMeta}
	bodies := map[string]struct {
		body  []byte
		whole bool
	}{
		"JSON":             {jsonOf(t, p), true},
		"protobuf":         {protobufOf(t, p), true},
		"partial JSON":     {jsonOf(t, partial), false},
		"partial protobuf": {protobufOf(t, partial), false},
	}
	for name, tc := range bodies {
		for _, metadataOnly := range []bool{true, false} {
			obj, err := ReadObject(tc.body, podKind, testManager, metadataOnly)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if obj.GroupVersionKind() != podKind || obj.Name() != "a" || obj.Namespace() != "payments" || obj.UID() != "a1" || obj.ResourceVersion() != "1" {
				t.Errorf("%s is %s %s/%s", name, obj.GroupVersionKind(), obj.Namespace(), obj.Name())
			}
			if m := obj.Metadata(); m.Labels["app"] != "a" || m.ManagedFields != nil || len(m.OwnerReferences) != 1 {
				t.Errorf("%s has the metadata %+v", name, m)
			}
			var typed corev1.Pod
			if err := obj.Into(&typed); err != nil || (typed.Spec.NodeName != "") != (tc.whole && !metadataOnly) || typed.Kind != "Pod" {
				t.Errorf("%s, metadataOnly %t: %+v, %v", name, metadataOnly, typed, err)
			}
			if fields := FieldsOf(obj); fields == nil || len(fields.OwnerReferences()) != 1 || fields.Set().Size() != 2 {
				t.Errorf("%s has the fields %v", name, fields)
			}
			if obj, err := ReadObject(tc.body, podKind, "", metadataOnly); err != nil || FieldsOf(obj) != nil {
				t.Errorf("%s without a manager: %v, %v", name, obj, err)
			}
		}
	}
}

func TestReadObjectOfSomethingElse(t *testing.T) {
	const whole = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`
	for name, tc := range map[string]struct {
		body string
		kind schema.GroupVersionKind
		want string
	}{
		"a Status":        {`{"apiVersion":"v1","kind":"Status","status":"Failure"}`, podKind, `reading a Pod of v1: the answer is a "Status" of "v1"`},
		"another kind":    {whole, widgetKind, `reading a Widget of example.com/v1: the answer is a "Pod" of "v1"`},
		"another version": {whole, schema.GroupVersionKind{Version: "v2", Kind: "Pod"}, `reading a Pod of v2: the answer is a "Pod" of "v1"`},
		"no name":         {`{"apiVersion":"v1","kind":"Pod","metadata":{}}`, podKind, "reading a Pod: " + errNameless.Error()},
		"cut off":         {whole[:40], podKind, "reading a Pod: reading JSON: the message is cut off or damaged"},
		"nothing":         {"", podKind, "reading a Pod: reading JSON: the message is cut off or damaged"},
	} {
		if obj, err := ReadObject([]byte(tc.body), tc.kind, testManager, false); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, %v, want %s", name, obj, err, tc.want)
		}
	}
}
