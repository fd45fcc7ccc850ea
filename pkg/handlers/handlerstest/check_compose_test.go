package handlerstest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

type composeFunc = func(context.Context, handlers.ComposeRequest) (handlers.Composition, error)

// composing returns a plugin that Check accepts, if compose is right. It owns ConfigMaps and roles.
func composing(compose composeFunc) handlers.Plugin[settings] {
	p := good(nil)
	p.New = nil
	p.NewComposer = func(context.Context, handlers.Env, settings) (handlers.Composer, error) {
		return handlers.ComposerFunc(compose), nil
	}
	p.Owns = func(settings) []handlers.OwnedKind {
		return []handlers.OwnedKind{
			{APIVersion: "v1", Kind: "ConfigMap", MetadataOnly: true},
			{APIVersion: "v1", Kind: "Namespace"},
			{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role", RoleNames: []string{"reader"}},
			{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding", Binds: []handlers.RoleRef{{Kind: "Role", Name: "reader"}}},
		}
	}
	return p
}

// composingAlways returns a plugin whose composer gives one answer for all parents.
func composingAlways(composition handlers.Composition) handlers.Plugin[settings] {
	return composing(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) { return composition, nil })
}

// composingOf returns one whose composition has these children.
func composingOf(children ...handlers.Child) handlers.Plugin[settings] {
	return composingAlways(handlers.Composition{Children: children})
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
}

// relating is a composer that asks for related objects.
type relating struct {
	handlers.ComposerFunc
	asks []handlers.Related
}

func (r relating) Relate(context.Context, handlers.Object) ([]handlers.Related, error) {
	return r.asks, nil
}

func relatingPlugin(asks ...handlers.Related) handlers.Plugin[settings] {
	p := composing(nil)
	p.Reads = func(settings) []handlers.Related {
		return []handlers.Related{{Name: "secrets", APIVersion: "v1", Kind: "Secret", Namespace: "keys", MetadataOnly: true}}
	}
	p.NewComposer = func(context.Context, handlers.Env, settings) (handlers.Composer, error) {
		return relating{composeNothing, asks}, nil
	}
	return p
}

func composeNothing(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
	return handlers.Composition{}, nil
}

// composeFinalizing lets a parent go when its children are gone.
func composeFinalizing(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	return handlers.Composition{Finalized: req.Finalizing && len(req.Children) == 0}, nil
}

func finalizes(settings) bool { return true }

// composeAll is a composer that uses everything a composer has, and is right.
func composeAll(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	if req.Object.Namespace() == "" {
		return handlers.Composition{}, handlers.Pending{On: "a namespace"}
	}
	names := []string{}
	for _, secret := range req.Related["secrets"] {
		names = append(names, secret.Name())
	}
	first := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: req.Object.Name()}, Data: map[string]string{"secrets": strings.Join(names, " ")}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "readers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
	}
	return handlers.Composition{
		Children: []handlers.Child{
			{Name: "first", Object: first, Policy: handlers.ChildPolicy{Drift: handlers.DriftReport, Ready: func(o handlers.Object) (bool, string) {
				return len(o.Metadata().Labels) > 0, "it has no labels"
			}}},
			{Object: &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"}}, After: []string{"first"}},
			{Object: binding, After: []string{"first", "Role/reader"}},
		},
		Status:       map[string]any{"children": len(req.Children)},
		Pending:      []handlers.Pending{{Name: "second", On: "Secret keys/second"}},
		RequeueAfter: time.Hour,
		Finalized:    req.Finalizing && len(req.Children) == 0,
	}, nil
}

