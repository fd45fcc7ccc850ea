package access_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/access"
)

func TestConfigSource(t *testing.T) {
	name := func(namespace, name string) types.NamespacedName {
		return types.NamespacedName{Namespace: namespace, Name: name}
	}
	tests := map[string]struct {
		source access.ConfigSource
		want   []string
	}{
		"none": {access.ConfigSource{}, nil},
		"one": {
			access.ConfigSource{ConfigMaps: []types.NamespacedName{name("x", "a")}, Accepted: name("x", "a-accepted")},
			[]string{
				`x {apiGroups: [""], resources: ["configmaps"], verbs: ["create"]}`,
				`x {apiGroups: [""], resources: ["configmaps"], resourceNames: ["a"], verbs: ["get", "list", "watch"]}`,
				`x {apiGroups: [""], resources: ["configmaps"], resourceNames: ["a-accepted"], verbs: ["get", "update"]}`,
			},
		},
		"two, in two namespaces": {
			access.ConfigSource{ConfigMaps: []types.NamespacedName{name("x", "a"), name("y", "b")}, Accepted: name("x", "a-accepted")},
			[]string{
				`x {apiGroups: [""], resources: ["configmaps"], verbs: ["create"]}`,
				`x {apiGroups: [""], resources: ["configmaps"], resourceNames: ["a"], verbs: ["get", "list", "watch"]}`,
				`x {apiGroups: [""], resources: ["configmaps"], resourceNames: ["a-accepted"], verbs: ["get", "update"]}`,
				`y {apiGroups: [""], resources: ["configmaps"], resourceNames: ["b"], verbs: ["get", "list", "watch"]}`,
			},
		},
	}
	for what, tc := range tests {
		t.Run(what, func(t *testing.T) {
			needs := access.OfConfigSource(tc.source)
			if diff := cmp.Diff(tc.want, lines(access.Collect(needs))); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			for _, need := range needs {
				if need.Definition != "" || need.ConfigMap == "" || need.Optional {
					t.Errorf("the right %+v is not said to be needed by a ConfigMap", need)
				}
			}
		})
	}
}
