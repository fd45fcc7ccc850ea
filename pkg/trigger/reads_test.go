package trigger_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReads(t *testing.T) {
	tests := map[string][]string{
		"object.spec.replicas > 1":                                          {"spec.replicas"},
		"oldObject == null || object.spec != oldObject.spec":                {"spec", "spec"},
		"null != oldObject":                                                 nil,
		"object.metadata.labels['app'] == 'web'":                            {"metadata.labels.app"},
		"object.metadata.annotations['a.b/c'] == ''":                        {`metadata.annotations."a.b/c"`},
		"object.?spec.?size.orValue(1) == 1":                                {"spec.size"},
		"object.metadata[?'labels'].hasValue()":                             {"metadata.labels"},
		"has(object.status.phase)":                                          {"status.phase"},
		"object.spec.ports.exists(p, p.port == object.spec.main)":           {"spec.main", "spec.ports"},
		"object.spec.ports[0].port == 1":                                    {"spec.ports"},
		"object.metadata.labels[object.spec.key] == 'x'":                    {"metadata.labels", "spec.key"},
		"object.metadata.name.startsWith(object.metadata.namespace)":        {"metadata.name", "metadata.namespace"},
		"[object.a, object.b] == [1, 2]":                                    {"a", "b"},
		"{'k': object.a}.k == 1":                                            {"a"},
		"object == oldObject":                                               {"", ""},
		"'spec' in object":                                                  {""},
		"object.all(name, name != 'x')":                                     {""},
		"size(object.spec) > 0 && true":                                     {"spec"},
		"[1].all(object, object > 0)":                                       nil, // a variable of its own
		"object.l.all(object, object.x == .object.y)":                       {"l", "y"},
		"[1].all(x, [object.x].exists(oldObject, object.y == oldObject.z))": {"x", "y"},
		"object.?l.optMap(object, object.x).hasValue()":                     {"l"},
		"object.l.map(object, object.x) == [object.m]":                      {"l", "m"},
		"object.t.getFullYear() == 1 && !object.b":                          {"b", "t"},
		"1 > 0":                        nil,
		"object.spec.replicas == null": {"spec.replicas"},
		"object.a ? object.b : object.c == object.d": {"a", "b", "c", "d"},
	}
	l := language(t)
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			c, err := l.Compile(text)
			if err != nil {
				t.Fatal(err)
			}
			var have []string
			for _, p := range c.Reads() {
				have = append(have, p.String())
			}
			slices.Sort(have)
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	tests := map[string][]string{
		"object.spec.nodeName == oldObject.spec.nodeNam":                                {"39 there is no field spec.nodeNam"},
		"object.speck.nodeName == 'a' || object.spec.x.y == 1 || object.speck":          {"7 there is no field speck", "44 there is no field spec.x"},
		"has(object.metadata.lables)":                                                   {"20 there is no field metadata.lables"},
		"object.?spec.?nodeNam.orValue('') == ''":                                       {"14 there is no field spec.nodeNam"},
		"object['spec']['nodeNam'] == 'ü'":                                              {"16 there is no field spec.nodeNam"},
		"object.metadata.labels.anything == 'x' && object.kind == 'Pod'":                nil,
		"object.spec.containers[0].imag == 'x'":                                         nil,
		"object.spec.containers.exists(c, c.imag == 'x')":                               nil,
		"object.spec.containers.exists(object, object.image == 'x')":                    nil,
		"has(object.metadata.data)":                                                     {"20 there is no field metadata.data"},
		"has( object . spec [ 'me' ] . spec )":                                          {"22 there is no field spec.me"},
		"object.spec.overhead.hea == '' || has(object.status.stat)":                     {"52 there is no field status.stat"},
		"timestamp(object.metadata.creationTimestamp).getFullYear() == 2026":            nil,
		"object.metadata.creationTimestamp.getFullYear() == 2026":                       {"16 metadata.creationTimestamp is a point in time, which is a string, and has no function getFullYear"},
		"object.metadata.creationTimestamp.year == 2026":                                {"34 metadata.creationTimestamp is a point in time, which is a string, and has no field year"},
		"object.spec.containers.image == 'x'":                                           {"23 spec.containers is a list and has no field image"},
		"object.metadata.name.foo == 'x'":                                               {"21 metadata.name is a string and has no field foo"},
		"object.metadata.labels.app.foo == 'x'":                                         {"27 metadata.labels.app is a string and has no field foo"},
		"object.spec.overhead.cpu == '1' && object.spec.nodeSelector['a.b'] == 'c'":     nil,
		"object.spec.containers":                                                        {"12 want true or false, but spec.containers is a list"},
		"object.spec.nodeName":                                                          {"12 want true or false, but spec.nodeName is a string"},
		"!object.spec.priority || object.spec.hostNetwork && has(object.spec.nodeName)": {"13 want true or false, but spec.priority is a number"},
		"object.metadata.labels":                                                        {"16 want true or false, but metadata.labels is a map"},
		"object.metadata.labels.app":                                                    {"23 want true or false, but metadata.labels.app is a string"},
		"object":                                                                        {"0 want true or false, have the whole object"},
		"object.spec.hostNetwork":                                                       nil,
		"object.?spec.?hostNetwork == optional.none()":                                  nil,
	}
	l := language(t)
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			c, err := l.Compile(text)
			if err != nil {
				t.Fatal(err)
			}
			var have []string
			for _, m := range c.Check(reflect.TypeFor[corev1.Pod](), true) {
				have = append(have, fmt.Sprintf("%d %s", m.Offset, m.Message))
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
	c, err := l.Compile("object.stringData.x == '' || object.data.x.y == ''")
	if err != nil {
		t.Fatal(err)
	}
	want := "stringData can only be written: nothing is ever there; data.x is a string and has no field y"
	if have := c.Check(reflect.TypeFor[corev1.Secret](), true).Error(); have != want {
		t.Errorf("of a Secret: %s, want %s", have, want)
	}
	c, err = l.Compile("object.anything.there && object.metadata.lables")
	if err != nil {
		t.Fatal(err)
	}
	if ms := c.Check(reflect.TypeFor[metav1.PartialObjectMetadata](), false); len(ms) != 1 || ms[0].Offset != 41 {
		t.Errorf("of a custom kind: %v, want the label alone", ms)
	}
}

// Expressions that can be right are not refused, whatever they read.
func TestCheckAccepts(t *testing.T) {
	tests := map[string]reflect.Type{
		`object.status.capacity.cpu != oldObject.status.capacity.cpu && object.status.allocatable["a-b"] == "1"`:      reflect.TypeFor[corev1.Node](),
		`object.data["a.b"].contains("x") && object.binaryData.x == "a" && has(object.immutable) && object.immutable`: reflect.TypeFor[corev1.ConfigMap](),
		`object.data.password != oldObject.data.password && object.type == "Opaque"`:                                  reflect.TypeFor[corev1.Secret](),
		`object.data.spec.template.x == 1 && has(object.data.metadata)`:                                               reflect.TypeFor[appsv1.ControllerRevision](),
		`object.spec.ports[0].targetPort == 80 && object.spec.ports.all(p, has(p.name))`:                              reflect.TypeFor[corev1.Service](),
		`object.spec.strategy.rollingUpdate.maxSurge == "25%" || object.spec.paused`:                                  reflect.TypeFor[appsv1.Deployment](),
		`has(object.spec.paused) ? object.spec.paused : object.spec.replicas > 1`:                                     reflect.TypeFor[appsv1.Deployment](),
		`object.metadata.annotations.?foo.orValue("") == "" && "x" in object.metadata.labels`:                         reflect.TypeFor[corev1.Pod](),
		`[object, oldObject].all(o, o == null || o.anything == 1)`:                                                    reflect.TypeFor[corev1.Pod](),
		`object.metadata.labels.exists(k, k.startsWith("a")) && object.status.startTime.startsWith("2026")`:           reflect.TypeFor[corev1.Pod](),
		`timestamp(object.?metadata.?creationTimestamp.orValue("2020-01-01T00:00:00Z")).getDayOfWeek() == 1`:          reflect.TypeFor[corev1.Pod](),
		`object.spec.resources.requests.storage != oldObject.spec.resources.requests.storage`:                         reflect.TypeFor[corev1.PersistentVolumeClaim](),
	}
	l := language(t)
	for text, known := range tests {
		c, err := l.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if ms := c.Check(known, true); len(ms) > 0 {
			t.Errorf("%s: %v, want nothing", text, ms)
		}
	}
}
