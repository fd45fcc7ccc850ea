package handlers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// composerPlugin is a valid plugin of composers.
func composerPlugin(name string) handlers.Plugin[config] {
	p := plugin(name)
	p.New = nil
	p.NewComposer = func(context.Context, handlers.Env, config) (handlers.Composer, error) {
		return handlers.Compose(composeNothing), nil
	}
	p.Owns = ownsConfigMaps
	return p
}

func ownsConfigMaps(config) []handlers.OwnedKind {
	return []handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap", MetadataOnly: true}}
}

func composeNothing(context.Context, *corev1.ConfigMap, handlers.Children) (handlers.Composition, error) {
	return handlers.Composition{}, nil
}

func bound(t *testing.T, p handlers.AnyPlugin) (handlers.Bound, error) {
	t.Helper()
	r, err := handlers.NewRegistry(p)
	if err != nil {
		t.Fatal(err)
	}
	b, problems, err := r.Bind(p.Describe().Name, nil)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return b, err
}

func TestBoundComposer(t *testing.T) {
	related := []handlers.Related{{Name: "teams", APIVersion: "v1", Kind: "Namespace"}}
	b, err := bound(t, with(composerPlugin("p"), func(p *handlers.Plugin[config]) {
		p.Reads = func(config) []handlers.Related { return related }
	}))
	if err != nil {
		t.Fatal(err)
	}
	if !b.Composes() {
		t.Error("Composes is false")
	}
	if diff := cmp.Diff(ownsConfigMaps(config{}), b.Owns()); diff != "" {
		t.Errorf("Owns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(related, b.Reads()); diff != "" {
		t.Errorf("Reads (-want +got):\n%s", diff)
	}
	if _, err := b.New(t.Context(), handlers.Env{}); err == nil {
		t.Error("New made a handler of a plugin of composers")
	}
	if _, err := b.NewComposer(t.Context(), handlers.Env{Kind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}}); err != nil {
		t.Errorf("NewComposer: %v", err)
	}
	_, err = b.NewComposer(t.Context(), handlers.Env{Kind: schema.GroupVersionKind{Version: "v1", Kind: "Secret"}})
	want := "making the composer: the composer is a function over *v1.ConfigMap (v1 ConfigMap), the watched kind is v1 Secret"
	if err == nil || err.Error() != want {
		t.Errorf("NewComposer for another kind: %v, want %s", err, want)
	}
}

func TestDescribeComposer(t *testing.T) {
	d := composerPlugin("p").Describe()
	if diff := cmp.Diff(ownsConfigMaps(config{}), d.Owns); diff != "" || !d.Composes || d.Finalizes {
		t.Errorf("Describe = %+v; Owns (-want +got):\n%s", d, diff)
	}
	if d := plugin("p").Describe(); d.Composes || len(d.Owns) > 0 {
		t.Errorf("Describe of a plugin of handlers = %+v", d)
	}
	panics := composerPlugin("p")
	panics.Owns = func(config) []handlers.OwnedKind { panic("no config is good enough") }
	if d := panics.Describe(); !d.Composes || len(d.Owns) > 0 {
		t.Errorf("Describe of a plugin whose Owns panics = %+v", d)
	}
}

