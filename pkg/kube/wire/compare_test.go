package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

// ignore prepares a comparison of Pods.
func ignore(t testing.TB, texts ...string) (*wire.Ignored, []expression.Path) {
	t.Helper()
	paths, steps := []expression.Path{}, [][]expression.Step{}
	for _, text := range texts {
		p, err := expression.ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		way, err := expression.Resolve(reflect.TypeFor[corev1.Pod](), p)
		if err != nil {
			t.Fatal(err)
		}
		paths, steps = append(paths, p), append(steps, way)
	}
	return wire.Ignore(paths, steps), paths
}

// arrived returns an object in both encodings, as it would be cached.
func arrived(t testing.TB, p *corev1.Pod) []*wire.Object {
	t.Helper()
	p = p.DeepCopy()
	p.TypeMeta = podType
	var both []*wire.Object
	for _, text := range [][]byte{encodeJSON(t, p), encodeProtobuf(t, p)} {
		e, err := wire.ParseEnvelope(text)
		if err != nil {
			t.Fatal(err)
		}
		o, err := e.Object()
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, &o)
	}
	return both
}

func TestSame(t *testing.T) {
	tests := map[string]struct {
		ignore []string
		change func(p *corev1.Pod)
		want   bool
	}{
		"nothing but the version":     {change: func(p *corev1.Pod) { p.ResourceVersion = "43" }, want: true},
		"the generation":              {change: func(p *corev1.Pod) { p.Generation = 44 }, want: true},
		"managedFields":               {change: func(p *corev1.Pod) { p.ManagedFields[0].Manager = "other" }, want: true},
		"no managedFields":            {change: func(p *corev1.Pod) { p.ManagedFields = nil }, want: true},
		"a label":                     {change: func(p *corev1.Pod) { p.Labels["app"] = "db" }},
		"the status":                  {change: func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }},
		"the status, ignored":         {ignore: []string{"status"}, change: func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, want: true},
		"the status, gone":            {ignore: []string{"status"}, change: func(p *corev1.Pod) { p.Status = corev1.PodStatus{} }, want: true},
		"the spec too":                {ignore: []string{"status"}, change: func(p *corev1.Pod) { p.Status.Phase, p.Spec.NodeName = corev1.PodFailed, "n" }},
		"a label too":                 {ignore: []string{"status"}, change: func(p *corev1.Pod) { p.Status.Phase, p.Labels["x"] = corev1.PodFailed, "" }},
		"the spec, status ignored":    {ignore: []string{"status"}, change: func(p *corev1.Pod) { p.Spec.NodeName = "n" }},
		"a part of the status":        {ignore: []string{"status.podIP"}, change: func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.9" }, want: true},
		"a part gone":                 {ignore: []string{"status.podIP"}, change: func(p *corev1.Pod) { p.Status.PodIP = "" }, want: true},
		"another part":                {ignore: []string{"status.podIP"}, change: func(p *corev1.Pod) { p.Status.HostIP = "10.0.0.9" }},
		"both parts":                  {ignore: []string{"status.podIP", "status.hostIP"}, change: func(p *corev1.Pod) { p.Status.PodIP, p.Status.HostIP = "a", "b" }, want: true},
		"a list":                      {ignore: []string{"status.conditions"}, change: func(p *corev1.Pod) { p.Status.Conditions = []corev1.PodCondition{{Type: "Ready"}} }, want: true},
		"a map":                       {ignore: []string{"metadata.annotations"}, change: func(p *corev1.Pod) { p.Annotations = map[string]string{"x": "y"} }, want: true},
		"a map, gone":                 {ignore: []string{"metadata.annotations"}, change: func(p *corev1.Pod) { p.Annotations = nil }, want: true},
		"a key":                       {ignore: []string{"metadata.annotations.note"}, change: func(p *corev1.Pod) { p.Annotations["note"] = "other" }, want: true},
		"the only key, gone":          {ignore: []string{"metadata.annotations.note"}, change: func(p *corev1.Pod) { p.Annotations = nil }, want: true},
		"another key":                 {ignore: []string{"metadata.annotations.note"}, change: func(p *corev1.Pod) { p.Annotations["nota"] = "x" }},
		"a key between others":        {ignore: []string{`metadata.labels."b"`}, change: func(p *corev1.Pod) { p.Labels["b"] = "x" }, want: true},
		"a key with a value changed":  {ignore: []string{`metadata.labels."b"`}, change: func(p *corev1.Pod) { p.Labels["b"], p.Labels["tier"] = "x", "back" }},
		"a key before another's loss": {ignore: []string{`metadata.labels."b"`}, change: func(p *corev1.Pod) { p.Labels["b"] = "x"; delete(p.Labels, "tier") }},
		"a key with a dot and slash":  {ignore: []string{`metadata.annotations."a.b/c"`}, change: func(p *corev1.Pod) { p.Annotations["a.b/c"] = "x" }, want: true},
		"all metadata":                {ignore: []string{"metadata"}, change: func(p *corev1.Pod) { p.Labels = nil; p.Generation = 9 }, want: true},
		"all but the metadata":        {ignore: []string{"metadata"}, change: func(p *corev1.Pod) { p.Spec.NodeName = "" }},
		"far below":                   {ignore: []string{"spec.securityContext.fsGroup"}, change: func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: new(int64)} }, want: true},
		"far below, and a neighbour": {ignore: []string{"spec.securityContext.fsGroup"}, change: func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: new(int64), RunAsUser: new(int64)}
		}},
		"a list's element":      {ignore: []string{"status"}, change: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "web:2" }},
		"the order of a list":   {change: func(p *corev1.Pod) { slices.Reverse(p.Spec.Containers[0].Args) }},
		"a port":                {ignore: []string{"spec.containers"}, change: func(p *corev1.Pod) { p.Spec.Containers[0].LivenessProbe = probe(intstr.FromString("http")) }, want: true},
		"kind is none":          {ignore: []string{"kind", "apiVersion"}, change: func(p *corev1.Pod) { p.Labels["app"] = "db" }},
		"a nested whole":        {ignore: []string{"status", "status.podIP"}, change: func(p *corev1.Pod) { p.Status.HostIP = "1" }, want: true},
		"text that looks alike": {ignore: []string{"status"}, change: func(p *corev1.Pod) { p.Annotations["note"] = `","status":{"x":"` }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ignored, _ := ignore(t, tc.ignore...)
			before, after := pod("a"), pod("a")
			tc.change(after)
			a, b := arrived(t, before), arrived(t, after)
			for i, encoding := range []string{"JSON", "protobuf"} {
				if have := ignored.Same(a[i], b[i]); have != tc.want {
					t.Errorf("in %s: %t, want %t\n%s\n%s", encoding, have, tc.want, a[i].Data, b[i].Data)
				}
				if have := ignored.Same(b[i], a[i]); have != tc.want {
					t.Errorf("in %s, the other way round: %t, want %t", encoding, have, tc.want)
				}
				if !ignored.Same(a[i], a[i]) {
					t.Errorf("in %s an object differs from itself", encoding)
				}
			}
			if ignored.Same(a[0], b[1]) {
				t.Error("two encodings are the same")
			}
		})
	}
}

