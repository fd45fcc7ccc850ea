package expression_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/expression"
)

func TestResolve(t *testing.T) {
	pod, deployment, secret := reflect.TypeFor[corev1.Pod](), reflect.TypeFor[*appsv1.Deployment](), reflect.TypeFor[corev1.Secret]()
	tests := map[string]struct {
		of   reflect.Type
		path expression.Path
		want []expression.Step
	}{
		"a field":                 {of: pod, path: expression.Path{"status"}, want: []expression.Step{{Number: 3}}},
		"of the metadata":         {of: pod, path: expression.Path{"metadata", "annotations"}, want: []expression.Step{{Number: 1}, {Number: 12}}},
		"a key of a map":          {of: pod, path: expression.Path{"metadata", "labels", "a/b"}, want: []expression.Step{{Number: 1}, {Number: 11}, {Key: "a/b"}}},
		"through a pointer":       {of: deployment, path: expression.Path{"spec", "strategy", "rollingUpdate", "maxSurge"}, want: []expression.Step{{Number: 2}, {Number: 4}, {Number: 2}, {Number: 2}}},
		"far below":               {of: deployment, path: expression.Path{"spec", "template", "spec", "nodeSelector", "x"}, want: []expression.Step{{Number: 2}, {Number: 3}, {Number: 2}, {Number: 7}, {Key: "x"}}},
		"in no message":           {of: pod, path: expression.Path{"kind"}},
		"bytes by key":            {of: secret, path: expression.Path{"data", "token"}, want: []expression.Step{{Number: 2}, {Key: "token"}}},
		"a list":                  {of: pod, path: expression.Path{"spec", "containers"}, want: []expression.Step{{Number: 2}, {Number: 2}}},
		"a field written inline":  {of: reflect.TypeFor[corev1.Volume](), path: expression.Path{"configMap", "name"}, want: []expression.Step{{Number: 2}, {Number: 19}, {Number: 1}, {Number: 1}}},
		"a value of its own JSON": {of: pod, path: expression.Path{"metadata", "creationTimestamp"}, want: []expression.Step{{Number: 1}, {Number: 8}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			have, err := expression.Resolve(tc.of, tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

func TestResolveMistakes(t *testing.T) {
	pod := reflect.TypeFor[corev1.Pod]()
	tests := map[string]struct {
		path  expression.Path
		want  expression.FieldError
		known string // one of the fields that are suggested
	}{
		"no such field":     {path: expression.Path{"staus"}, want: expression.FieldError{Message: "there is no field staus"}, known: "status"},
		"by its Go name":    {path: expression.Path{"metadata", "Labels"}, want: expression.FieldError{Index: 1, Message: "there is no field metadata.Labels"}, known: "labels"},
		"below a list":      {path: expression.Path{"status", "conditions", "type"}, want: expression.FieldError{Index: 2, Message: "status.conditions is a list, which is compared as a whole", Hint: `did you mean "status.conditions"?`}},
		"below a value":     {path: expression.Path{"metadata", "name", "x"}, want: expression.FieldError{Index: 2, Message: "metadata.name is a single value, which is compared as a whole", Hint: `did you mean "metadata.name"?`}},
		"below a time":      {path: expression.Path{"metadata", "creationTimestamp", "Time"}, want: expression.FieldError{Index: 2, Message: "metadata.creationTimestamp is a single value, which is compared as a whole", Hint: `did you mean "metadata.creationTimestamp"?`}},
		"a key with dots":   {path: expression.Path{"metadata", "labels", "a", "b/c"}, want: expression.FieldError{Index: 3, Message: "metadata.labels.a is a value of a map, which is compared as a whole", Hint: `did you mean metadata.labels."a.b/c"?`}},
		"a quantity's part": {path: expression.Path{"spec", "overhead", "cpu", "x"}, want: expression.FieldError{Index: 3, Message: "spec.overhead.cpu is a value of a map, which is compared as a whole", Hint: `did you mean spec.overhead."cpu.x"?`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := expression.Resolve(pod, tc.path)
			var have *expression.FieldError
			if !errors.As(err, &have) {
				t.Fatalf("Resolve returned %v, want a FieldError", err)
			}
			if tc.known != "" && !slices.Contains(have.Known, tc.known) {
				t.Errorf("%q is not among the known fields %q", tc.known, have.Known)
			}
			have.Known = nil
			if diff := cmp.Diff(tc.want, *have); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
		})
	}
}

// The metadata of a custom kind is checked by this type.
func TestResolveMetadata(t *testing.T) {
	have, err := expression.Resolve(reflect.TypeFor[metav1.PartialObjectMetadata](), expression.Path{"metadata", "finalizers"})
	if err != nil || !slices.Equal(have, []expression.Step{{Number: 1}, {Number: 14}}) {
		t.Errorf("Resolve returned %v, %v", have, err)
	}
}
