package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// setOf reads a set of fields as managedFields has it.
func setOf(tb testing.TB, fieldsV1 string) *fieldpath.Set {
	tb.Helper()
	if fieldsV1 == "" {
		return nil
	}
	set := &fieldpath.Set{}
	if err := set.FromJSON(strings.NewReader(fieldsV1)); err != nil {
		tb.Fatalf("reading %s: %v", fieldsV1, err)
	}
	return set
}

// treeFrom reads a tree.
func treeFrom(tb testing.TB, text string) map[string]any {
	tb.Helper()
	tree, err := decodeTree([]byte(text))
	if err != nil {
		tb.Fatalf("reading %s: %v", text, err)
	}
	return tree
}

func pathsOf(leaves []uncovered) []string {
	paths := []string{}
	for _, leaf := range leaves {
		paths = append(paths, leaf.String())
	}
	return paths
}

func TestUncoveredLeaves(t *testing.T) {
	const containers = `{"spec": {"containers": [{"name": "web", "image": "nginx"}, {"name": "log", "image": "fluent"}]}}`
	const ports = `{"spec": {"ports": [{"port": 80, "targetPort": "web"}]}}`
	tests := map[string]struct {
		tree, set string
		want      []string
	}{
		"no entry": {
			tree: `{"data": {"a": "1", "b": "2"}}`, want: []string{".data.a", ".data.b"},
		},
		"all owned": {
			tree: `{"data": {"a": "1", "b": "2"}}`, set: `{"f:data": {"f:a": {}, "f:b": {}}}`, want: []string{},
		},
		"the map as well as what is in it": {
			tree: `{"data": {"a": "1"}}`, set: `{"f:data": {".": {}, "f:a": {}}}`, want: []string{},
		},
		"the map, and one of its members lost": {
			tree: `{"data": {"a": "1", "b": "2"}}`, set: `{"f:data": {".": {}, "f:a": {}}}`, want: []string{".data.b"},
		},
		"more than is desired": {
			tree: `{"data": {"a": "1"}}`, set: `{"f:data": {"f:a": {}, "f:old": {}}, "f:spec": {}}`, want: []string{},
		},
		"one lost": {
			tree: `{"data": {"a": "1", "b": "2"}}`, set: `{"f:data": {"f:b": {}}}`, want: []string{".data.a"},
		},
		"a map that is owned as a whole": {
			tree: `{"spec": {"selector": {"app": "web"}}}`, set: `{"f:spec": {"f:selector": {}}}`, want: []string{},
		},
		"what names the object, and its owners": {
			tree: `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b", "ownerReferences": [{"uid": "u"}]}}`,
			set:  `{}`, want: []string{},
		},
		"labels": {
			tree: `{"metadata": {"labels": {"app.kubernetes.io/name": "web", "b": ""}}}`, set: `{"f:metadata": {"f:labels": {"f:b": {}}}}`,
			want: []string{".metadata.labels.app.kubernetes.io/name"},
		},
		"finalizers are a set": {
			tree: `{"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}`,
			set:  `{"f:metadata": {"f:finalizers": {".": {}, "v:\"example.com/a\"": {}}}}`,
			want: []string{`.metadata.finalizers[="example.com/b"]`},
		},
		"a set of numbers": {
			tree: `{"spec": {"uids": [1, 2.0, 3]}}`, set: `{"f:spec": {"f:uids": {"v:1": {}, "v:2": {}}}}`,
			want: []string{".spec.uids[=3]"},
		},
		"an atomic list": {
			tree: `{"spec": {"args": ["-v", "1"]}}`, set: `{"f:spec": {"f:args": {}}}`, want: []string{},
		},
		"an atomic list that is lost": {
			tree: `{"spec": {"args": ["-v", "1"]}}`, set: `{"f:spec": {"f:command": {}}}`, want: []string{".spec.args"},
		},
		"an associative list": {
			tree: containers, want: []string{},
			set: `{"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}}, "k:{\"name\":\"log\"}": {".": {}, "f:name": {}, "f:image": {}}}}}`,
		},
		"an item that another has changed": {
			tree: containers, want: []string{`.spec.containers[name="web"].image`},
			set: `{"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}}, "k:{\"name\":\"log\"}": {".": {}, "f:name": {}, "f:image": {}}}}}`,
		},
		"an item that another has removed": {
			tree: containers, want: []string{".spec.containers"},
			set: `{"f:spec": {"f:containers": {"k:{\"name\":\"log\"}": {".": {}, "f:name": {}, "f:image": {}}}}}`,
		},
		"an associative list that is lost as a whole": {
			tree: containers, set: `{"f:spec": {}}`, want: []string{},
		},
		"a list of which nothing is owned": {
			tree: containers, set: `{"f:spec": {"f:replicas": {}}}`, want: []string{".spec.containers"},
		},
		"a key with a default that the item leaves out": {
			tree: ports, want: []string{},
			set: `{"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:targetPort": {}}}}}`,
		},
		"such a key, and a field that is lost": {
			tree: ports, want: []string{`.spec.ports[port=80,protocol="TCP"].targetPort`},
			set: `{"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}}`,
		},
		"an item that may be one of two": {
			tree: ports, want: []string{".spec.ports"},
			set: `{"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:targetPort": {}}, "k:{\"port\":80,\"protocol\":\"UDP\"}": {".": {}, "f:port": {}, "f:targetPort": {}}}}}`,
		},
		"an item that has none of the keys": {
			tree: `{"spec": {"ports": [{"targetPort": "web"}]}}`, want: []string{".spec.ports"},
			set: `{"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:targetPort": {}}}}}`,
		},
		"an item without an entry for itself": {
			tree: `{"spec": {"containers": [{"name": "web", "image": "nginx"}]}}`, want: []string{},
			set: `{"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {"f:name": {}, "f:image": {}}}}}`,
		},
		"nested lists": {
			tree: `{"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 80}, {"containerPort": 81}]}]}}`,
			set:  `{"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}`,
			want: []string{`.spec.containers[name="web"].ports`},
		},
		"empties": {
			tree: `{"spec": {"emptyDir": {}, "args": [], "owned": {}, "list": []}}`, set: `{"f:spec": {"f:owned": {}, "f:list": {}}}`,
			want: []string{".spec.args", ".spec.emptyDir"},
		},
		"an empty map that now has what others have put there": {
			tree: `{"spec": {"emptyDir": {}}}`, set: `{"f:spec": {"f:emptyDir": {"f:medium": {}}}}`, want: []string{},
		},
		"a value within an atomic item": {
			tree: `{"spec": {"rules": [{"hosts": ["a"]}]}}`, set: `{"f:spec": {"f:rules": {}}}`, want: []string{},
		},
		"sorted": {
			tree: `{"spec": {"b": 1, "a": {"d": 1, "c": 1}}, "data": {"x": "1"}}`,
			want: []string{".data.x", ".spec.a.c", ".spec.a.d", ".spec.b"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := uncoveredLeaves(treeFrom(t, tc.tree), setOf(t, tc.set))
			if diff := cmp.Diff(tc.want, pathsOf(got)); diff != "" {
				t.Errorf("uncoveredLeaves (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEqualLive(t *testing.T) {
	tests := map[string]struct {
		tree, set, live string
		want            []string // what differs
	}{
		"equal":             {tree: `{"data": {"a": "1"}}`, live: `{"data": {"a": "1"}}`},
		"other":             {tree: `{"data": {"a": "1"}}`, live: `{"data": {"a": "2"}}`, want: []string{".data.a"}},
		"gone":              {tree: `{"data": {"a": "1"}}`, live: `{"data": {}}`, want: []string{".data.a"}},
		"gone with the map": {tree: `{"data": {"a": "1"}}`, live: `{}`, want: []string{".data.a"}},
		"empty text and none are two things": {
			tree: `{"data": {"a": ""}}`, live: `{"data": {}}`, want: []string{".data.a"},
		},
		"an empty map and none are one": {
			tree: `{"spec": {"emptyDir": {}, "args": []}}`, live: `{"spec": {}}`,
		},
		"an empty map in what is not there": {
			tree: `{"spec": {"volume": {"emptyDir": {}}}}`, live: `{"spec": {}}`,
		},
		"an empty list and one with items": {
			tree: `{"spec": {"args": []}}`, live: `{"spec": {"args": ["x"]}}`, want: []string{".spec.args"},
		},
		"an empty map and one with fields": {
			tree: `{"spec": {"emptyDir": {}}}`, live: `{"spec": {"emptyDir": {"medium": "Memory"}}}`,
		},
		"null":                       {tree: `{"spec": {"args": []}}`, live: `{"spec": {"args": null}}`},
		"quantities":                 {tree: `{"spec": {"cpu": "1000m", "memory": "1Gi"}}`, live: `{"spec": {"cpu": "1", "memory": "1Gi"}}`},
		"a quantity in another unit": {tree: `{"spec": {"memory": "1024Mi", "disk": "0.5Gi"}}`, live: `{"spec": {"memory": "1Gi", "disk": "512Mi"}}`},
		"versions are no quantities": {
			tree: `{"spec": {"version": "1.20", "other": "1.2"}}`, live: `{"spec": {"version": "1.2", "other": "1.20"}}`,
			want: []string{".spec.other", ".spec.version"},
		},
		"numbers that are the same as floats": {
			tree: `{"spec": {"n": 9007199254740993}}`, live: `{"spec": {"n": 9007199254740992}}`, want: []string{".spec.n"},
		},
		"a quantity and a number": {
			tree: `{"spec": {"cpu": 1, "half": 0.5}}`, live: `{"spec": {"cpu": "1", "half": "500m"}}`,
		},
		"other quantities": {
			tree: `{"spec": {"cpu": "1100m"}}`, live: `{"spec": {"cpu": "1"}}`, want: []string{".spec.cpu"},
		},
		"texts that are no quantities there": {
			tree: `{"metadata": {"labels": {"a": "1000m"}}, "data": {"a": "1.0"}}`, live: `{"metadata": {"labels": {"a": "1"}}, "data": {"a": "1"}}`,
			want: []string{".data.a", ".metadata.labels.a"},
		},
		"a number in two ways": {tree: `{"spec": {"a": 1, "b": 2.0}}`, live: `{"spec": {"a": 1.0, "b": 2}}`},
		"int-or-string":        {tree: `{"spec": {"targetPort": 80}}`, live: `{"spec": {"targetPort": "80"}}`},
		"another int-or-string": {
			tree: `{"spec": {"targetPort": 80}}`, live: `{"spec": {"targetPort": "web"}}`, want: []string{".spec.targetPort"},
		},
		"bool and text": {tree: `{"spec": {"a": true}}`, live: `{"spec": {"a": "true"}}`, want: []string{".spec.a"}},
		"an item by its key": {
			tree: `{"spec": {"ports": [{"port": 80, "name": "web"}]}}`,
			set:  `{"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}}`,
			live: `{"spec": {"ports": [{"port": 81, "protocol": "TCP", "name": "b"}, {"port": 80, "protocol": "TCP", "name": "web"}]}}`,
		},
		"an item by its key that differs": {
			tree: `{"spec": {"ports": [{"port": 80, "name": "web"}]}}`,
			set:  `{"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}}`,
			live: `{"spec": {"ports": [{"port": 80, "protocol": "UDP", "name": "web"}, {"port": 80, "protocol": "TCP", "name": "b"}]}}`,
			want: []string{`.spec.ports[port=80,protocol="TCP"].name`},
		},
		"an item that is gone": {
			tree: `{"spec": {"ports": [{"port": 80, "name": "web"}]}}`,
			set:  `{"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}}`,
			live: `{"spec": {"ports": []}}`, want: []string{`.spec.ports[port=80,protocol="TCP"].name`},
		},
		"an item of a set": {
			tree: `{"metadata": {"finalizers": ["example.com/a"]}}`, set: `{"f:metadata": {"f:finalizers": {"v:\"example.com/b\"": {}}}}`,
			live: `{"metadata": {"finalizers": ["example.com/b", "example.com/a"]}}`,
		},
		"an item of a set that is gone": {
			tree: `{"metadata": {"finalizers": ["example.com/a"]}}`, set: `{"f:metadata": {"f:finalizers": {"v:\"example.com/b\"": {}}}}`,
			live: `{"metadata": {"finalizers": ["example.com/b"]}}`, want: []string{`.metadata.finalizers[="example.com/a"]`},
		},
		"a list with defaults in its items": {
			tree: `{"spec": {"rules": [{"host": "a"}]}}`, live: `{"spec": {"rules": [{"host": "a", "path": "/"}]}}`,
		},
		"a list in another order": {
			tree: `{"spec": {"rules": ["a", "b"]}}`, live: `{"spec": {"rules": ["b", "a"]}}`, want: []string{".spec.rules"},
		},
		"a list with more": {
			tree: `{"spec": {"rules": ["a"]}}`, live: `{"spec": {"rules": ["a", "b"]}}`, want: []string{".spec.rules"},
		},
		"an empty map in an item": {
			tree: `{"spec": {"volumes": [{"name": "tmp", "source": {"emptyDir": {}}}]}}`, set: `{"f:spec": {"f:volumes": {"k:{\"name\":\"tmp\"}": {"f:name": {}}}}}`,
			live: `{"spec": {"volumes": [{"name": "tmp"}]}}`,
		},
		"an atomic map with more than is wanted": {
			tree: `{"spec": {"selector": {"app": "web"}, "type": "x"}}`, set: `{"f:spec": {"f:type": {}}}`,
			live: `{"spec": {"selector": {"app": "web", "version": "v2"}, "type": "x"}}`, want: []string{".spec.selector.app"},
		},
		"an atomic map with more below": {
			tree: `{"spec": {"selector": {"matchLabels": {"app": "web"}}, "type": "x"}}`, set: `{"f:spec": {"f:type": {}}}`,
			live: `{"spec": {"selector": {"matchLabels": {"app": "web", "version": "v2"}}}}`, want: []string{".spec.selector.matchLabels.app"},
		},
		"an atomic map that was set back": {
			tree: `{"spec": {"selector": {"app": "web"}, "type": "x"}}`, set: `{"f:spec": {"f:type": {}}}`, live: `{"spec": {"selector": {"app": "web", "none": {}}}}`,
		},
		"an atomic list with more in an item": {
			tree: `{"spec": {"rules": [{"host": "a"}], "type": "x"}}`, set: `{"f:spec": {"f:type": {}}}`,
			live: `{"spec": {"rules": [{"host": "a", "path": "/"}]}}`, want: []string{".spec.rules"},
		},
		"a map of which something is ours, with more": {
			tree: `{"spec": {"template": {"a": "1", "b": "2"}}}`, set: `{"f:spec": {"f:template": {"f:a": {}}}}`,
			live: `{"spec": {"template": {"a": "1", "b": "2", "c": "3"}}}`,
		},
		"labels, none of which is ours, with more": {
			tree: `{"metadata": {"labels": {"a": "1"}}}`, set: `{"f:data": {}}`, live: `{"metadata": {"labels": {"a": "1", "b": "2"}}}`,
		},
		"more than is wanted, without an entry of ours": {
			tree: `{"spec": {"selector": {"app": "web"}}}`, live: `{"spec": {"selector": {"app": "web", "version": "v2"}}}`,
		},
		"a scalar where a map should be": {
			tree: `{"spec": {"a": {"b": 1}}}`, live: `{"spec": {"a": "x"}}`, want: []string{".spec.a.b"},
		},
		"a scalar above an empty map": {
			tree: `{"spec": {"a": {"b": {}}}}`, live: `{"spec": {"a": "x"}}`, want: []string{".spec.a.b"},
		},
		"a map where a scalar should be": {
			tree: `{"spec": {"a": 1}}`, live: `{"spec": {"a": {"b": 1}}}`, want: []string{".spec.a"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			live := treeFrom(t, tc.live)
			for _, leaf := range uncoveredLeaves(treeFrom(t, tc.tree), setOf(t, tc.set)) {
				if !leaf.equalLive(live) {
					got = append(got, leaf.String())
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("what differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	leaves := uncoveredLeaves(treeFrom(t, `{"data": {"a": "1", "b": "2", "c": "3"}}`), nil)
	for n, want := range []string{"", ".data.a", ".data.a and 1 more", ".data.a and 2 more"} {
		if got := describe(leaves[:n]); got != want {
			t.Errorf("describe of %d: %q, want %q", n, got, want)
		}
	}
}