func TestCheckAcceptsGoodComposers(t *testing.T) {
	all := relatingPlugin()
	all.Finalizes = finalizes
	all.MetadataOnly = func(settings) bool { return true }
	all.NewComposer = func(context.Context, handlers.Env, settings) (handlers.Composer, error) {
		return relating{composeAll, []handlers.Related{{Name: "more", APIVersion: "v1", Kind: "Secret", ObjectName: "a"}}}, nil
	}
	parent := configMap("parent")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "keys", Name: "a"}, Data: map[string][]byte{"a": []byte("b")}}
	request := handlers.ComposeRequest{
		Object:   handlerstest.Object(t, parent),
		Children: handlerstest.Observed(t, handlers.Child{Name: "first", Object: configMap("parent")}, handlers.Child{Name: "old", Object: configMap("old")}),
		Related:  map[string][]handlers.Object{"secrets": {handlerstest.Object(t, secret)}},
	}
	finalizing := composing(composeFinalizing)
	finalizing.Finalizes = finalizes
	typed := composing(nil)
	typed.NewComposer = func(context.Context, handlers.Env, settings) (handlers.Composer, error) {
		return handlers.Compose(func(_ context.Context, cm *corev1.ConfigMap, _ handlers.Children) (handlers.Composition, error) {
			return handlers.Composition{Children: handlers.ChildrenOf(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: cm.Name + "-child", Namespace: cm.Namespace}})}, nil
		}), nil
	}
	tests := map[string]struct {
		plugin handlers.Plugin[settings]
		opts   handlerstest.Options
	}{
		"everything": {all, handlerstest.Options{Objects: []handlers.Object{request.Object}, Requests: []handlers.ComposeRequest{request}}},
		"finalizes":  {finalizing, handlerstest.Options{}},
		"typed": {typed, handlerstest.Options{Env: func(_ testing.TB, env *handlers.Env) {
			env.Kind = corev1.SchemeGroupVersion.WithKind("ConfigMap")
		}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.opts.Configs = map[string]string{"empty": `{}`}
			handlerstest.Check(t, tc.plugin, tc.opts)
		})
	}
}

// TestCheckComparesNoLateAnswers has a composer that takes too long for one object, as a composer
// may on a busy machine, and says something else each time.
func TestCheckComparesNoLateAnswers(t *testing.T) {
	plugin := composing(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		if req.Object.Name() != "large" {
			return handlers.Composition{}, nil
		}
		began := time.Now()
		<-ctx.Done()
		return handlers.Composition{}, fmt.Errorf("no answer within %s", time.Since(began))
	})
	opts := handlerstest.Options{Configs: map[string]string{"empty": `{}`}}
	handlerstest.Check(t, plugin, opts.WithTimeouts(50*time.Millisecond, 300*time.Millisecond))
}

// badComposers are plugins of composers that Check must refuse.
func badComposers(t *testing.T) map[string]badPlugin {
	t.Helper()
	all := map[string]badPlugin{}
	for _, more := range []map[string]badPlugin{badFunctions(t), badChildren(t), badPatches(), badAnswers(), badComposerLives()} {
		for name, bad := range more {
			all["composer "+name] = bad
		}
	}
	return all
}

// badFunctions are composers that are no functions of their requests.
func badFunctions(t *testing.T) map[string]badPlugin {
	t.Helper()
	request := handlers.ComposeRequest{
		Object: handlerstest.Object(t, configMap("parent")),
		Children: handlerstest.Observed(t,
			handlers.Child{Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"x": "y"}}},
			handlers.Child{Object: configMap("b")},
		),
	}
	var calls atomic.Int64
	template := configMap("shared")
	shared := func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		template.Data = map[string]string{"for": req.Object.Name()}
		return handlers.Composition{Children: handlers.ChildrenOf(template)}, nil
	}
	readsAll := func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		var cm corev1.ConfigMap
		if a, ok := req.Children.Get("ConfigMap/a"); ok {
			if err := a.Into(&cm); err != nil {
				return handlers.Composition{}, err
			}
		}
		return handlers.Composition{Status: cm.Data}, nil
	}
	return map[string]badPlugin{
		"counts": {
			plugin: composing(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
				return handlers.Composition{Status: map[string]any{"calls": calls.Add(1)}}, nil
			}),
			want: `composing for "deeply nested": the same request has another answer when the composer is asked again`,
		},
		"iterates over a map": {
			plugin: composing(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
				var children []handlers.Child
				for name := range map[string]bool{"a": true, "b": true, "c": true} {
					children = append(children, handlers.ChildrenOf(configMap(name))...)
				}
				return handlers.Composition{Children: children}, nil
			}),
			want: "the same request has another answer when the composer is asked again",
		},
		"remembers": {
			plugin: remembering(),
			want:   "the same request has another answer when the composer is asked in another process",
		},
		"fails with another error": {
			plugin: composing(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
				return handlers.Composition{}, fmt.Errorf("call %d", calls.Add(1))
			}),
			want: "the same request has another answer when the composer is asked again",
		},
		"shares an object between answers": {
			plugin: composing(shared),
			want:   "answers must not share what they are made of",
		},
		"sorts the children it was given": {
			plugin: composing(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
				slices.SortFunc(req.Children, func(a, b handlers.ObservedChild) int { return strings.Compare(b.Name, a.Name) })
				return handlers.Composition{}, nil
			}),
			requests: []handlers.ComposeRequest{request},
			want:     `composing for "Requests[0]": it changes its request`,
		},
		"reads what is MetadataOnly": {
			plugin:   composing(readsAll),
			requests: []handlers.ComposeRequest{request},
			want:     `composing for "Requests[0]": it reads more than the metadata of what is MetadataOnly`,
		},
	}
}

