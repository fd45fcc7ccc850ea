package examples_test

import (
	"encoding/base64"
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/compose"
)

// missing says what is not as a step leaves it.
func (r *resident) missing(t *testing.T, s step) string {
	t.Helper()
	if why := r.kinds.compareMarked(t, childrenOf(r.installation()), kindsOf(r.steps, func(s step) []string { return s.children.names() }), s.children.names()); why != "" {
		return why
	}
	if why := r.kinds.compareMarked(t, patchedBy(r.installation()), kindsOf(r.steps, func(s step) []string { return s.patched }), s.patched); why != "" {
		return why
	}
	for _, name := range s.gone {
		if _, exists := r.kinds.get(t, name); exists {
			return name + " is there"
		}
	}
	for _, all := range []objects{s.children, s.others} {
		for name, want := range all {
			object, exists := r.kinds.get(t, name)
			if !exists {
				return name + " is not there"
			}
			if why := want.compare(t, object); why != "" {
				return name + ": " + why
			}
		}
	}
	if s.check != nil {
		return s.check(t, r.kinds)
	}
	return ""
}

// kindsOf are the kinds of some objects of all steps.
func kindsOf(steps []step, names func(step) []string) []string {
	all := map[string]bool{}
	for _, s := range steps {
		for _, name := range names(s) {
			all[parseRef(name).kind] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// childrenOf selects the children of an installation, and patchedBy the objects that it contributes
// to.
func childrenOf(installation string) string { return compose.InstallationLabel + "=" + installation }
func patchedBy(installation string) string  { return compose.PatchedLabel(installation) }

// checkWithdrawn looks for fields that are still the installation's in objects that it does not
// contribute to any more.
func checkWithdrawn(t *testing.T, r *resident, s step) {
	t.Helper()
	for _, kind := range kindsOf(r.steps, func(s step) []string { return s.patched }) {
		list, err := r.kinds.client(t, ref{kind: kind}).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatalf("listing objects of kind %s: %v", kind, err)
		}
		for i := range list.Items {
			object := ref{kind: kind, namespace: list.Items[i].GetNamespace(), name: list.Items[i].GetName()}
			for _, entry := range list.Items[i].GetManagedFields() {
				if isContribution(entry.Manager) && !slices.Contains(s.patched, kind+" "+object.object()) {
					t.Errorf("%s: fields of %s %s are those of %s", s.name, kind, object.object(), entry.Manager)
				}
			}
		}
	}
}

// noteGenerated looks at what was generated. A Secret has the same value for as long as it is
// there.
func noteGenerated(t *testing.T, r *resident, s step) {
	t.Helper()
	for name, key := range r.generated {
		object, there := r.kinds.get(t, name)
		if !there {
			continue
		}
		encoded, _, _ := unstructured.NestedString(object.Object, "data", key)
		value, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(value) == 0 {
			t.Fatalf("%s: %s has %q in data.%s: %v", s.name, name, encoded, key, err)
		}
		if before, known := r.made[object.GetUID()]; known && before != encoded {
			t.Errorf("%s: %s has another value than before", s.name, name)
		} else if !known {
			r.made[object.GetUID()] = encoded
			r.secrets = append(r.secrets, encoded, string(value))
		}
	}
}
