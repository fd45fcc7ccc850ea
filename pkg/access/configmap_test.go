package access_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
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

// TestNeedsLease checks that the lease is needed for the accepted config, too, whose holder stores
// it.
func TestNeedsLease(t *testing.T) {
	inMap := access.ConfigSource{ConfigMaps: []types.NamespacedName{{Namespace: "x", Name: "a"}}}
	under, every := config.Definition{}, config.Definition{EveryReplica: true}
	tests := map[string]struct {
		definition config.Definition
		source     access.ConfigSource
		disabled   bool
		want       bool
	}{
		"a definition under it":                       {definition: under, want: true},
		"none under it":                               {definition: every},
		"none under it, and a ConfigMap":              {definition: every, source: inMap, want: true},
		"without leader election":                     {definition: under, disabled: true},
		"without leader election, and in a ConfigMap": {definition: under, source: inMap, disabled: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := &config.Config{Definitions: []config.Definition{tc.definition}, LeaderElection: config.LeaderElection{Disabled: tc.disabled}}
			if got := access.NeedsLease(cfg, tc.source); got != tc.want {
				t.Errorf("NeedsLease is %t", got)
			}
		})
	}
}
