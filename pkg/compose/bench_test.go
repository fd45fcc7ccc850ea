package compose

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

// three makes three ConfigMaps, as most composers do: of structs, and without looking at much.
var three = handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	var c handlers.Composition
	for _, name := range []string{"page", "style", "script"} {
		c.Children = append(c.Children, handlers.Child{Name: name, Object: &corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Name: req.Object.Name() + "-" + name, Labels: map[string]string{"app": req.Object.Name()}},
			Data:       map[string]string{"a": "some text", "b": "some more"},
		}})
	}
	c.Status = map[string]any{"children": 3}
	return c, nil
})

// BenchmarkPass is a pass in which nothing changes, of a parent with three children of which the
// metadata alone is cached: "remembered" while kooperd runs, "restarted" the first time after.
func BenchmarkPass(b *testing.B) {
	r := newRig(b, rigOptions{composer: three, metadataOnly: true})
	r.newWebsite("web", map[string]any{})
	for range 3 {
		r.mustPass(b, "web")
		r.sync()
	}
	r.asked()
	req := handlers.Request{Object: r.parent("web")}
	pass := func(b *testing.B) {
		b.Helper()
		if _, err := r.Handle(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pass(b)
		}
	})
	b.Run("restarted", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Pause()
			pass(b)
		}
	})
	if asked := r.asked(); len(asked) > 0 {
		b.Errorf("requests %v, want none", asked)
	}
}

// BenchmarkPlan plans three children that are as desired.
func BenchmarkPlan(b *testing.B) {
	c := newCluster()
	desired := desire(b, website, configMap("one", nil), configMap("two", nil), page)
	in := Input{Installation: installation, Definition: definition, Parent: website, Desired: desired}
	if err := c.execute(Plan(in)); err != nil {
		b.Fatal(err)
	}
	in.Observed = c.observed(b, website, desired, configMapKind.GroupKind())
	b.ReportAllocs()
	for b.Loop() {
		if ops := Plan(in); ops[0].Action != Skip {
			b.Fatal(words(ops))
		}
	}
}

// BenchmarkMake makes what is desired of one of a composer's children.
func BenchmarkMake(b *testing.B) {
	m := makerFor(website)
	composition, err := three(b.Context(), handlers.ComposeRequest{Object: newRig(b, rigOptions{composer: three}).newWebsite("web", nil)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.make(composition.Children[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUncoveredLeaves compares a Deployment with what is owned of it: all of it.
func BenchmarkUncoveredLeaves(b *testing.B) {
	tree := treeFrom(b, `{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a", "labels": {"app": "web"}},
		"spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
			"metadata": {"labels": {"app": "web"}},
			"spec": {"containers": [
				{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
					"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
				{"name": "log", "image": "fluent-bit", "args": ["-v", "-c", "/etc/log"]}
			]}
		}}
	}`)
	set := setOf(b, `{"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {
		"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {
			"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:resources": {"f:limits": {"f:cpu": {}, "f:memory": {}}},
				"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
				"f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}, "k:{\"name\":\"B\"}": {".": {}, "f:name": {}, "f:value": {}}}},
			"k:{\"name\":\"log\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {}}
		}}
	}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if leaves := uncoveredLeaves(tree, set); len(leaves) > 0 {
			b.Fatal(pathsOf(leaves))
		}
	}
}