func probe(port intstr.IntOrString) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port}}}
}

// TestSameAgreesWithDecoding compares with what decoding, removing the fields and comparing says,
// on random changes.
func TestSameAgreesWithDecoding(t *testing.T) {
	changes := []func(p *corev1.Pod){
		func(p *corev1.Pod) { p.Labels["app"] = "db" }, func(p *corev1.Pod) { p.Labels["aaa"] = "x" }, func(p *corev1.Pod) { p.Labels = nil },
		func(p *corev1.Pod) { p.Annotations["note"] = "" }, func(p *corev1.Pod) { p.Annotations["z/z"] = "é" }, func(p *corev1.Pod) { p.Annotations = nil },
		func(p *corev1.Pod) { p.Status.Phase = "" }, func(p *corev1.Pod) { p.Status.PodIP = "1" }, func(p *corev1.Pod) { p.Status.Conditions = make([]corev1.PodCondition, 2) },
		func(p *corev1.Pod) { p.Spec.NodeName = "" }, func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"a": "b", "c": "d"} },
		func(p *corev1.Pod) { p.Generation++ }, func(p *corev1.Pod) { p.Finalizers = nil }, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "" },
		func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{} }, func(p *corev1.Pod) { p.ResourceVersion += "1" },
	}
	texts := []string{"status", "status.phase", "status.podIP", "status.conditions", "metadata.labels", "metadata.labels.aaa", "metadata.annotations.note",
		`metadata.annotations."z/z"`, "spec", "spec.nodeName", "spec.nodeSelector.a", "spec.nodeSelector", "metadata.generation", "metadata.finalizers", "spec.securityContext"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		before, after := pod("a"), pod("a")
		for _, p := range []*corev1.Pod{before, after} {
			for range random.IntN(3) {
				func() {
					defer func() { _ = recover() }() // a map that another change has removed
					changes[random.IntN(len(changes))](p)
				}()
			}
		}
		var some []string
		for range random.IntN(4) {
			some = append(some, texts[random.IntN(len(texts))])
		}
		ignored, paths := ignore(t, some...)
		want := cmp.Equal(without(t, before, paths), without(t, after, paths))
		a, b := arrived(t, before), arrived(t, after)
		for i := range a {
			if have := ignored.Same(a[i], b[i]); have != want {
				t.Fatalf("ignoring %q in encoding %d: %t, want %t\n%s", some, i, have, want, cmp.Diff(before, after))
			}
		}
	}
}

