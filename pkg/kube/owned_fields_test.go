package kube

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

const testManager = "kooperd"

// applied is an entry of the manager.
func applied(apiVersion, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{
		Manager: testManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: apiVersion, FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(fields),
	}
}

// child is a pod that the manager has applied for a parent, with one field of the spec.
func child(text string, parent types.UID, field string) *corev1.Pod {
	p := pod(text)
	p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: "Widget", Name: "w", UID: parent}}
	fields := fmt.Sprintf(`{"f:metadata":{"f:labels":{"f:app":{}},"f:ownerReferences":{"k:{\"uid\":\"%s\"}":{}}},"f:spec":{"f:%s":{}}}`, parent, field)
	p.ManagedFields = append(p.ManagedFields, applied("v1", fields))
	return p
}

// read makes an object of a whole pod as an answer has it.
func read(t testing.TB, p *corev1.Pod) handlers.Object {
	t.Helper()
	obj, err := ReadObject(jsonOf(t, p), podKind, testManager, false)
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

func jsonOf(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func cached(t testing.TB, obj handlers.Object) *object {
	t.Helper()
	c, ok := obj.(cachedObject)
	if !ok {
		t.Fatalf("the object is a %T", obj)
	}
	return c.o
}

func TestFieldsOf(t *testing.T) {
	withEntries := func(entries ...metav1.ManagedFieldsEntry) *corev1.Pod {
		p := child("a@1", "u-1", "nodeName")
		p.ManagedFields = append(p.ManagedFields[:1:1], entries...)
		return p
	}
	tests := map[string]struct {
		pod      *corev1.Pod
		paths    string
		versions []string
		owners   []types.UID
	}{
		"a child":       {child("a@1", "u-1", "nodeName"), ".metadata.labels.app .spec.nodeName", []string{"v1"}, []types.UID{"u-1"}},
		"two versions":  {withEntries(applied("v1beta1", `{"f:a":{}}`), applied("v1", `{"f:b":{}}`)), ".a .b", []string{"v1beta1", "v1"}, nil},
		"partly broken": {withEntries(applied("v1beta1", `{"f:a":{}}`), applied("v1", `{"f:b":1}`)), ".a", []string{"v1beta1"}, nil},
		"nothing owned": {withEntries(applied("v1", `{}`)), "", []string{"v1"}, nil},
		"broken":        {pod: withEntries(applied("v1", `{"f:b":{"k:{":{}}}`))},
		"wiped":         {pod: withEntries(metav1.ManagedFieldsEntry{})},
		"none":          {pod: withEntries()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			fields := FieldsOf(read(t, tc.pod))
			if fields == nil {
				if tc.versions != nil {
					t.Error("there are no fields")
				}
				return
			}
			var paths []string
			fields.Set().Iterate(func(p fieldpath.Path) { paths = append(paths, p.String()) })
			if got := strings.Join(paths, " "); got != tc.paths {
				t.Errorf("paths %q, want %q", got, tc.paths)
			}
			if diff := gocmp.Diff(tc.versions, fields.APIVersions()); diff != "" || fields.APIVersion() != tc.versions[len(tc.versions)-1] {
				t.Errorf("version %s, all (-want +got):\n%s", fields.APIVersion(), diff)
			}
			if diff := gocmp.Diff(tc.owners, fields.OwnerReferences()); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
	if FieldsOf(cachedObject{arrival(t, podKind, child("a@1", "u-1", "x"))}) != nil {
		t.Error("an object of a source that does not keep the fields has some")
	}
}

// Children of one template have one set, whatever their parents and whichever way they came. It
// goes with the last of them.
func TestFieldsAreShared(t *testing.T) {
	checkShared(t)
	for deadline := time.Now().Add(30 * time.Second); setsWith("f:shared") > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the set is kept without an object")
		}
	}
}

// checkShared keeps many children, all at the same time.
func checkShared(t *testing.T) {
	t.Helper()
	const children = 10_000
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for i := range children {
		list.Items = append(list.Items, *child(fmt.Sprintf("c%d@%d", i, i+1), types.UID(fmt.Sprintf("parent-%d", i)), "shared"))
	}
	var all []*object
	for _, body := range [][]byte{jsonOf(t, list), protobufOf(t, &list)} {
		parsed, err := wire.NewFieldManager(testManager).ParseList(body)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := newObjectList(newCodec(podKind, false), parsed, func(o *object) *object { return o })
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects.Items...)
	}
	all = append(all, cached(t, read(t, child("answer@1", "another", "shared"))))
	for i, o := range all {
		fields := FieldsOf(cachedObject{o})
		if fields == nil || fields.Set() != FieldsOf(cachedObject{all[0]}).Set() || o.codec != all[0].codec {
			t.Fatalf("object %d has a set for itself: %v", i, fields)
		}
		if owners := fields.OwnerReferences(); len(owners) != 1 || i < children && owners[0] != types.UID(fmt.Sprintf("parent-%d", i)) {
			t.Fatalf("object %d has the owners %q", i, owners)
		}
	}
	if n := setsWith("f:shared"); n != 1 {
		t.Errorf("%d sets are kept, want one", n)
	}
	runtime.KeepAlive(all)
}

// setsWith counts the sets with a text in them that are kept.
func setsWith(text string) (n int) {
	codecs.mu.Lock()
	defer codecs.mu.Unlock()
	for key := range codecs.known {
		if strings.Contains(string(key.applied), text) {
			n++
		}
	}
	return n
}

func protobufOf(t testing.TB, value kruntime.Object) []byte {
	t.Helper()
	info, ok := kruntime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), kruntime.ContentTypeProtobuf)
	if !ok {
		t.Fatal("there is no protobuf")
	}
	body, err := kruntime.Encode(info.Serializer, value)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// The fields must cost an object nothing that is not shared: at one word more, the objects of every
