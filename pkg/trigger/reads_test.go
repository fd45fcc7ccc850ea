package trigger_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReads(t *testing.T) {
	tests := map[string][]string{
		"object.spec.replicas > 1":                                   {"spec.replicas"},
		"oldObject == null || object.spec != oldObject.spec":         {"spec", "spec"},
		"null != oldObject":                                          nil,
		"object.metadata.labels['app'] == 'web'":                     {"metadata.labels.app"},
		"object.metadata.annotations['a.b/c'] == ''":                 {`metadata.annotations."a.b/c"`},
		"object.?spec.?size.orValue(1) == 1":                         {"spec.size"},
		"object.metadata[?'labels'].hasValue()":                      {"metadata.labels"},
		"has(object.status.phase)":                                   {"status.phase"},
		"object.spec.ports.exists(p, p.port == object.spec.main)":    {"spec.main", "spec.ports"},
		"object.spec.ports[0].port == 1":                             {"spec.ports"},
		"object.metadata.labels[object.spec.key] == 'x'":             {"metadata.labels", "spec.key"},
		"object.metadata.name.startsWith(object.metadata.namespace)": {"metadata.name", "metadata.namespace"},
		"[object.a, object.b] == [1, 2]":                             {"a", "b"},
		"{'k': object.a}.k == 1":                                     {"a"},
		"object == oldObject":                                        {"", ""},
		"'spec' in object":                                           {""},
		"object.all(name, name != 'x')":                              {""},
		"size(object.spec) > 0 && true":                              {"spec"},
		"[1].all(object, object > 0)":                                {""}, // of the same name: more than needed
		"1 > 0":                                                      nil,
		"object.spec.replicas == null":                               {"spec.replicas"},
		"object.a ? object.b : object.c == object.d":                 {"a", "b", "c", "d"},
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
		"object.spec.nodeName == oldObject.spec.nodeNam":                       {"39 there is no field spec.nodeNam"},
		"object.speck.nodeName == 'a' || object.spec.x.y == 1 || object.speck": {"7 there is no field speck", "44 there is no field spec.x"},
		"has(object.metadata.lables)":                                          {"20 there is no field metadata.lables"},
		"object.?spec.?nodeNam.orValue('') == ''":                              {"14 there is no field spec.nodeNam"},
		"object['spec']['nodeNam'] == 'ü'":                                     {"16 there is no field spec.nodeNam"},
		"object.metadata.labels.anything == 'x' && object.kind == 'Pod'":       nil,
		"object.spec.containers[0].imag == 'x'":                                nil,
		"object.spec.containers.exists(c, c.imag == 'x')":                      nil,
		"object.metadata.creationTimestamp.getFullYear() == 2026":              nil,
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
	c, err := l.Compile("object.anything.there && object.metadata.lables")
	if err != nil {
		t.Fatal(err)
	}
	if ms := c.Check(reflect.TypeFor[metav1.PartialObjectMetadata](), false); len(ms) != 1 || ms[0].Offset != 41 {
		t.Errorf("of a custom kind: %v, want the label alone", ms)
	}
}
