package hook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// rolling is a config whose Deployments are updated one after the other.
func rolling(checks ...hook.StatusCheck) hook.Config {
	return hook.Config{Children: []hook.Child{
		{APIVersion: "apps/v1", Kind: "Deployment", Policies: handlers.Policies{Update: hook.RollingInPlace}, StatusChecks: checks},
		{APIVersion: "v1", Kind: "ConfigMap"},
	}}
}

// rollingBy is rolling with that history.
func rollingBy(h hook.RevisionHistory) hook.Config {
	c := rolling()
	c.RevisionHistory = &h
	return c
}

// servers is a hook that answers with a ConfigMap and Deployments of the image that the parent
// says, as many as it says.
type servers struct {
	calls  []string // the images that it has been asked about
	status string   // default: an empty object
}

func (s *servers) Call(_ context.Context, call hook.Call) ([]byte, error) {
	var request struct {
		Parent struct {
			Spec struct {
				Image    string
				Replicas int
			}
		}
		Children map[string]any
	}
	if err := json.Unmarshal(call.Body, &request); err != nil {
		return nil, err
	}
	if len(request.Children) != 2 {
		return nil, fmt.Errorf("the hook sees %v", slices.Collect(maps.Keys(request.Children)))
	}
	spec := request.Parent.Spec
	s.calls = append(s.calls, spec.Image)
	children := []string{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"all"},"data":{"image":"` + spec.Image + `"}}`}
	for i := range spec.Replicas {
		children = append(children, fmt.Sprintf(
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"s%d"},"spec":{"image":%q}}`, i, spec.Image))
	}
	status := s.status
	if status == "" {
		status = "{}"
	}
	resync := len(s.calls)
	return []byte(fmt.Sprintf(`{"status":%s,"resyncAfterSeconds":%d,"finalized":%t,"children":[%s]}`,
		status, resync, spec.Image != "busy", strings.Join(children, ","))), nil
}

// world is a cluster that does what a composition says.
type world struct {
	t        *testing.T
	composer handlers.Composer
	hook     *servers
	objects  map[string]*unstructured.Unstructured // by the names of the children
	parent   string                                // its spec, as YAML
	status   map[string]any                        // nil is one without the condition
	last     handlers.Composition
	// settle changes a child that has been written.
	settle func(name string, u *unstructured.Unstructured)
}

func newWorld(t *testing.T, c hook.Config) *world {
	t.Helper()
	caller := &servers{}
	return &world{t: t, composer: newComposer(t, c, hook.Hooks{Finalize: true}, caller), hook: caller, objects: map[string]*unstructured.Unstructured{}}
}

func (w *world) request() handlers.ComposeRequest {
	w.t.Helper()
	req := handlers.ComposeRequest{Object: object(w.t, strings.TrimSuffix(website, "}")+`, spec: `+w.parent+`, status: {old: 1, observedGeneration: 3, conditions: [{type: Ready}]}}`)}
	if w.status != nil {
		text, err := req.Object.JSON()
		if err != nil {
			w.t.Fatal(err)
		}
		var u unstructured.Unstructured
		if err := u.UnmarshalJSON(text); err != nil {
			w.t.Fatal(err)
		}
		u.Object["status"] = w.status
		o, err := handlers.ObjectOf(&u)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Object = o
	}
	for _, name := range slices.Sorted(maps.Keys(w.objects)) {
		o, err := handlers.ObjectOf(w.objects[name].DeepCopy())
		if err != nil {
			w.t.Fatal(err)
		}
		req.Children = append(req.Children, handlers.ObservedChild{Name: name, Object: o})
	}
	return req
}

// step composes once and writes what has to be. It returns the names of what was made, changed and
// deleted.
func (w *world) step() (written []string) {
	w.t.Helper()
	w.hook.calls = nil
	composition, err := w.composer.Compose(w.t.Context(), w.request())
	if err != nil {
		w.t.Fatal(err)
	}
	w.last = composition
	desired := map[string]bool{}
	for _, child := range composition.Children {
		desired[child.Name] = true
		made := child.Object.(*unstructured.Unstructured).DeepCopy()
		made.SetNamespace("team-a")
		old := w.objects[child.Name]
		if old != nil {
			made.SetGeneration(old.GetGeneration())
			if status, there := old.Object["status"]; there {
				made.Object["status"] = status
			}
			if cmp.Equal(old.Object, made.Object) {
				continue
			}
		}
		made.SetGeneration(made.GetGeneration() + 1)
		w.objects[child.Name] = made
		if w.settle != nil {
			w.settle(child.Name, made)
		}
		written = append(written, child.Name)
	}
	for name := range w.objects {
		if !desired[name] {
			delete(w.objects, name)
			written = append(written, "-"+strings.Split(name, "/")[0])
		}
	}
	for i, name := range written {
		if strings.HasPrefix(name, "ControllerRevision.apps/shop-") {
			written[i] = "revision"
		}
	}
	slices.Sort(written)
	return written
}

