package chart

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRemoveLastComposer does what docs/removing.md says of a release: it reloads before the last
// composer goes, and then the leader lets the children and their parents go.
func TestRemoveLastComposer(t *testing.T) {
	if !*conformance {
		t.Skip("it replaces the pods of a release, and runs with -conformance only")
	}
	dir := t.TempDir()
	config, values := filepath.Join(dir, "controllers.yaml"), filepath.Join(dir, "rbac.yaml")
	write := func(onRemove string) {
		t.Helper()
		writeFile(t, config, "apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n  sites:\n    onRemove: "+onRemove+`
    watch: {apiVersion: v1, kind: ConfigMap, namespaces: [payments], labelSelector: site}
    handler:
      apply:
        deletion: ordered
        children: {page: {template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${object.metadata.name}-page"}}}}
`)
	}
	write("retain")
	writeFile(t, values, kooperd(t, "rbac", "--format", "helm-values", config))
	r := install(t, "helm4", "--values", values, "--set-file", `configFiles.controllers\.yaml=`+config,
		"--set", "image=registry.example/kooperd:v0.1.0,shutdownDelaySeconds=0")
	objects := shared.Client().CoreV1().ConfigMaps("payments")
	get := func(name string) *corev1.ConfigMap {
		found, err := objects.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return &corev1.ConfigMap{}
		}
		return found
	}
	shared.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: removed, namespace: payments, labels: {site: \"\"}}")
	eventually(t, "there is the child, and the finalizer", func() bool {
		return len(get("removed-page").Labels) > 0 && len(get("removed").Finalizers) == 1
	})

	r.change(t, r.command("upgrade", "--set", "reload=true"), r.daemons(t))
	leader, before := r.leader(t), r.deployment(t).Generation
	write("orphan")
	helm(t, r.helm, r.command("upgrade", "--set", "reload=true")...)
	leader.AwaitLog(t, "config changed", "changed", "[sites]")
	writeFile(t, config, "apiVersion: kooperd.dev/v1alpha1\nremoved: [sites]\ncontrollers: {}\n")
	helm(t, r.helm, r.command("upgrade", "--set", "reload=true")...)
	leader.AwaitLog(t, "a definition does not handle these objects any more")
	wantSame(t, "the labels of the child", len(get("removed-page").Labels), 0)
	wantSame(t, "that the child is there", get("removed-page").Name, "removed-page")
	wantSame(t, "the finalizers of the parent", len(get("removed").Finalizers), 0)
	wantSame(t, "the generation of the Deployment", r.deployment(t).Generation, before)
	for _, name := range []string{"removed", "removed-page"} {
		if err := objects.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}