// remembering is a plugin whose composer has seen the first parent, and never forgets it.
func remembering() handlers.Plugin[settings] {
	p := composing(nil)
	p.NewComposer = func(context.Context, handlers.Env, settings) (handlers.Composer, error) {
		first := ""
		return handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
			if first == "" {
				first = req.Object.Name()
			}
			return handlers.Composition{Status: map[string]any{"first": first}}, nil
		}), nil
	}
	return p
}

// badChildren are composers with wrong children.
func badChildren(t *testing.T) map[string]badPlugin {
	t.Helper()
	named := func(object runtime.Object, after ...string) handlers.Child {
		return handlers.Child{Name: "x", Object: object, After: after}
	}
	elsewhere := configMap("a")
	elsewhere.Namespace = "elsewhere"
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "default"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "admin"}}
	var asked atomic.Bool
	ready := func(handlers.Object) (bool, string) { return asked.CompareAndSwap(false, true), "" }
	return map[string]badPlugin{
		"owns no such kind": {
			plugin: composingOf(named(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}})),
			want:   "child x: Owns has no v1 Secret",
		},
		"owns another version": {
			plugin: composingOf(handlers.Child{Object: &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "rbac.authorization.k8s.io/v1beta1", "kind": "Role", "metadata": map[string]any{"name": "reader"},
			}}}),
			want: "child Role/reader: Owns has no rbac.authorization.k8s.io/v1beta1 Role",
		},
		"in another namespace": {
			plugin: composingOf(named(elsewhere)),
			want:   "child x: it is in namespace elsewhere, its parent in default, and Owns does not say AnyNamespace",
		},
		"without a namespace": {
			plugin:   composingOf(named(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}})),
			requests: []handlers.ComposeRequest{{Object: handlerstest.Object(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}})}},
			want:     "child x: metadata.namespace is empty, and the parent has no namespace",
		},
		"with a namespace": {
			plugin: composingOf(named(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}})),
			want:   "child x: the kind is cluster-scoped, and metadata.namespace is default",
		},
		"without a name": {
			plugin: composingOf(named(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-", Namespace: "default"}})),
			want:   "child x: metadata.name is empty",
		},
		"no object":   {plugin: composingOf(handlers.Child{Name: "x"}), want: `child "x": it has no object`},
		"nil pointer": {plugin: composingOf(named((*corev1.ConfigMap)(nil))), want: `child "x": it has no object`},
		"no kind":     {plugin: composingOf(named(&unstructured.Unstructured{})), want: `child "x": `},
		"the same name twice": {
			plugin: composingOf(named(configMap("a")), named(configMap("b"))),
			want:   "child x: there are two of that name",
		},
		"the same object twice": {
			plugin: composingOf(named(configMap("a")), handlers.Child{Name: "y", Object: configMap("a")}),
			want:   "child y: another child is the same object",
		},
		"another role": {
			plugin: composingOf(named(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "admin", Namespace: "default"}})),
			want:   "child x: RoleNames in Owns has no admin",
		},
		"another binding": {plugin: composingOf(named(binding)), want: "child x: Binds in Owns has no ClusterRole admin"},
		"after nothing":   {plugin: composingOf(named(configMap("a"), "y")), want: "child x: it comes after child y, which there is not"},
		"a cycle": {
			plugin: composingOf(named(configMap("a"), "y"), handlers.Child{Name: "y", Object: configMap("b"), After: []string{"x"}}),
			want:   "child x: it comes after itself",
		},
		"drift policy": {
			plugin: composingOf(handlers.Child{Name: "x", Object: configMap("a"), Policy: handlers.ChildPolicy{Drift: "fixed"}}),
			want:   `child x: there is no drift policy "fixed"`,
		},
		"conflicts policy": {
			plugin: composingOf(handlers.Child{Name: "x", Object: configMap("a"), Policy: handlers.ChildPolicy{Conflicts: "fight"}}),
			want:   `child x: there is no conflicts policy "fight"`,
		},
		"update policy": {
			plugin: composingOf(handlers.Child{Name: "x", Object: configMap("a"), Policy: handlers.ChildPolicy{Update: "replace"}}),
			want:   `child x: there is no update policy "replace"`,
		},
		"generate": {
			plugin: composingOf(handlers.Child{Name: "x", Object: configMap("a"), Generate: renames}),
			want:   `child x: Generate is for the update policy createOnly`,
		},
		"generate a name": {
			plugin: composingOf(handlers.Child{
				Name: "x", Object: configMap("a"), Generate: renames, Policy: handlers.ChildPolicy{Update: handlers.UpdateCreateOnly},
			}),
			want: `child x: Generate changes apiVersion, kind, name or namespace`,
		},
		"whenGone policy": {
			plugin: composingOf(handlers.Child{Name: "x", Object: configMap("a"), Policy: handlers.ChildPolicy{WhenGone: "again"}}),
			want:   `child x: there is no whenGone policy "again"`,
		},
		"data loss": {
			plugin: composingOf(handlers.Child{Name: "x", Object: configMap("a"), Policy: handlers.ChildPolicy{AllowDataLoss: true}}),
			want:   `child x: AllowDataLoss is for the update policy recreate`,
		},
		"ready": {
			plugin: composingOf(handlers.Child{Name: "x", Object: configMap("a"), Policy: handlers.ChildPolicy{Ready: ready}}),
			want:   `child x: Ready says true "", and then false "" of the same object`,
		},
	}
}

