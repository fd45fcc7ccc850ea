package handlerstest_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// patchingOf returns a plugin whose composition has these patches.
func patchingOf(patches ...handlers.Patch) handlers.Plugin[settings] {
	p := composingAlways(handlers.Composition{Patches: patches})
	p.Patches = func(settings) []handlers.PatchedKind {
		return []handlers.PatchedKind{{APIVersion: "v1", Kind: "Secret"}, {APIVersion: "v1", Kind: "Namespace", MetadataOnly: true}}
	}
	return p
}

func secret(change func(*corev1.Secret)) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}, Data: map[string][]byte{"a": []byte("b")}}
	if change != nil {
		change(s)
	}
	return s
}

// badPatches are composers with wrong patches.
func badPatches() map[string]badPlugin {
	of := func(object runtime.Object) handlers.Plugin[settings] {
		return patchingOf(handlers.Patch{Name: "x", Object: object})
	}
	finalized := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "status": map[string]any{"a": "b"},
		"metadata": map[string]any{"name": "a", "namespace": "default"},
	}}
	own := patchingOf(handlers.Patch{Name: "x", Object: secret(nil)})
	own.NewComposer = composingAlways(handlers.Composition{
		Children: handlers.ChildrenOf(secret(nil)), Patches: []handlers.Patch{{Name: "x", Object: secret(nil)}},
	}).NewComposer
	return map[string]badPlugin{
		"patches no such kind":  {plugin: of(configMap("a")), want: "patch x: Patches has no v1 ConfigMap"},
		"patches nothing":       {plugin: patchingOf(handlers.Patch{Name: "x"}), want: `patch "x": it has no object`},
		"patches without data":  {plugin: of(secret(func(s *corev1.Secret) { s.Data = nil })), want: "patch x: it contributes nothing"},
		"patches the nameless":  {plugin: of(secret(func(s *corev1.Secret) { s.Name = "" })), want: "patch x: metadata.name is empty"},
		"patches finalizers":    {plugin: of(secret(func(s *corev1.Secret) { s.Finalizers = []string{"a/b"} })), want: "patch x: of the metadata, want labels and annotations"},
		"patches a status":      {plugin: of(finalized), want: "patch x: a status cannot be contributed"},
		"patches its own child": {plugin: own, want: "patch x: the object is a child of the same parent"},
		"patches elsewhere": {
			plugin: of(secret(func(s *corev1.Secret) { s.Namespace = "elsewhere" })),
			want:   "patch x: it is in namespace elsewhere, its parent in default, and Patches does not say AnyNamespace",
		},
		"patches more than metadata": {
			plugin: of(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"a"}}}),
			want:   "patch x: it has spec, and Patches says MetadataOnly",
		},
		"patches twice": {
			plugin: patchingOf(handlers.Patch{Name: "x", Object: secret(nil)}, handlers.Patch{Name: "y", Object: secret(nil)}),
			want:   "patch y: another patch is of the same object",
		},
		"patches by one name": {
			plugin: patchingOf(handlers.Patch{Name: "x", Object: secret(nil)},
				handlers.Patch{Name: "x", Object: secret(func(s *corev1.Secret) { s.Name = "b" })}),
			want: "patch x: there are two of that name",
		},
	}
}

func TestCheckAcceptsGoodPatches(t *testing.T) {
	label := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: map[string]string{"a": "b"}}}
	plugin := patchingOf(handlers.PatchesOf(secret(nil), label)...)
	handlerstest.Check(t, plugin, handlerstest.Options{Configs: map[string]string{"empty": `{}`}})

	composer := handlerstest.NewComposer(t, plugin, `{}`)
	composition, err := composer.Compose(t.Context(), handlers.ComposeRequest{Object: handlerstest.Object(t, configMap("parent"))})
	if err != nil {
		t.Fatal(err)
	}
	if patch := handlerstest.Patch[*corev1.Namespace](t, composition, "Namespace/default"); patch.Labels["a"] != "b" {
		t.Errorf("the patch has the labels %v", patch.Labels)
	}
}