func TestBindRefusesWhatAComposerSaysOfItself(t *testing.T) {
	tests := map[string]struct {
		change func(*handlers.Plugin[config])
		want   string
	}{
		"owns a kind without a version": {
			change: func(p *handlers.Plugin[config]) {
				p.Owns = func(config) []handlers.OwnedKind { return []handlers.OwnedKind{{Kind: "ConfigMap"}} }
			},
			want: `asking plugin "p" what it owns: kind "ConfigMap": it has no apiVersion`,
		},
		"reads two of one name": {
			change: func(p *handlers.Plugin[config]) {
				p.Reads = func(config) []handlers.Related {
					one := handlers.Related{Name: "a", APIVersion: "v1", Kind: "Secret"}
					return []handlers.Related{one, one}
				}
			},
			want: `asking plugin "p" what it reads: there are two named "a"`,
		},
		"patches a kind without a version": {
			change: func(p *handlers.Plugin[config]) {
				p.Patches = func(config) []handlers.PatchedKind { return []handlers.PatchedKind{{Kind: "ConfigMap"}} }
			},
			want: `asking plugin "p" what it patches: kind "ConfigMap": it has no apiVersion`,
		},
		"patches a role": {
			change: func(p *handlers.Plugin[config]) {
				p.Patches = func(config) []handlers.PatchedKind {
					return []handlers.PatchedKind{{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}}
				}
			},
			want: `asking plugin "p" what it patches: rbac.authorization.k8s.io/v1 ClusterRoleBinding: ` +
				"roles and their bindings cannot be patched, as that grants rights; own one instead",
		},
		"patches a kind twice": {
			change: func(p *handlers.Plugin[config]) {
				p.Patches = func(config) []handlers.PatchedKind {
					return []handlers.PatchedKind{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}}
				}
			},
			want: `asking plugin "p" what it patches: v1 ConfigMap is there twice`,
		},
		"reads without a name": {
			change: func(p *handlers.Plugin[config]) {
				p.Reads = func(config) []handlers.Related { return []handlers.Related{{APIVersion: "v1", Kind: "Secret"}} }
			},
			want: `asking plugin "p" what it reads: v1 Secret: it has no name`,
		},
		"reads by a name and by names": {
			change: func(p *handlers.Plugin[config]) {
				p.Reads = func(config) []handlers.Related {
					return []handlers.Related{{Name: "r", APIVersion: "v1", Kind: "Secret", ObjectName: "a", ObjectNames: []string{"b"}}}
				}
			},
			want: `asking plugin "p" what it reads: r: objectName and objectNames exclude each other`,
		},
		"reads by an empty name": {
			change: func(p *handlers.Plugin[config]) {
				p.Reads = func(config) []handlers.Related {
					return []handlers.Related{{Name: "r", APIVersion: "v1", Kind: "Secret", ObjectNames: []string{"b", ""}}}
				}
			},
			want: `asking plugin "p" what it reads: r: one of objectNames is empty`,
		},
		"reads in a namespace, and by the labels of namespaces": {
			change: func(p *handlers.Plugin[config]) {
				p.Reads = func(config) []handlers.Related {
					return []handlers.Related{{Name: "r", APIVersion: "v1", Kind: "Secret", SameNamespace: true, NamespaceSelector: &metav1.LabelSelector{}}}
				}
			},
			want: `asking plugin "p" what it reads: r: namespaceSelector excludes namespace and sameNamespace`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := bound(t, with(composerPlugin("p"), tc.change))
			if err == nil || err.Error() != tc.want {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

func TestComposeDecodesTheParent(t *testing.T) {
	c := handlers.Compose(func(_ context.Context, parent *corev1.ConfigMap, observed handlers.Children) (handlers.Composition, error) {
		if len(observed) != 1 {
			t.Errorf("%d children, want 1", len(observed))
		}
		return handlers.Composition{Status: parent.Data["items"]}, nil
	})
	got, err := c.Compose(t.Context(), handlers.ComposeRequest{
		Object: cart(), Children: handlers.Children{{Name: "x", Object: cart()}},
	})
	if err != nil || got.Status != "3" {
		t.Errorf("Compose = %v, %v", got, err)
	}
	wrong := handlers.Compose(func(context.Context, *corev1.Secret, handlers.Children) (handlers.Composition, error) {
		return handlers.Composition{}, nil
	})
	if _, err := wrong.Compose(t.Context(), handlers.ComposeRequest{Object: cart()}); !handlers.IsTerminal(err) {
		t.Errorf("Compose of another kind: %v, want a terminal error", err)
	}
}

func TestPending(t *testing.T) {
	for want, p := range map[string]handlers.Pending{
		"waiting for Secret a/b":                                {On: "Secret a/b"},
		"child web is waiting for Service a/web: has no IP yet": {Name: "web", On: "Service a/web", Why: "has no IP yet"},
	} {
		var err error = p
		if err.Error() != want {
			t.Errorf("Error() = %q, want %q", err, want)
		}
		if _, ok := errors.AsType[handlers.Pending](err); !ok {
			t.Error("errors.AsType does not find it")
		}
	}
}

func TestChildren(t *testing.T) {
	children := handlers.Children{{Name: "a", Object: cart()}, {Name: "b", Object: cart()}}
	if _, ok := children.Get("b"); !ok {
		t.Error("Get does not find b")
	}
	if _, ok := children.Get("c"); ok {
		t.Error("Get finds c")
	}
	if got := len(children.OfKind("v1", "ConfigMap")); got != 2 {
		t.Errorf("OfKind finds %d, want 2", got)
	}
	if got := len(children.OfKind("v1", "Secret")); got != 0 {
		t.Errorf("OfKind finds %d Secrets, want none", got)
	}
}