// marking is a plugin that sets labels or annotations of parents.
func marking(composition handlers.Composition) handlers.Plugin[settings] {
	p := composingAlways(composition)
	p.Marks = func(settings) bool { return true }
	return p
}

// badAnswers are composers whose answers are wrong but for the children.
func badAnswers() map[string]badPlugin {
	waits := composing(composeNothing)
	waits.Finalizes = finalizes
	return map[string]badPlugin{
		"status is no object": {
			plugin: composingAlways(handlers.Composition{Status: "fine"}),
			want:   "the status is a string, which is no JSON object",
		},
		"status does not encode": {
			plugin: composingAlways(handlers.Composition{Status: map[string]any{"f": func() {}}}),
			want:   "encoding the status: json: unsupported type",
		},
		"a label that it does not declare": {
			plugin: composingAlways(handlers.Composition{Labels: map[string]*string{"a": nil}}),
			want:   "it sets a label of the parent, and Marks does not say so",
		},
		"an annotation of kooperd": {
			plugin: marking(handlers.Composition{Annotations: map[string]*string{"kooperd.dev/paused": nil}}),
			want:   "annotation kooperd.dev/paused of the parent is kooperd's own",
		},
		"a name that is none": {
			plugin: marking(handlers.Composition{Annotations: map[string]*string{"a b": new("x")}}),
			want:   `annotation "a b" of the parent: name part must consist of alphanumeric characters`,
		},
		"a value that is none": {
			plugin: marking(handlers.Composition{Labels: map[string]*string{"a": new("b c")}}),
			want:   "label a of the parent: a valid label must be an empty string or consist of alphanumeric characters",
		},
		"status is too large": {
			plugin: composingAlways(handlers.Composition{Status: map[string]any{"text": strings.Repeat("a", 32<<10)}}),
			want:   "the status has 32779 bytes, at most 32768 are allowed",
		},
		"negative requeue": {
			plugin: composingAlways(handlers.Composition{RequeueAfter: -time.Second}),
			want:   "RequeueAfter is -1s",
		},
		"pending on nothing": {
			plugin: composingAlways(handlers.Composition{Pending: []handlers.Pending{{Name: "x"}}}),
			want:   `pending "x": it does not say on what`,
		},
		"relates what it does not read": {
			plugin: relatingPlugin(handlers.Related{Name: "pods", APIVersion: "v1", Kind: "Pod"}),
			want:   "related pods: Reads has no such v1 Pod",
		},
		"relates other names": {
			plugin: func() handlers.Plugin[settings] {
				p := relatingPlugin(handlers.Related{Name: "s", APIVersion: "v1", Kind: "Secret", ObjectNames: []string{"b"}})
				p.Reads = func(settings) []handlers.Related {
					return []handlers.Related{{Name: "secrets", APIVersion: "v1", Kind: "Secret", ObjectNames: []string{"a"}}}
				}
				return p
			}(),
			want: "related s: Reads has no such v1 Secret",
		},
		"relates by the labels of namespaces": {
			plugin: relatingPlugin(handlers.Related{Name: "s", APIVersion: "v1", Kind: "Secret", NamespaceSelector: &metav1.LabelSelector{}}),
			want:   "related s: it has a NamespaceSelector, and nothing in Reads has one",
		},
		"relates what cannot be": {
			plugin: relatingPlugin(handlers.Related{Name: "s", APIVersion: "v1", Kind: "Secret", ObjectName: "a", ObjectNames: []string{"b"}}),
			want:   "related s: objectName and objectNames exclude each other",
		},
		"relates in another namespace": {
			plugin: relatingPlugin(handlers.Related{Name: "keys", APIVersion: "v1", Kind: "Secret", Namespace: "default"}),
			want:   "related keys: Reads has no such v1 Secret",
		},
		"relates without a name": {
			plugin: relatingPlugin(handlers.Related{APIVersion: "v1", Kind: "Secret"}),
			want:   `related "": want names, each once`,
		},
		"never lets its parent go": {
			plugin: waits,
			want:   `composing for "being deleted": the parent is being deleted and has no children left, and Finalized is false`,
		},
		"fails always": {
			plugin: composing(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
				return handlers.Composition{}, errors.New("no")
			}),
			want: "every call fails, so there is no answer to look at: give objects of the watched kind in Options",
		},
	}
}

