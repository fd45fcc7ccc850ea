package reload

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestParseConfigMap(t *testing.T) {
	tests := map[string]struct {
		want types.NamespacedName
		ok   bool
		err  string
	}{
		"controllers.cue":           {},
		"./configmap:a/b":           {},
		"configmap:kooper-system/c": {want: types.NamespacedName{Namespace: "kooper-system", Name: "c"}, ok: true},
		"configmap:a/config.v1":     {want: types.NamespacedName{Namespace: "a", Name: "config.v1"}, ok: true},
		"configmap:c":               {ok: true, err: "want configmap:NAMESPACE/NAME"},
		"configmap:/c":              {ok: true, err: "names no ConfigMap"},
		"configmap:a/":              {ok: true, err: "names no ConfigMap"},
		"configmap:a/b/c":           {ok: true, err: "names no ConfigMap"},
		"configmap:Kooper-System/c": {ok: true, err: "names no ConfigMap"},
	}
	for argument, tc := range tests {
		t.Run(argument, func(t *testing.T) {
			got, ok, err := ParseConfigMap(argument)
			if got != tc.want || ok != tc.ok || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("have %v, %t, %v", got, ok, err)
			}
		})
	}
}

// TestNewer checks that a state decides only by what both sides have.
func TestNewer(t *testing.T) {
	tests := map[string]struct {
		a, b map[string]string
		want bool
	}{
		"newer":          {map[string]string{"n/c": "10"}, map[string]string{"n/c": "9"}, true},
		"older":          {map[string]string{"n/c": "9"}, map[string]string{"n/c": "10"}, false},
		"the same":       {map[string]string{"n/c": "9"}, map[string]string{"n/c": "9"}, false},
		"one of two":     {map[string]string{"n/c": "9", "n/d": "8"}, map[string]string{"n/c": "9", "n/d": "7"}, true},
		"another source": {map[string]string{"n/d": "10"}, map[string]string{"n/c": "9"}, false},
		"files":          {nil, nil, false},
		"no number":      {map[string]string{"n/c": "x"}, map[string]string{"n/c": "9"}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := newer(tc.a, tc.b); got != tc.want {
				t.Errorf("newer is %t", got)
			}
		})
	}
}
