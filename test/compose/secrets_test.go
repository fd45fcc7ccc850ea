package compose_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/test/compose/parts"
)

// canarySecret is in no text of kooperd.
const canarySecret = "canary-5ba1c9"

// quoteSecrets makes the API server refuse the Secrets of a namespace, with their values in the
// answer.
func quoteSecrets(t *testing.T, namespace string) {
	t.Helper()
	shared.Deny(t, namespace, "quote", "secrets", `"CREATE", "UPDATE"`,
		`{expression: "!has(object.data) || !('key' in object.data)", messageExpression: "'the value ' + string(object.data.key) + ' is not allowed'"}`)
}

// awaitQuotes waits until the policy of quoteSecrets is in force.
func (r *rig) awaitQuotes(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "try"}, StringData: map[string]string{"key": "some-value"}}
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, last = shared.Client().CoreV1().Secrets(r.namespace).Create(ctx, secret, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.IsInvalid(last) && strings.Contains(last.Error(), "the value "), nil
	})
	if err != nil {
		t.Fatalf("waiting for the policy: %v; the last answer is %v", err, last)
	}
}

const colorsDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: colors.demo.kooperd.dev}
spec:
  group: demo.kooperd.dev
  scope: Namespaced
  names: {kind: Color, plural: colors, singular: color}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {color: {type: string, enum: [red, green]}}
`

// TestSecretIsInNoText has a Secret whose value is quoted by a policy, by a schema and by the
// composer.
func TestSecretIsInNoText(t *testing.T) {
	t.Parallel()
	shared.Apply(t, colorsDefinition)
	key := base64.StdEncoding.EncodeToString([]byte(canarySecret))
	secret := parts.Child{Name: "s", Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "{name}-s"}, "data": map[string]any{"key": key},
	}}
	color := parts.Child{Name: "c", Object: map[string]any{
		"apiVersion": "demo.kooperd.dev/v1", "kind": "Color", "metadata": map[string]any{"name": "{name}-c"},
		"spec": map[string]any{"color": canarySecret},
	}}
	owns := []parts.Owns{{APIVersion: "v1", Kind: "Secret"}, {APIVersion: "demo.kooperd.dev/v1", Kind: "Color"}}
	reads := []parts.Reads{{Name: "keys", APIVersion: "v1", Kind: "Secret", Label: "canary=yes", SameNamespace: true, Whole: true}}
	for name, tc := range map[string]struct {
		config parts.Config
		reason string
	}{
		"policy": {config: parts.Config{Owns: owns, Children: []parts.Child{secret}}, reason: "Invalid"},
		"schema": {config: parts.Config{Owns: owns, Reads: reads, Children: []parts.Child{color}}, reason: "Invalid"},
		"patch": {reason: "Invalid", config: parts.Config{
			NoOwns: true, Reads: reads, Patched: []parts.Patched{{APIVersion: "demo.kooperd.dev/v1", Kind: "Color"}},
			Patches: []parts.Patch{{When: []string{"x"}, Object: map[string]any{
				"apiVersion": "demo.kooperd.dev/v1", "kind": "Color", "metadata": map[string]any{"name": "target"},
				"spec": map[string]any{"color": canarySecret},
			}}},
		}},
		"composer": {config: parts.Config{Owns: owns, Reads: reads, Fail: "it is " + canarySecret + " or " + key}, reason: "ComposeFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if name == "policy" {
				quoteSecrets(t, r.namespace)
				r.awaitQuotes(t)
			}
			r.create(t, secrets, fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "read", "labels": {"canary": "yes"}},
				"data": {%q: %q}}`, map[bool]string{true: "other", false: "key"}[name == "policy"], key))
			if name == "patch" {
				colors := schema.GroupVersionResource{Group: "demo.kooperd.dev", Version: "v1", Resource: "colors"}
				r.create(t, colors, `{"apiVersion": "demo.kooperd.dev/v1", "kind": "Color", "metadata": {"name": "target"}, "spec": {}}`)
			}
			r.defineAll(t, map[string]definition{definitionName: {Config: tc.config}})
			p := r.start(t)
			r.thing(t, "p", "x")
			if reason := r.awaitCondition(t, "p", "[REDACTED]"); reason != tc.reason {
				t.Errorf("the reason is %s, want %s", reason, tc.reason)
			}
			r.awaitWarning(t, p, "p", tc.reason, "[REDACTED]")
			p.Await(t, "the definition to be in trouble", func() bool { return strings.Contains(p.readyz(t), "things: Degraded") })
			texts := map[string]string{"/readyz": p.readyz(t), "the log": p.Tail(10000)}
			for where, value := range map[string]any{"the parent": r.get(t, things, "p").Object, "the events": r.eventsAbout(t, "p")} {
				text, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				texts[where] = string(text)
			}
			for where, text := range texts {
				if strings.Contains(text, canarySecret) || strings.Contains(text, strings.TrimRight(key, "=")) {
					t.Errorf("%s: there is the secret: %s", where, text)
				}
			}
			if !strings.Contains(texts["the log"], "[REDACTED]") {
				t.Errorf("nothing is redacted in the log: %s", texts["the log"])
			}
		})
	}
}
