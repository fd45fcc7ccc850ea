package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

// encoded is a Pod as it arrives in protobuf.
func encoded(t testing.TB, p *corev1.Pod) *object {
	t.Helper()
	p = p.DeepCopy()
	p.APIVersion, p.Kind = "v1", "Pod"
	var b bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(p, &b); err != nil {
		t.Fatal(err)
	}
	e, err := wire.ParseEnvelope(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	o, err := e.Object()
	if err != nil {
		t.Fatal(err)
	}
	return &object{codec: newCodec(podKind, false), Object: o}
}

// ignoring prepares a comparison of Pods.
func ignoring(t *testing.T, paths ...expression.Path) *Ignored {
	t.Helper()
	fields, err := expression.FieldsAt(podKind, paths)
	if err != nil {
		t.Fatal(err)
	}
	return Ignore(fields)
}

// keeping returns parts of Pods.
func keeping(paths ...expression.Path) FieldMask {
	return NewFieldMask(expression.FieldsAround(podKind, paths))
}

func TestEventOnly(t *testing.T) {
	ignored := ignoring(t, expression.Path{"status"}, expression.Path{"metadata", "annotations"})
	everything := ignoring(t, expression.Path{"metadata"}, expression.Path{"spec"}, expression.Path{"status"})
	deleted := metav1.NewTime(time.Unix(1, 0))
	tests := map[string]struct {
		ignored *Ignored
		change  func(old, now *corev1.Pod)
		want    bool
	}{
		"status":                   {ignored: ignored, change: func(_, now *corev1.Pod) { now.Status.Phase = corev1.PodFailed }, want: true},
		"an annotation":            {ignored: ignored, change: func(_, now *corev1.Pod) { now.Annotations = map[string]string{"a": "b"} }, want: true},
		"spec":                     {ignored: ignored, change: func(_, now *corev1.Pod) { now.Spec.NodeName = "n" }},
		"the mark for deletion":    {ignored: everything, change: func(_, now *corev1.Pod) { now.DeletionTimestamp = &deleted }},
		"what comes after it":      {ignored: everything, change: func(old, now *corev1.Pod) { old.DeletionTimestamp, now.DeletionTimestamp = &deleted, &deleted }, want: true},
		"everything":               {ignored: everything, change: func(_, now *corev1.Pod) { now.Labels, now.Spec.NodeName = nil, "n" }, want: true},
		"a label among the status": {ignored: ignored, change: func(_, now *corev1.Pod) { now.Labels["x"], now.Status.Phase = "y", corev1.PodFailed }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			old, now := pod("a@1"), pod("a@2")
			tc.change(old, now)
			for _, e := range []Event{
				{Type: Changed, old: arrival(t, podKind, old), now: arrival(t, podKind, now)},
				{Type: Changed, old: encoded(t, old), now: encoded(t, now)},
			} {
				if have := e.OnlyIn(tc.ignored); have != tc.want {
					t.Errorf("%t, want %t", have, tc.want)
				}
			}
		})
	}
	o := arrival(t, podKind, pod("a@1"))
	for name, e := range map[string]Event{"created": {now: o}, "deleted": {old: o}} {
		if e.OnlyIn(everything) {
			t.Errorf("an object that is %s is only a change", name)
		}
	}
}

func TestEventAfter(t *testing.T) {
	version := func(e Event) string {
		text := ""
		for _, o := range []interface{ ResourceVersion() string }{e.Old(), e.Now()} {
			if o == nil {
				text += "none "
				continue
			}
			text += o.ResourceVersion() + " "
		}
		return text
	}
	one, two, three := arrival(t, podKind, pod("a@1")), arrival(t, podKind, pod("a@2")), arrival(t, podKind, pod("a@3"))
	first, second := Event{old: one, now: two}, Event{old: two, now: three}
	if have := version(second.Merge(first)); have != "1 3 " {
		t.Errorf("both together lead from and to %q, want 1 3", have)
	}
	if have := second.Merge(Event{now: two}); have.Old() != nil || have.Now().ResourceVersion() != "3" {
		t.Errorf("after it was created: %v, want no old object", have)
	}
}

func TestEventOwners(t *testing.T) {
	owner := func(uid types.UID, controller bool) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "o", UID: uid, Controller: &controller}
	}
	owned := func(owners ...metav1.OwnerReference) *object {
		p := pod("a@1")
		p.OwnerReferences = owners
		return encoded(t, p)
	}
	tests := map[string]struct {
		event Event
		want  []metav1.OwnerReference
	}{
		"nothing known": {Event{}, nil},
		"none":          {Event{now: owned()}, nil},
		"created":       {Event{now: owned(owner("1", true))}, []metav1.OwnerReference{owner("1", true)}},
		"deleted":       {Event{old: owned(owner("1", true))}, []metav1.OwnerReference{owner("1", true)}},
		"the same": {
			Event{old: owned(owner("1", true), owner("2", false)), now: owned(owner("1", true), owner("2", false))},
			[]metav1.OwnerReference{owner("1", true), owner("2", false)},
		},
		"another": {
			Event{old: owned(owner("1", true)), now: owned(owner("2", true))},
			[]metav1.OwnerReference{owner("1", true), owner("2", true)},
		},
		"no longer the controller": {
			Event{old: owned(owner("1", true)), now: owned(owner("1", false))},
			[]metav1.OwnerReference{owner("1", true), owner("1", false)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := gocmp.Diff(tc.want, tc.event.Owners()); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
		})
	}
}

