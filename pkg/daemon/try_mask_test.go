package daemon_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers"
)

// leaky is a plugin that puts a secret into places where none is expected, and makes a value anew
// with every run.
var leaky = handlers.Plugin[secretaryConfig]{
	Name: "leaky", Summary: "for tests", Schema: "#Config: {}",
	Owns: func(secretaryConfig) []handlers.OwnedKind {
		return []handlers.OwnedKind{
			{APIVersion: "v1", Kind: "Secret"}, {APIVersion: "v1", Kind: "ConfigMap"},
			{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass", AnyNamespace: true},
		}
	},
	Reads: secretary.Reads,
	NewComposer: func(context.Context, handlers.Env, secretaryConfig) (handlers.Composer, error) {
		return handlers.ComposerFunc(composeLeaky), nil
	},
}

func composeLeaky(_ context.Context, req handlers.ComposeRequest) (out handlers.Composition, err error) {
	var token corev1.Secret
	if err := req.Related["token"][0].Into(&token); err != nil {
		return out, err
	}
	text := string(token.Data["token"])
	out.Children = []handlers.Child{
		{Name: "class", Object: &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "class"}, Description: "by " + text}},
		{Name: "keys", Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "keys"}, Data: map[string]string{text: "key", "plain": "seen"}}},
		{
			Name: "made", Policy: handlers.ChildPolicy{Update: handlers.UpdateCreateOnly},
			Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "made"}, Data: map[string]string{"plain": "said"}},
			Generate: func(_ context.Context, o *unstructured.Unstructured) error {
				return unstructured.SetNestedField(o.Object, "drawn-by-lot", "data", "password")
			},
		},
	}
	return out, nil
}

// TestTryHidesSecrets looks for secrets in texts at the top of an object, in keys, in what is no
// text, and for generated values.
func TestTryHidesSecrets(t *testing.T) {
	config := strings.Replace(strings.Replace(secretaryFile, "secretary: {}", "leaky: {}", 1), "  pods:", "  #", 1)
	made := file(t, strings.Replace(officeMade, "{token:", "{number: 4711, token:", 1)+
		"---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: made, namespace: a}, data: {plain: said, password: drawn-before}}\n")
	for name, more := range map[string][]string{"new": nil, "made before": {"--children", made}} {
		t.Run(name, func(t *testing.T) {
			for _, format := range []string{"text", "json"} {
				args := append([]string{"--object", file(t, office), "--related", file(t, officeToken), "-o", format}, more...)
				stdout, stderr, status := runTry(t, config, args...)
				if status != daemon.ExitOK {
					t.Fatalf("exit status is %d, and it prints\n%s%s", status, stdout, stderr)
				}
				for _, secret := range []string{"very-secret", "drawn-by-lot", "drawn-before", "4711"} {
					if strings.Contains(stdout, secret) {
						t.Errorf("it shows %s:\n%s", secret, stdout)
					}
				}
				if name == "new" && (!strings.Contains(stdout, "said") || !strings.Contains(stdout, "<generated>") && !strings.Contains(stdout, `\u003cgenerated`)) {
					t.Errorf("it does not show what is known of a generated object:\n%s", stdout)
				}
				if !strings.Contains(stdout, "seen") {
					t.Errorf("it does not show what is no secret:\n%s", stdout)
				}
			}
			args := append([]string{"--object", file(t, office), "--related", file(t, officeToken), "--show-secrets"}, more...)
			if stdout, _, _ := runTry(t, config, args...); name == "new" && !strings.Contains(stdout, "drawn-by-lot") {
				t.Errorf("with --show-secrets, it prints\n%s", stdout)
			}
		})
	}
}
