package wire_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/kube/wire"
)

var podMessage = reflect.TypeFor[*corev1.Pod]()

func TestChanges(t *testing.T) {
	now := metav1.Now()
	tests := map[string]struct {
		change func(p *corev1.Pod)
		want   []string
	}{
		"nothing":           {change: func(*corev1.Pod) {}},
		"what is counted":   {change: func(p *corev1.Pod) { p.ResourceVersion, p.Generation = "43", 7 }},
		"a value":           {change: func(p *corev1.Pod) { p.Status.Phase = "Failed" }, want: []string{"status.phase"}},
		"a label":           {change: func(p *corev1.Pod) { p.Labels["app"] = "x" }, want: []string{"metadata.labels.app"}},
		"a label more":      {change: func(p *corev1.Pod) { p.Labels["a.b/c"] = "x" }, want: []string{`metadata.labels."a.b/c"`}},
		"all labels":        {change: func(p *corev1.Pod) { p.Labels = nil }, want: []string{"metadata.labels"}},
		"a list":            {change: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "x" }, want: []string{"spec.containers"}},
		"a finalizer":       {change: func(p *corev1.Pod) { p.Finalizers = append(p.Finalizers, "x/y") }, want: []string{"metadata.finalizers"}},
		"deleted":           {change: func(p *corev1.Pod) { p.DeletionTimestamp = &now }, want: []string{"metadata.deletionTimestamp"}},
		"a pointer":         {change: func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64)} }, want: []string{"spec.securityContext"}},
		"several, in order": {change: func(p *corev1.Pod) { p.Spec.NodeName, p.Labels["app"], p.Status.PodIP = "x", "x", "x" }, want: []string{"metadata.labels.app", "spec.nodeName", "status.podIP"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			before, after := pod("a"), pod("a")
			before.Spec.SecurityContext, after.Spec.SecurityContext = nil, nil
			tc.change(after)
			a, b := arrived(t, before), arrived(t, after)
			for i, encoding := range []string{"JSON", "protobuf"} {
				for way, got := range map[string][]string{
					"there": wire.Changes(a[i], b[i], podMessage, 8), "and back": wire.Changes(b[i], a[i], podMessage, 8),
				} {
					slices.Sort(got)
					if diff := cmp.Diff(tc.want, got); diff != "" {
						t.Errorf("in %s, %s (-want +got):\n%s", encoding, way, diff)
					}
				}
			}
			if got := wire.Changes(a[0], b[1], podMessage, 8); got != nil {
				t.Errorf("of two encodings: %v", got)
			}
		})
	}
}

func TestChangesAreBounded(t *testing.T) {
	before, after := pod("a"), pod("a")
	for i := range 20 {
		after.Labels[fmt.Sprint("label", i)] = "x"
	}
	a, b := arrived(t, before), arrived(t, after)
	for i := range a {
		if got := wire.Changes(a[i], b[i], podMessage, 3); len(got) != 3 {
			t.Errorf("%v", got)
		}
		if got := wire.Changes(a[i], b[i], podMessage, 0); got != nil {
			t.Errorf("%v", got)
		}
	}
}

// Structs that are written inline have no name of their own in a path.
func TestChangesOfInlineStructs(t *testing.T) {
	volume := func(path string) *wire.Object {
		v := &corev1.PersistentVolume{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"}}
		v.Spec.HostPath = &corev1.HostPathVolumeSource{Path: path}
		return parseObject(t, encodeProtobuf(t, v))
	}
	got := wire.Changes(volume("/a"), volume("/b"), reflect.TypeFor[*corev1.PersistentVolume](), 8)
	if diff := cmp.Diff([]string{"spec.hostPath.path"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChangesOfCustomKinds(t *testing.T) {
	object := func(text string) *wire.Object {
		e, err := wire.ParseEnvelope([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		o, err := e.Object()
		if err != nil {
			t.Fatal(err)
		}
		return &o
	}
	const head = `{"apiVersion":"example.com/v%[1]d","kind":"Widget","metadata":{"name":"a","resourceVersion":"%[1]d","generation":%[1]d},`
	for name, tc := range map[string]struct {
		a, b string
		want []string
	}{
		"the same":            {a: `"spec":{"x":1}}`, b: `"spec":{"x":1}}`},
		"a value":             {a: `"spec":{"x":1,"y":2}}`, b: `"spec":{"x":2,"y":2}}`, want: []string{"spec.x"}},
		"one more":            {a: `"spec":{"x":1}}`, b: `"spec":{"x":1,"y":{"z":1}}}`, want: []string{"spec.y"}},
		"another kind":        {a: `"spec":{"x":{"y":1}}}`, b: `"spec":{"x":[1]}}`, want: []string{"spec.x"}},
		"a quoted name":       {a: `"spec":{"a\"b":1}}`, b: `"spec":{"a\"b":2}}`, want: []string{`spec."a\"b"`}},
		"too deep to be told": {a: `"a":{"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}}`, b: `"a":{"b":{"c":{"d":{"e":{"f":{"g":2}}}}}}}`, want: []string{"a.b.c.d.e.f"}},
	} {
		a, b := object(fmt.Sprintf(head, 1)+tc.a), object(fmt.Sprintf(head, 2)+tc.b)
		if diff := cmp.Diff(tc.want, wire.Changes(a, b, nil, 8)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Damaged objects are no harm.
func TestChangesOfDamage(t *testing.T) {
	other := pod("a")
	other.Spec.NodeName, other.Labels["app"] = "x", "y"
	whole, changed := arrived(t, pod("a")), arrived(t, other)
	for i, o := range whole {
		for n := range o.Data {
			cut := *o
			cut.Data = o.Data[:n]
			wire.Changes(&cut, changed[i], podMessage, 8)
			wire.Changes(changed[i], &cut, podMessage, 8)
		}
	}
}

// FuzzChanges wants no panic, and an end. FuzzChangesOfRandomTexts and
// TestChangesAgreeWithDecoding compare what is found.
func FuzzChanges(f *testing.F) {
	for _, o := range arrived(f, pod("a")) {
		f.Add(o.Data, o.Data, o.Encoding == wire.Protobuf)
	}
	f.Fuzz(func(t *testing.T, data, other []byte, protobuf bool) {
		a, b := &wire.Object{Data: data}, &wire.Object{Data: other}
		if protobuf {
			a.Encoding, b.Encoding = wire.Protobuf, wire.Protobuf
		}
		wire.Changes(a, b, podMessage, 8)
		wire.Changes(b, a, podMessage, 8)
	})
}

// BenchmarkChanges compares two states of a Pod as large as most are, in each place where there may
// be a change.
func BenchmarkChanges(b *testing.B) {
	before := podOf(2, 8)
	for name, change := range map[string]func(p *corev1.Pod){
		"annotation": func(p *corev1.Pod) { p.Annotations["example.com/seen"] = "now" },
		"spec":       func(p *corev1.Pod) { p.Spec.NodeName = "node-2" },
		"status":     func(p *corev1.Pod) { p.Status.Phase = "Failed" },
	} {
		after := before.DeepCopy()
		after.ResourceVersion = "43"
		change(after)
		x, y := arrived(b, before), arrived(b, after)
		for i, encoding := range []string{"json", "protobuf"} {
			b.Run(name+"/"+encoding, func(b *testing.B) {
				b.SetBytes(int64(len(x[i].Data)))
				b.ReportAllocs()
				for b.Loop() {
					if got := wire.Changes(x[i], y[i], podMessage, 8); len(got) != 1 {
						b.Fatalf("changed: %q", got)
					}
				}
			})
		}
	}
}