// An object that begins to match is one that was not there, whatever the source knows of it.
func TestFilteredViewKnowsNoBefore(t *testing.T) {
	v, _ := newFilteredTestView(t, "app=a", "")
	s := v.sources[0].store
	s.hooks = storeHooks{event: v.sources[0].emit, replaced: func() {}, received: func() {}}
	var withOld []bool
	defer v.Subscribe(func(e Event) {
		withOld = append(withOld, e.Old() != nil)
		if change := e.Change() != nil; change != (e.Old() != nil && e.Now() != nil) {
			t.Errorf("the event of %v has a change: %t", e.Key, change)
		}
	}, func() {})()
	for _, text := range []string{"a@1", "a@2"} {
		if err := s.Update(arrival(t, podKind, pod(text))); err != nil {
			t.Fatal(err)
		}
	}
	other := pod("a@3")
	other.Labels["app"] = "other"
	for _, obj := range []any{arrival(t, podKind, other), arrival(t, podKind, pod("a@4"))} {
		if err := s.Update(obj); err != nil {
			t.Fatal(err)
		}
	}
	// Created, changed, gone, back.
	if diff := gocmp.Diff([]bool{false, true, true, false}, withOld); diff != "" {
		t.Errorf("known before (-want +got):\n%s", diff)
	}
}

// Both encodings come to the same fields, and the types of the values are those that expressions
// need.
func TestFields(t *testing.T) {
	p := pod("a@1")
	seconds := int64(30)
	p.Spec.TerminationGracePeriodSeconds = &seconds
	p.Spec.Containers = []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}
	want := map[string]any{
		"terminationGracePeriodSeconds": int64(30),
		"containers":                    []any{map[string]any{"name": "c", "ports": []any{map[string]any{"containerPort": int64(80)}}, "resources": map[string]any{}}},
	}
	for encoding, o := range map[string]*object{"JSON": arrival(t, podKind, p), "protobuf": encoded(t, p)} {
		have, err := Fields(cachedObject{o}, FieldMask{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, have["spec"]); diff != "" {
			t.Errorf("%s: spec (-want +have):\n%s", encoding, diff)
		}
		if have["kind"] != "Pod" || have["apiVersion"] != "v1" {
			t.Errorf("%s: kind is %v %v", encoding, have["apiVersion"], have["kind"])
		}
		if name := have["metadata"].(map[string]any)["name"]; name != "a" {
			t.Errorf("%s: name is %v", encoding, name)
		}
	}
	if _, err := Fields(cachedObject{&object{codec: newCodec(podKind, false), Object: wire.Object{Data: []byte(`{"a":`)}}}, FieldMask{}); err == nil {
		t.Error("a damaged object is no error")
	}
}

// BenchmarkFields is what decoding an object for an expression costs.
func BenchmarkFields(b *testing.B) {
	p := pod("a@1")
	for i := range 10 {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: "registry.example/app:1", Args: []string{strings.Repeat("x", 100)}}
		for j := range 10 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", j), Value: "value"})
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
	}
	text, err := json.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	for name, parts := range map[string]FieldMask{
		"all": {}, "spec": keeping(expression.Path{"spec"}), "nodeName": keeping(expression.Path{"spec", "nodeName"}),
		"label": keeping(expression.Path{"metadata", "labels", "app"}),
	} {
		for encoding, o := range map[string]*object{"json": arrival(b, podKind, p), "protobuf": encoded(b, p)} {
			b.Run(name+"/"+encoding, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Fields(cachedObject{o}, parts); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestPartsAreEnough evaluates expressions on whole objects and on the parts that they read.
func TestPartsAreEnough(t *testing.T) {
	language, err := expression.NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	full := pod("a@1")
	full.Annotations = map[string]string{"a.b/c": "x", "d": "y"}
	full.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	full.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "a", Value: "b"}}}
	full.Spec.Containers = []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}
	full.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: "Ready", Status: "True"}}}
	objects := []*corev1.Pod{full, pod("b@2"), {}}
	for _, text := range []string{
		"object.status.phase == 'Running'", "has(object.status.phase)", "has(object.status)", "has(object.spec.securityContext)", "object.spec.nodeSelector.disk == 'ssd'",
		"object.metadata.annotations['a.b/c'] == 'x'", "has(object.metadata.annotations)", "'d' in object.metadata.annotations", "object.metadata.annotations.size() == 2",
		"object.spec.securityContext.sysctls[0].name == 'a'", "object.spec.securityContext.sysctls.exists(s, s.value == 'b')", "object.spec == null", "object.kind == 'Pod'",
		"object.apiVersion == 'v1' && object.metadata.name == 'a'", "object.metadata.creationTimestamp == null", "object.?status.?phase.orValue('x') == 'x'",
		"object.spec.containers[0].ports[0].containerPort == 80", "object.nothing.there == 1", "has(object.nothing)", "object.status.conditions.exists(c, c.type == 'Ready')",
		"object.metadata.name.contains('a') || object.status.phase == ''", "object.size() > 3", "object.metadata.labels.app == object.metadata.name", "object.spec.size() > 1",
		"object.metadata.resourceVersion == '1'", "object.metadata.uid == 'a1'",
		"has(object.metadata.annotations.nothing)", "has(object.metadata.annotations.d)", "object.metadata.annotations.?nothing.orValue('') == ''",
		"has(object.metadata.annotations) && !('nothing' in object.metadata.annotations)", "has(object.spec.nodeSelector.nothing)", "has(object.spec.securityContext.runAsUser)",
	} {
		c, err := language.Condition(text, schema.GroupVersionKind{})
		if err != nil {
			t.Fatal(err)
		}
		parts := keeping(c.Reads()...)
		for _, p := range objects {
			for encoding, o := range map[string]*object{"JSON": arrival(t, podKind, p), "protobuf": encoded(t, p)} {
				whole, err := Fields(cachedObject{o}, FieldMask{})
				if err != nil {
					t.Fatal(err)
				}
				some, err := Fields(cachedObject{o}, parts)
				if err != nil {
					t.Fatal(err)
				}
				want, wantErr := c.Holds(t.Context(), whole, nil)
				have, haveErr := c.Holds(t.Context(), some, nil)
				if have != want || (haveErr == nil) != (wantErr == nil) {
					t.Errorf("%s: %s of %q: %t, %v on the parts, %t, %v on the whole\n%v", encoding, text, p.Name, have, haveErr, want, wantErr, some)
				}
			}
		}
	}
}

