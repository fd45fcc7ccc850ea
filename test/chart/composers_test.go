package chart

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/test/cluster"
)

// composersImage is an image of kooperd with one more plugin, which makes composers.
const composersImage = "registry.example.com/composed:1"

// composersConfig is a config whose definitions make a ConfigMap for each Widget.
func composersConfig(names ...string) string {
	definitions := map[string]any{}
	for _, name := range names {
		definitions[name] = map[string]any{
			"watch": map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "namespaces": []string{"payments"}}, "status": "none",
			"handler": map[string]any{"parts": map[string]any{"children": []any{map[string]any{"name": "page", "object": map[string]any{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "{name}-" + name},
			}}}}},
		}
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "kooperd.dev/v1alpha1", "controllers": definitions})
	if err != nil {
		panic(err) // It has texts alone.
	}
	return string(text)
}

// TestComposers installs a build with a composer, and the rights that it prints. Nothing is
// refused, and of the rights to the ConfigMap beside the lease, nothing is left over.
func TestComposers(t *testing.T) {
	dir := t.TempDir()
	config, values := filepath.Join(dir, "controllers.json"), filepath.Join(dir, "rbac.yaml")
	write := func(names ...string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(composersConfig(names...)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	printed, err := exec.CommandContext(t.Context(), filepath.Join(programs, "composed"),
		"rbac", "--format", "helm-values", "--crds", "testdata/crds.yaml", config).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(values, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	mark := shared.AuditMark(t)
	r := install(t, "helm4", "--values", values, "--set-file", `configFiles.controllers\.json=`+config,
		"--set", "image="+composersImage+",shutdownDelaySeconds=0,env[0].name=PARTS_RECORD,env[0].value="+filepath.Join(dir, "calls"))
	widget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "composed"},
	}}
	widgets := shared.Dynamic().Resource(widgets).Namespace("payments")
	if _, err := widgets.Create(t.Context(), widget, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	exists := func(name string) {
		t.Helper()
		eventually(t, "there is the child "+name, func() bool {
			_, err := shared.Client().CoreV1().ConfigMaps("payments").Get(t.Context(), name, metav1.GetOptions{})
			return err == nil
		})
	}
	exists("composed-first")
	write("first", "second")
	helm(t, r.helm, r.command("upgrade")...)
	exists("composed-second")
	if said, ok := r.helmTest(t); !ok {
		t.Errorf("helm test: kooperd says:\n%s", said)
	}
	granted := slices.DeleteFunc(r.manifests(t).grants(t), func(g cluster.Grant) bool {
		return g.Namespace != r.namespace || g.Resource != "configmaps"
	})
	r.stop(t)
	if err := widgets.Delete(t.Context(), "composed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(granted) != 3 {
		t.Errorf("the release may %v, want to get, update and create a ConfigMap", granted)
	}
	cluster.CheckGrants(t, r.user(), granted, false, func() []cluster.AuditEvent { return shared.AuditSince(t, mark, r.user()) })
}