// badComposerLives are composers that begin, run or end in a wrong way.
func badComposerLives() map[string]badPlugin {
	never := make(chan struct{})
	fails := composing(nil)
	fails.NewComposer = func(context.Context, handlers.Env, settings) (handlers.Composer, error) {
		return nil, errors.New("no luck")
	}
	closes := composing(nil)
	closes.NewComposer = func(context.Context, handlers.Env, settings) (handlers.Composer, error) {
		return &composerClosedOnce{composeNothing, closesOnce{}}, nil
	}
	return map[string]badPlugin{
		"constructor fails": {plugin: fails, want: `making the composer of definition "test": no luck`},
		"panic": {
			plugin: composing(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
				return handlers.Composition{}, errors.New(req.Object.Metadata().Labels["app"][:1])
			}),
			want: `composing for "minimal": panic: runtime error`,
		},
		"deaf to its context": {
			plugin: composing(func(ctx context.Context, _ handlers.ComposeRequest) (handlers.Composition, error) {
				if ctx.Err() != nil {
					<-never
				}
				return handlers.Composition{}, nil
			}),
			want: "the call goes on 100ms after its context has ended",
		},
		"leaks a goroutine": {
			plugin: composing(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
				go func() { <-never }()
				return handlers.Composition{}, nil
			}),
			want: "goroutines outlive the composer",
		},
		"close fails": {plugin: closes, want: "closing the composer: closed already"},
	}
}

type composerClosedOnce struct {
	handlers.ComposerFunc
	once closesOnce
}

func (c *composerClosedOnce) Close() error { return c.once.Close() }

// renames is a Generate that changes the name.
func renames(_ context.Context, object *unstructured.Unstructured) error {
	object.SetName(object.GetName() + "-2")
	return nil
}