// condition is the condition Updated of the last answer.
func (w *world) condition() string {
	w.t.Helper()
	status, _ := w.last.Status.(map[string]any)
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Updated" {
			return fmt.Sprintf("%s %s", c["status"], c["reason"])
		}
	}
	return "none"
}

func (w *world) wantStep(condition string, written ...string) {
	w.t.Helper()
	got := w.step()
	if diff := cmp.Diff(written, got); diff != "" {
		w.t.Errorf("written (-want +got):\n%s", diff)
	}
	if have := w.condition(); have != condition {
		w.t.Errorf("the condition is %q, want %q: %v", have, condition, w.last.Status)
	}
}

const (
	onLatest    = "True OnLatestRevision"
	progressing = "False RolloutProgressing"
	waiting     = "False RolloutWaiting"
)

// TestRollout changes a parent: one Deployment at a time follows, and everything else at once.
func TestRollout(t *testing.T) {
	w := newWorld(t, rolling())
	w.parent = `{image: a, replicas: 3}`
	w.wantStep(onLatest, "ConfigMap/all", "Deployment.apps/s0", "Deployment.apps/s1", "Deployment.apps/s2", "revision")
	w.wantStep(onLatest)
	w.parent = `{image: b, replicas: 3}`
	w.wantStep(progressing, "ConfigMap/all", "Deployment.apps/s0", "revision")
	if diff := cmp.Diff([]string{"b", "a"}, w.hook.calls); diff != "" {
		t.Errorf("the hook is asked about (-want +got):\n%s", diff)
	}
	if w.last.RequeueAfter.Seconds() != 1 {
		t.Errorf("the next call comes after %s, want the shorter time, 1s", w.last.RequeueAfter)
	}
	w.wantStep(progressing, "Deployment.apps/s1")
	w.wantStep(progressing, "-ControllerRevision.apps", "Deployment.apps/s2")
	w.wantStep(onLatest)
	if diff := cmp.Diff([]string{"b"}, w.hook.calls); diff != "" {
		t.Errorf("the hook is asked about (-want +got):\n%s", diff)
	}
}

// TestRolloutTurnsBack changes the parent back, and to a third state, before the update is through.
func TestRolloutTurnsBack(t *testing.T) {
	w := newWorld(t, rolling())
	w.parent = `{image: a, replicas: 3}`
	w.step()
	w.parent = `{image: b, replicas: 3}`
	w.step()
	w.parent = `{image: a, replicas: 3}`
	w.wantStep(progressing, "-ControllerRevision.apps", "ConfigMap/all", "Deployment.apps/s0")
	w.wantStep(onLatest)
	w.parent = `{image: b, replicas: 3}`
	w.step()
	w.parent = `{image: c, replicas: 3}`
	w.wantStep(progressing, "-ControllerRevision.apps", "ConfigMap/all", "Deployment.apps/s0", "revision")
	w.wantStep(progressing, "Deployment.apps/s1")
	w.wantStep(progressing, "-ControllerRevision.apps", "Deployment.apps/s2")
	w.wantStep(onLatest)
}

// TestRolloutMakesAndDeletesAtOnce changes the number of children: that waits for nothing.
func TestRolloutMakesAndDeletesAtOnce(t *testing.T) {
	w := newWorld(t, rolling())
	w.parent = `{image: a, replicas: 2}`
	w.step()
	w.parent = `{image: b, replicas: 4}`
	w.wantStep(waiting, "ConfigMap/all", "Deployment.apps/s2", "Deployment.apps/s3", "revision")
	w.wantStep(progressing, "Deployment.apps/s0")
	w.parent = `{image: b, replicas: 2}`
	w.step()
	w.step()
	w.wantStep(onLatest)
	if _, there := w.objects["Deployment.apps/s3"]; there {
		t.Error("a child that is not wanted any more is still there")
	}
}

