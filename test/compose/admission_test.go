package compose_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// mutateConfigMaps lets the API server itself set a key of each ConfigMap in a namespace that has
// it.
func mutateConfigMaps(t *testing.T, namespace, key, value string) {
	t.Helper()
	shared.Apply(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    resourceRules: [{apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"], operations: ["CREATE", "UPDATE"]}]
  matchConditions: [{name: key, expression: "has(object.data) && '%[2]s' in object.data"}]
  mutations:
  - patchType: JSONPatch
    jsonPatch: {expression: "[JSONPatch{op: 'replace', path: '/data/%[2]s', value: '%[3]s'}]"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s}
`, namespace, key, value))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		admission := shared.Client().AdmissionregistrationV1()
		if err := admission.MutatingAdmissionPolicyBindings().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting the binding: %v", err)
		}
		if err := admission.MutatingAdmissionPolicies().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting the policy: %v", err)
		}
	})
	// The API server knows a policy a moment after it was stored.
	s := newSubject(t, configMapFacts, namespace, "policy")
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		a := s.must(t, s.apply(t, other, s.write(fmt.Sprintf(`"data": {%q: "asked"}`, key), ""), "dryRun=All", "force=true"))
		return a.object.Data[key] == value, nil
	})
	if err != nil {
		t.Fatalf("waiting for the policy: %v", err)
	}
}

// TestAdmissionFacts shows that a value which admission changes in our own request stays ours, so
// that it is no drift.
func TestAdmissionFacts(t *testing.T) {
	namespace := shared.Namespace(t)
	mutateConfigMaps(t, namespace, "a", "admitted")
	s := newSubject(t, configMapFacts, namespace, "admitted")
	a := s.made(t)
	if value, _ := a.object.value(); value != "admitted" {
		t.Errorf("the field is %q, want what admission makes of it", value)
	}
	s.owned(t, a, ours, applied, true, s.field...)
	s.made(t)
	s.owned(t, s.get(t), ours, applied, true, s.field...)
}

// TestTerminatingNamespaceFacts shows how the API server says that a namespace goes.
func TestTerminatingNamespaceFacts(t *testing.T) {
	namespace := shared.Namespace(t)
	s := newSubject(t, configMapFacts, namespace, "stays")
	s.mustApply(t, other, s.body("one", `"finalizers": ["kooperd.dev/fact"]`))
	if err := shared.Client().CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	late := newSubject(t, configMapFacts, namespace, "late")
	a := late.apply(t, ours, late.body("one", `"resourceVersion": "1"`))
	late.refused(t, a, http.StatusForbidden, metav1.StatusReasonForbidden, "being terminated")
	if causes := a.status.Details.Causes; len(causes) != 1 || !strings.HasPrefix(string(causes[0].Type), "NamespaceTerminating") {
		t.Errorf("causes: %+v, want NamespaceTerminating", causes)
	}
	if a := s.apply(t, ours, s.body("one", "")); a.code != http.StatusOK {
		t.Errorf("applying to what is there still: %d %s, want 200", a.code, a.text)
	}
	s.removeFinalizers(t)
}