func TestKeepLeavesOut(t *testing.T) {
	p := pod("a@1")
	p.Annotations = map[string]string{"a": "x", "b": "y"}
	p.Spec.NodeName, p.Status.Phase = "n", corev1.PodRunning
	parts := keeping(expression.Path{"metadata", "annotations", "b"}, expression.Path{"spec", "nodeName"})
	for encoding, o := range map[string]*object{"JSON": arrival(t, podKind, p), "protobuf": encoded(t, p)} {
		have, err := Fields(cachedObject{o}, parts)
		if err != nil {
			t.Fatal(err)
		}
		metadata := have["metadata"].(map[string]any)
		want := map[string]any{"b": "y"}
		if encoding == "protobuf" { // See Keep.
			want["a"] = "x"
		}
		if diff := gocmp.Diff(want, metadata["annotations"]); diff != "" {
			t.Errorf("%s: annotations (-want +have):\n%s", encoding, diff)
		}
		if have["spec"].(map[string]any)["nodeName"] != "n" || metadata["name"] != nil {
			t.Errorf("%s: %v", encoding, have)
		}
		if status, ok := have["status"].(map[string]any); ok && len(status) > 0 {
			t.Errorf("%s: status is %v", encoding, status)
		}
	}
}

// A source of metadata alone has objects of another message, whose metadata is in the same place.
func TestKeepOfMetadataAlone(t *testing.T) {
	o := encoded(t, pod("a@1"))
	o.codec = newCodec(podKind, true)
	have, err := Fields(cachedObject{o}, keeping(expression.Path{"metadata", "labels"}, expression.Path{"kind"}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"labels": map[string]any{"app": "a"}}}
	if diff := gocmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +have):\n%s", diff)
	}
}

// TestChangeOfAnEvent has one that all share who get the event of a source.
func TestChangeOfAnEvent(t *testing.T) {
	changed := func(name string) *corev1.Pod {
		p := pod("a@1")
		p.Spec.NodeName = name
		return p
	}
	one, two, three := encoded(t, changed("one")), encoded(t, changed("two")), encoded(t, pod("a@1"))
	var events []Event
	s := newStore(podKind, "", storeHooks{event: func(e Event) { events = append(events, e) }, received: func() {}})
	for i, o := range []*object{one, two, three} {
		o.ResourceVersion = fmt.Sprint(i + 1)
		if err := s.put(o); err != nil {
			t.Fatal(err)
		}
	}
	if len(events) != 3 || events[0].Change() != nil {
		t.Fatalf("events: %+v", events)
	}
	change := events[1].Change()
	if change != events[1].Change() || change.Size() != len(one.Data) {
		t.Errorf("the change keeps %d bytes, want the %d of the state before; or each has its own", change.Size(), len(one.Data))
	}
	both := events[2].Merge(events[1]).Change()
	for name, c := range map[string]*Change{"of one": change, "of both": both} {
		if paths := c.Paths(); len(paths) != 1 || paths[0] != "spec.nodeName" {
			t.Errorf("paths %s: %q", name, paths)
		}
		if c.old != nil || c.now != nil {
			t.Errorf("the states %s are kept when the paths are known", name)
		}
	}
	if (Event{old: one}).Change() != nil {
		t.Error("the end of an object is a change")
	}
}