// TestRolloutChecks has a Deployment that does not become available: the next ones wait.
func TestRolloutChecks(t *testing.T) {
	w := newWorld(t, rolling(hook.StatusCheck{Type: "Available", Status: "True", Reason: "Fine"}))
	available := func(u *unstructured.Unstructured, status, reason string) {
		u.Object["status"] = map[string]any{
			"observedGeneration": u.GetGeneration(),
			"conditions":         []any{map[string]any{"type": "Available", "status": status, "reason": reason}},
		}
	}
	w.settle = func(name string, u *unstructured.Unstructured) {
		if strings.HasPrefix(name, "Deployment") {
			available(u, "True", "Fine")
		}
	}
	w.parent = `{image: a, replicas: 2}`
	w.step()
	w.parent = `{image: b, replicas: 2}`
	w.settle = nil // The status is that of the generation before.
	w.wantStep(progressing, "ConfigMap/all", "Deployment.apps/s0", "revision")
	first := w.objects["Deployment.apps/s0"]
	for _, tt := range []struct {
		change func()
		want   string
	}{
		{func() {}, "has not seen its last change yet"},
		{func() { available(first, "False", "Fine") }, `has the condition Available "False", want "True"`},
		{func() { available(first, "True", "Luck") }, `has the condition Available for the reason "Luck", want "Fine"`},
		{func() { first.Object["status"] = map[string]any{} }, "has no condition Available"},
		{func() { delete(first.Object, "status") }, "has no condition Available"},
	} {
		tt.change()
		w.wantStep(waiting)
		if text := fmt.Sprint(w.last.Status); !strings.Contains(text, ": Deployment.apps/s0 "+tt.want) {
			t.Errorf("the status is %s, want in it %q", text, tt.want)
		}
	}
	available(first, "True", "Fine")
	w.wantStep(progressing, "-ControllerRevision.apps", "Deployment.apps/s1")
	w.wantStep(onLatest)
}

func TestRolloutRecreates(t *testing.T) {
	c := rolling()
	c.Children[0].Update = hook.RollingRecreate
	w := newWorld(t, c)
	w.parent = `{image: a, replicas: 2}`
	w.step()
	if policy := w.last.Children[1].Policy.Update; policy != handlers.UpdateRecreate {
		t.Errorf("the update policy is %q, want recreate", policy)
	}
	w.parent = `{image: b, replicas: 2}`
	w.step()
	delete(w.objects, "Deployment.apps/s0") // It was deleted to be made again.
	w.wantStep(waiting, "Deployment.apps/s0")
	w.wantStep(progressing, "-ControllerRevision.apps", "Deployment.apps/s1")
}

func TestRolloutStatus(t *testing.T) {
	tests := map[string]map[string]any{
		`{"n":1}`: {"n": int64(1), "conditions": 1},
		`{"conditions":[{"type":"Mine"},{"type":"Updated","status":"Unknown"}]}`: {"conditions": 2},
	}
	for status, want := range tests {
		w := newWorld(t, rolling())
		w.hook.status, w.parent = status, `{image: a, replicas: 1}`
		w.step()
		got, _ := w.last.Status.(map[string]any)
		conditions, _ := got["conditions"].([]any)
		got["conditions"] = len(conditions)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("status after %s (-want +got):\n%s", status, diff)
		}
	}
	w := newWorld(t, rolling())
	w.hook.status, w.parent = "null", `{image: a, replicas: 1}`
	w.step()
	if got, ok := w.last.Status.(handlers.Conditions); !ok || len(got) != 1 || got[0]["type"] != "Updated" {
		t.Errorf("where the hook leaves the status alone, it is %v, want the condition alone", w.last.Status)
	}
	w = newWorld(t, rolling())
	w.hook.status, w.parent = `{"conditions":{}}`, `{image: a, replicas: 1}`
	_, err := w.composer.Compose(t.Context(), w.request())
	wantError(t, err, "sync hook: status.conditions: is an object, want a list")
}

// TestRolloutFinalizes lets a parent go when all revisions agree.
func TestRolloutFinalizes(t *testing.T) {
	w := newWorld(t, rolling())
	w.parent = `{image: busy, replicas: 2}`
	w.step()
	w.parent = `{image: b, replicas: 2}`
	w.step()
	req := w.request()
	req.Finalizing = true
	composition, err := w.composer.Compose(t.Context(), req)
	if err != nil || composition.Finalized {
		t.Errorf("have %t and %v, want that it stays while a child of the first revision does", composition.Finalized, err)
	}
	w.step()
	w.step()
	req = w.request()
	req.Finalizing = true
	if composition, err = w.composer.Compose(t.Context(), req); err != nil || !composition.Finalized {
		t.Errorf("have %t and %v, want that it goes", composition.Finalized, err)
	}
}

