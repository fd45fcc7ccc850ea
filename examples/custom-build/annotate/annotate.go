// Package annotate is a whole plugin: it keeps an annotation on ConfigMaps.
package annotate

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Config is the config of one handler: the annotation.
type Config struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Plugin is the plugin "annotate".
var Plugin = handlers.Plugin[Config]{
	Name: "annotate", Summary: "Keep an annotation on ConfigMaps",
	Schema:   `#Config: {key!: =~"^([a-z0-9.-]+/)?[A-Za-z0-9._-]+$", value?: string}`,
	Defaults: func() Config { return Config{Value: "yes"} },
	Rules: func(Config) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"patch"}}}
	},
	New: func(_ context.Context, env handlers.Env, c Config) (handlers.Handler, error) {
		configMaps := env.Clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("configmaps"))
		return handlers.Func(func(ctx context.Context, cm *corev1.ConfigMap) error {
			desired := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
			desired.SetUID(cm.UID) // so that no other object of that name is made or changed
			desired.SetAnnotations(map[string]string{c.Key: c.Value})
			_, err := configMaps.Namespace(cm.Namespace).Apply(ctx, cm.Name, desired, metav1.ApplyOptions{FieldManager: "annotate", Force: true})
			return err // and again when the watch shows the result, which changes nothing any more
		}), nil
	},
}