// source would take the next size class of the allocator.
func TestSizeOfObject(t *testing.T) {
	if size := unsafe.Sizeof(object{}); size > 112 {
		t.Errorf("an object takes %d bytes, want 112 at the most", size)
	}
}

func TestFieldsAreParsedOnce(t *testing.T) {
	objects := []handlers.Object{read(t, child("a@1", "u-1", "once")), read(t, child("b@1", "u-2", "once"))}
	sets := make([]*fieldpath.Set, 16)
	var asking sync.WaitGroup
	for i := range sets {
		asking.Go(func() { sets[i] = FieldsOf(objects[i%2]).Set() })
	}
	asking.Wait()
	for _, set := range sets {
		if set != sets[0] || set.Empty() {
			t.Errorf("set %v, want %v", set, sets[0])
		}
	}
}

// Objects that differ in the fields alone are two: neither takes the place of the other, and the
// change is reported.
func TestFieldsChange(t *testing.T) {
	tests := map[string]struct {
		change  func(p *corev1.Pod)
		changed bool
	}{
		"nothing": {func(*corev1.Pod) {}, false},
		"another manager's fields": {func(p *corev1.Pod) {
			p.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{}}`)
		}, false},
		"a field": {func(p *corev1.Pod) { *p = *child("a@1", "u-1", "hostname") }, true},
		"the owner": {func(p *corev1.Pod) {
			p.ManagedFields[1].FieldsV1 = child("a@1", "u-2", "nodeName").ManagedFields[1].FieldsV1
		}, true},
		"the version":   {func(p *corev1.Pod) { p.ManagedFields[1].APIVersion = "v1beta1" }, true},
		"the whole lot": {func(p *corev1.Pod) { p.ManagedFields = []metav1.ManagedFieldsEntry{{}} }, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var events []Event
			s := newStore(podKind, "", storeHooks{event: func(e Event) { events = append(events, e) }, replaced: func() {}, received: func() {}})
			old := cached(t, read(t, child("a@1", "u-1", "nodeName")))
			if err := s.Replace([]any{old}, "1"); err != nil {
				t.Fatal(err)
			}
			events = nil
			p := child("a@1", "u-1", "nodeName")
			tc.change(p)
			arrived := cached(t, read(t, p))
			if kept := s.dedupe(arrived) == old; kept == tc.changed {
				t.Errorf("the old object is kept: %t", kept)
			}
			if err := s.Replace([]any{arrived}, "2"); err != nil {
				t.Fatal(err)
			}
			if len(events) > 0 != tc.changed {
				t.Errorf("events %v, want one: %t", events, tc.changed)
			}
		})
	}
}

// BenchmarkFieldsMemory gives the memory of a child in the cache of a source, with and without the
// fields of a manager.
func BenchmarkFieldsMemory(b *testing.B) {
	const children = 10_000
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for i := range children {
		list.Items = append(list.Items, *child(fmt.Sprintf("c%d@%d", i, i+1), types.UID(fmt.Sprintf("parent-%d", i)), "memory"))
	}
	body := protobufOf(b, &list)
	for name, manager := range map[string]string{"without": "", "with": testManager} {
		b.Run(name, func(b *testing.B) {
			var kept *objectList
			before := heap()
			for b.Loop() {
				parsed, err := wire.NewFieldManager(manager).ParseList(body)
				if err != nil {
					b.Fatal(err)
				}
				kept, err = newObjectList(newCodec(podKind, false), parsed, func(o *object) *object { return o })
				if err != nil {
					b.Fatal(err)
				}
				if FieldsOf(cachedObject{kept.Items[0]}) != nil != (manager != "") {
					b.Fatal("the fields are not kept")
				}
			}
			b.ReportMetric(float64(heap()-before)/children, "B/child")
			runtime.KeepAlive(kept)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