// TestRolloutWithoutANamespace has a parent that belongs to none.
func TestRolloutWithoutANamespace(t *testing.T) {
	composer := newComposer(t, rolling(), hook.Hooks{}, &servers{})
	_, err := composer.Compose(t.Context(), handlers.ComposeRequest{Object: object(t, tenant)})
	wantError(t, err, "sync hook: children cannot be updated one after the other: the parent has no namespace, in which its revisions could be kept; revisionHistory.namespace names one")

	answer := `{"children":[{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"s","namespace":"a"}}]}`
	caller := &scripted{answers: map[hook.Name]string{hook.Sync: answer}}
	composer = newComposer(t, rollingBy(hook.RevisionHistory{Namespace: "revisions"}), hook.Hooks{}, caller)
	composition, err := composer.Compose(t.Context(), handlers.ComposeRequest{Object: object(t, tenant)})
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	for _, child := range composition.Children {
		u := child.Object.(*unstructured.Unstructured)
		made[u.GetKind()] = u.GetNamespace()
	}
	if diff := cmp.Diff(map[string]string{"Deployment": "a", "ControllerRevision": "revisions"}, made); diff != "" {
		t.Errorf("the namespaces are (-want +got):\n%s", diff)
	}
	if body := string(caller.last(t).Body); strings.Contains(body, "revisionHistory") {
		t.Errorf("the hook is told where revisions are: %s", body)
	}
}

func TestRevisionHistory(t *testing.T) {
	c := rolling()
	c.RevisionHistory = &hook.RevisionHistory{FieldPaths: []string{"spec.image", "spec.absent"}}
	w := newWorld(t, c)
	w.parent = `{image: a, replicas: 1}`
	w.step()
	revision := w.last.Children[len(w.last.Children)-1].Object.(*unstructured.Unstructured)
	if diff := cmp.Diff(map[string]any{"spec": map[string]any{"image": "a"}}, revision.Object["data"]); diff != "" {
		t.Errorf("the revision has (-want +got):\n%s", diff)
	}
	if revision.Object["revision"] != int64(1) {
		t.Errorf("the number of the revision is %v", revision.Object["revision"])
	}
	w.parent = `{image: a, replicas: 2}`
	w.wantStep(onLatest, "Deployment.apps/s1") // The number makes no revision.
	w.parent = `{image: b, replicas: 2}`
	w.wantStep(progressing, "ConfigMap/all", "Deployment.apps/s0", "revision")
	owns := hook.Owns(c)
	if owned := owns[len(owns)-1]; owned.APIVersion != "apps/v1" || owned.Kind != "ControllerRevision" {
		t.Errorf("owns %+v", owns)
	}
}

// TestRevisionHistoryChanges has other fields make a revision: what was noted before does not say
// what the parent was, so nothing waits.
func TestRevisionHistoryChanges(t *testing.T) {
	c := rolling()
	c.RevisionHistory = &hook.RevisionHistory{FieldPaths: []string{"spec.image"}}
	w := newWorld(t, c)
	w.parent = `{image: a, replicas: 2}`
	w.step()
	c.RevisionHistory = nil
	w.composer = newComposer(t, c, hook.Hooks{}, w.hook)
	w.wantStep(onLatest, "-ControllerRevision.apps", "Deployment.apps/s0", "Deployment.apps/s1", "revision")
	if diff := cmp.Diff([]string{"a"}, w.hook.calls); diff != "" {
		t.Errorf("the hook is asked about (-want +got):\n%s", diff)
	}
}

// TestRolloutNamesTheRevision has a hook that fails for the parent as it was.
func TestRolloutNamesTheRevision(t *testing.T) {
	w := newWorld(t, rolling())
	w.parent = `{image: a, replicas: 2}`
	w.step()
	w.parent = `{image: b, replicas: 2}`
	caller := hook.CallerFunc(func(ctx context.Context, call hook.Call) ([]byte, error) {
		if strings.Contains(string(call.Body), `"image":"a"},"status"`) || strings.Contains(string(call.Body), `"image":"a","replicas"`) {
			return nil, errTest
		}
		return w.hook.Call(ctx, call)
	})
	_, err := newComposer(t, rolling(), hook.Hooks{}, caller).Compose(t.Context(), w.request())
	wantError(t, err, "sync hook: asking about the revision shop-")
	wantError(t, err, ", by which children are made that are not updated yet: as the test wants")
}