// without decodes an object and removes fields, and what was around nothing but them.
func without(t *testing.T, p *corev1.Pod, paths []expression.Path) any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(encodeJSON(t, p), &fields); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(slices.Clone(paths), expression.Path{"metadata", "resourceVersion"}, expression.Path{"metadata", "managedFields"}, expression.Path{"metadata", "generation"}) {
		remove(fields, path)
	}
	return fields
}

func remove(fields map[string]any, path expression.Path) {
	if len(path) == 1 {
		delete(fields, path[0])
		return
	}
	if below, ok := fields[path[0]].(map[string]any); ok {
		if remove(below, path[1:]); len(below) == 0 {
			delete(fields, path[0])
		}
	}
}

// Custom kinds are JSON alone, and whatever their fields are called.
func TestSameOfCustomKinds(t *testing.T) {
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
	const head = `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a","resourceVersion":"%d"},`
	tests := map[string]struct {
		path expression.Path
		a, b string
		want bool
	}{
		"the order of members":     {path: expression.Path{"status"}, a: `"spec":{"x":1},"status":1}`, b: `"status":2,"spec":{"x":1}}`, want: true},
		"an escaped name":          {path: expression.Path{`a"b`}, a: `"a\"b":1}`, b: `"a\u0022b":2}`, want: true},
		"an object for a list":     {path: expression.Path{"spec", "x"}, a: `"spec":{"x":1}}`, b: `"spec":[1]}`},
		"null for an object":       {path: expression.Path{"spec", "x"}, a: `"spec":{"x":1}}`, b: `"spec":null}`, want: true},
		"empty for nothing":        {path: expression.Path{"spec", "x"}, a: `"spec":{}}`, b: `"y":{}}`},
		"empty for ignored alone":  {path: expression.Path{"spec", "x"}, a: `"spec":{"x":{"y":[]}}}`, b: `"spec":{}}`, want: true},
		"a member more":            {path: expression.Path{"status"}, a: `"spec":1}`, b: `"spec":1,"more":2}`},
		"a member less":            {path: expression.Path{"status"}, a: `"spec":1,"more":2}`, b: `"spec":1}`},
		"a member for an ignored":  {path: expression.Path{"status"}, a: `"spec":1,"status":2}`, b: `"spec":1,"more":2}`},
		"a text for another":       {path: expression.Path{"status"}, a: `"spec":"a"}`, b: `"spec":"b"}`},
		"what is ignored, deep in": {path: expression.Path{"a", "b", "c", "d"}, a: `"a":{"b":{"c":{"d":1}}}}`, b: `"a":{"b":{"c":{"d":2}}}}`, want: true},
		"not what is ignored":      {path: expression.Path{"a", "b", "c", "d"}, a: `"a":{"b":{"c":{"d":1}}}}`, b: `"a":{"b":{"d":{"c":1}}}}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ignored := wire.Ignore([]expression.Path{tc.path}, nil)
			a, b := object(fmt.Sprintf(head, 1)+tc.a), object(fmt.Sprintf(head, 2)+tc.b)
			if have := ignored.Same(a, b); have != tc.want {
				t.Errorf("%t, want %t", have, tc.want)
			}
			if have := ignored.Same(b, a); have != tc.want {
				t.Errorf("the other way round: %t, want %t", have, tc.want)
			}
		})
	}
}

// Damaged objects differ, whatever is ignored, and are no harm.
func TestSameOfDamage(t *testing.T) {
	ignored, _ := ignore(t, "status", "metadata.annotations.note", "spec.nodeName")
	for _, o := range arrived(t, pod("a")) {
		for n := range o.Data {
			cut := *o
			cut.Data = o.Data[:n]
			other := cut
			other.Data = append(slices.Clone(cut.Data), 0xff)
			ignored.Same(&cut, o)
			if ignored.Same(&cut, &other) {
				t.Fatalf("a damaged object is the same as another one at %d of %d bytes", n, len(o.Data))
			}
		}
	}
}

func TestDeleting(t *testing.T) {
	now := metav1.Now()
	for want, p := range map[bool]*corev1.Pod{false: pod("a"), true: pod("b")} {
		if want {
			p.DeletionTimestamp = &now
		}
		for _, o := range arrived(t, p) {
			if have := o.Deleting(); have != want {
				t.Errorf("%s is deleting: %t, want %t", o.Data, have, want)
			}
		}
	}
}

// FuzzSame wants no panic, and the same answer either way round.
func FuzzSame(f *testing.F) {
	ignored, _ := ignore(f, "status", "metadata.annotations.note", "spec.nodeName", "metadata.labels")
	for _, o := range arrived(f, pod("a")) {
		f.Add(o.Data, bytes.Replace(o.Data, []byte("node-1"), []byte("node-2"), 1), o.Encoding == wire.Protobuf)
	}
	f.Fuzz(func(t *testing.T, data, other []byte, protobuf bool) {
		a, b := &wire.Object{Data: data}, &wire.Object{Data: other}
		if protobuf {
			a.Encoding, b.Encoding = wire.Protobuf, wire.Protobuf
		}
		if ignored.Same(a, b) != ignored.Same(b, a) {
			t.Errorf("%q and %q are the same one way round", data, other)
		}
	})
}

// FuzzKeep wants no panic, and what is kept to be kept again.
func FuzzKeep(f *testing.F) {
	path := expression.Path{"metadata", "labels", "app"}
	steps, err := expression.Resolve(reflect.TypeFor[corev1.Pod](), path)
	if err != nil {
		f.Fatal(err)
	}
	parts := wire.NewFieldMask([]expression.Path{path}, [][]expression.Step{steps})
	for _, o := range arrived(f, pod("a")) {
		f.Add(o.Data, o.Encoding == wire.Protobuf)
	}
	f.Fuzz(func(t *testing.T, data []byte, protobuf bool) {
		o := &wire.Object{Data: data}
		if protobuf {
			o.Encoding = wire.Protobuf
		}
		kept := parts.Apply(o)
		if again := parts.Apply(kept); !bytes.Equal(again.Data, kept.Data) {
			t.Errorf("of %q %q is kept, of that %q", data, kept.Data, again.Data)
		}
	})
}

// BenchmarkSame compares two states of a Pod that differ in what the case ignores, so that all of
// both is looked at.
func BenchmarkSame(b *testing.B) {
	big := podOf(10, 10)
	for name, texts := range map[string][]string{
		"status":     {"status"},
		"condition":  {"status.conditions"},
		"annotation": {"status", `metadata.annotations."example.com/seen"`},
	} {
		ignored, _ := ignore(b, texts...)
		other := big.DeepCopy()
		other.ResourceVersion = "43"
		other.Status.Conditions[3].Message = "z"
		if name == "annotation" {
			other.Annotations["example.com/seen"] = "now"
		}
		x, y := arrived(b, big), arrived(b, other)
		for i, encoding := range []string{"json", "protobuf"} {
			b.Run(name+"/"+encoding, func(b *testing.B) {
				b.SetBytes(int64(len(x[i].Data)))
				b.ReportAllocs()
				for b.Loop() {
					if !ignored.Same(x[i], y[i]) {
						b.Fatal("they differ")
					}
				}
			})
		}
	}
}
