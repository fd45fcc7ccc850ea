package expression_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
		"cel.bind(x, object.a, x.b == object.c)":                            {"a", "c"},
		"cel.bind(object, object.a, object.b == 1)":                         {"a"},
		"object.m.all(k, v, k == object.a && v.x > 0)":                      {"a", "m"},
		"object.m.transformMap(oldObject, v, oldObject.x) == {}":            {"m"},
		"object.l.sortBy(x, x.y) == object.k":                               {"k", "l"},
		"object.t.getFullYear() == 1 && !object.b":                          {"b", "t"},
		"1 > 0":                        nil,
		"object.spec.replicas == null": {"spec.replicas"},
		"object.a ? object.b : object.c == object.d": {"a", "b", "c", "d"},
	}
	l := language(t)
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			c, err := l.Condition(text, schema.GroupVersionKind{})
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
