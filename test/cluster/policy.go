package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Deny makes an admission policy for the writes of a core resource in a namespace. operations are
// like `"CREATE", "UPDATE"`, and validation is one of the policy, in YAML: what it does not allow
// is refused, some time later. The returned function takes the policy away, which the end of the
// test does as well.
func (c *Cluster) Deny(t testing.TB, namespace, name, resource, operations, validation string) (lift func()) {
	t.Helper()
	name = namespace + "-" + name
	c.Apply(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[2]s}}
    resourceRules: [{apiGroups: [""], apiVersions: ["v1"], resources: [%[3]s], operations: [%[4]s]}]
  validations: [%[5]s]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`, name, namespace, resource, operations, validation))
	lift = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), requestTimeout)
		defer cancel()
		admission := c.Client().AdmissionregistrationV1()
		err := errors.Join(admission.ValidatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{}),
			admission.ValidatingAdmissionPolicies().Delete(ctx, name, metav1.DeleteOptions{}))
		if err != nil {
			t.Errorf("deleting the policy %s: %v", name, err)
		}
	})
	t.Cleanup(lift)
	return lift
}
