package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// keys makes one ConfigMap for each name in spec.children, in order if spec.ordered is set.
var keys = handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	var site struct {
		Spec struct {
			Children []string `json:"children"`
			Data     string   `json:"data"`
			Ordered  bool     `json:"ordered"`
			Fail     bool     `json:"fail"`
			Report   bool     `json:"report"`
		} `json:"spec"`
	}
	if err := req.Object.Into(&site); err != nil {
		return handlers.Composition{}, err
	}
	if site.Spec.Fail {
		return handlers.Composition{}, errors.New("the spec says that it fails")
	}
	c := handlers.Composition{Status: map[string]any{"children": len(req.Children)}}
	for i, name := range site.Spec.Children {
		child := keyChild(req.Object.Name(), name, site.Spec.Data)
		if site.Spec.Ordered && i > 0 {
			child.After = site.Spec.Children[i-1 : i]
		}
		if site.Spec.Report {
			child.Policy.Drift = handlers.DriftReport
		}
		c.Children = append(c.Children, child)
	}
	return c, nil
})

// keyChild is one of the children.
func keyChild(parent, name, data string) handlers.Child {
	return handlers.Child{
		Name: name, Object: untyped(configMapKind, "", parent+"-"+name, map[string]any{"data": map[string]any{"data": data}}),
	}
}

func names(n int) []any {
	var all []any
	for i := range n {
		all = append(all, string(rune('a'+i)))
	}
	return all
}

// setSpec changes a website.
func (r *rig) setSpec(name string, change map[string]any) {
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", name), "kubectl", func(tree map[string]any) {
			maps.Copy(object(tree, "spec"), change)
		})
	})
}

const statusPath = "PATCH /apis/demo.kooperd.dev/v1/namespaces/team-a/websites/web/status"

func configMapPath(name string) string { return "/api/v1/namespaces/team-a/configmaps/" + name }

func TestPassMakesOneRequestForEachChange(t *testing.T) {
	for _, metadataOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("metadataOnly %v", metadataOnly), func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys, metadataOnly: metadataOnly})
			r.newWebsite("web", map[string]any{"children": names(3), "data": "1"})
			expect := func(what string, want ...string) {
				t.Helper()
				if got := r.asked(); !slices.Equal(got, want) {
					t.Errorf("%s: requests %v, want %v", what, got, want)
				}
			}
			r.mustPass(t, "web")
			expect("a new parent", "PATCH "+configMapPath("web-a"), "PATCH "+configMapPath("web-b"), "PATCH "+configMapPath("web-c"), statusPath)
			r.mustPass(t, "web")
			expect("again, before the caches have it")
			if called := r.sync(); len(called) > 0 {
				t.Errorf("our own writes call %v", called)
			}
			r.mustPass(t, "web")
			expect("again")
			r.Pause()
			r.mustPass(t, "web")
			expect("after a restart")
			r.setSpec("web", map[string]any{"data": "2", "children": names(2)})
			if called := r.sync(); len(called) != 1 {
				t.Errorf("a change of the parent calls %v", called)
			}
			r.mustPass(t, "web")
			expect("a change", "DELETE "+configMapPath("web-c"), "PATCH "+configMapPath("web-a"), "PATCH "+configMapPath("web-b"), statusPath)
			if called := r.sync(); len(called) > 0 {
				t.Errorf("our own writes call %v", called)
			}
			r.mustPass(t, "web")
			r.asked()
			r.server.do(func(c *cluster) { c.edit(idOf(configMapKind, "team-a", "web-a"), "kubectl", withData("data", "3")) })
			if called := r.sync(); len(called) != 1 {
				t.Errorf("drift calls %v", called)
			}
			r.mustPass(t, "web")
			expect("drift", "PATCH "+configMapPath("web-a"))
		})
	}
}

func TestPassReadsWhatItKnowsInPartOnce(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys, metadataOnly: true})
	r.newWebsite("web", map[string]any{"children": names(1), "data": "1", "report": true})
	r.mustPass(t, "web")
	r.sync()
	id := idOf(configMapKind, "team-a", "web-a")
	r.server.do(func(c *cluster) {
		c.edit(id, "kubectl", withData("data", "2"))
		c.edit(id, "kubectl", withData("data", "1"))
	})
	r.sync()
	r.asked()
	r.mustPass(t, "web")
	if got, want := r.asked(), []string{"GET " + configMapPath("web-a")}; !slices.Equal(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
	r.mustPass(t, "web")
	if got := r.asked(); len(got) > 0 {
		t.Errorf("the next pass makes requests: %v", got)
	}
}

func TestPassFollowsAChain(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(6), "ordered": true})
	if result := r.mustPass(t, "web"); result.RequeueAfter != 0 {
		t.Errorf("result %+v", result)
	}
	r.server.do(func(c *cluster) {
		var want []string
		for _, name := range names(6) {
			want = append(want, fmt.Sprintf("create ConfigMap team-a/web-%s", name))
		}
		if got := c.writes[1:7]; !slices.Equal(got, want) {
			t.Errorf("writes %v, want %v", got, want)
		}
	})
}

func TestPassEndsWhenTheComposerDoesNot(t *testing.T) {
	rounds := 0
	r := newRig(t, rigOptions{composer: handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		rounds++
		return handlers.Composition{
			Children:     []handlers.Child{configMap("page", map[string]any{"n": fmt.Sprint(rounds)})},
			RequeueAfter: time.Hour,
		}, nil
	})})
	r.newWebsite("web", nil)
	if result := r.mustPass(t, "web"); result.RequeueAfter != time.Second {
		t.Errorf("it is called again after %s, want a second", result.RequeueAfter)
	}
	if rounds != maxRounds {
		t.Errorf("%d calls, want %d", rounds, maxRounds)
	}
}

func TestPassDeletesNothingWhenNotAllIsKnown(t *testing.T) {
	base := map[string]any{"children": names(2), "data": "1"}
	tests := map[string]struct {
		change func(r *rig)
		failed bool
	}{
		"an error": {change: func(r *rig) { r.setSpec("web", map[string]any{"fail": true}) }, failed: true},
		"a child that is refused": {
			change: func(r *rig) {
				r.server.do(func(c *cluster) { c.edit(idOf(configMapKind, "team-a", "web-z"), "kubectl", withData("a", "b")) })
				r.setSpec("web", map[string]any{"children": []any{"z"}})
			},
			failed: true,
		},
		"a child that cannot be applied": {
			change: func(r *rig) {
				r.server.answer = func(w http.ResponseWriter, asked request) bool {
					if asked.method == http.MethodPatch && asked.path == configMapPath("web-z") {
						sendError(w, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "web-z", errors.New("as the test wants")))
						return true
					}
					return false
				}
				r.setSpec("web", map[string]any{"children": []any{"z"}})
			},
			failed: true,
		},
		"a parent that is gone": {
			change: func(r *rig) {
				r.setSpec("web", map[string]any{"children": []any{}})
				handed := func() { r.sync(); r.parents.objects = nil }
				handed()
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys})
			r.newWebsite("web", base)
			r.mustPass(t, "web")
			r.sync()
			parent := r.parent("web")
			tc.change(r)
			if now := r.parent("web"); now != nil {
				r.sync()
				parent = r.parent("web")
			} else {
				r.server.do(func(c *cluster) { parent, _ = c.objects[idOf(websiteKind, "team-a", "web")].read(false) })
			}
			r.asked()
			_, err := r.Handle(t.Context(), handlers.Request{Object: parent})
			if (err != nil) != tc.failed {
				t.Errorf("error %v", err)
			}
			for _, one := range r.asked() {
				if strings.HasPrefix(one, "DELETE") {
					t.Errorf("%s", one)
				}
			}
		})
	}
}

// TestPassSurvivesAnyFailure makes the k-th request of a story fail, for every k, in each of the
// ways a request can, and shows that calls that are repeated until there is no error lead to the
// same end.
func TestPassSurvivesAnyFailure(t *testing.T) {
	reset := func(w http.ResponseWriter, _ request) { resetConnection(w) }
	answer := func(err error) func(http.ResponseWriter, request) {
		return func(w http.ResponseWriter, _ request) { sendError(w, err) }
	}
	resource := schema.GroupResource{Resource: "configmaps"}
	failures := map[string]struct {
		fail func(http.ResponseWriter, request)
		done bool // the request is carried out nevertheless
	}{
		"500":                         {fail: answer(apierrors.NewInternalError(errDamaged))},
		"429":                         {fail: answer(apierrors.NewTooManyRequests("busy", 0))},
		"409":                         {fail: answer(apierrors.NewConflict(resource, "x", errDamaged))},
		"403":                         {fail: answer(apierrors.NewForbidden(resource, "x", errDamaged))},
		"404":                         {fail: answer(apierrors.NewNotFound(resource, "x"))},
		"reset":                       {fail: reset},
		"reset after it was done":     {fail: reset, done: true},
		"500 after it was done":       {fail: answer(apierrors.NewInternalError(errDamaged)), done: true},
		"an answer that is cut short": {fail: func(w http.ResponseWriter, _ request) { sendJSON(w, http.StatusOK, []byte(`{"kind": "ConfigM`)) }, done: true},
	}
	for name, tc := range failures {
		t.Run(name, func(t *testing.T) {
			for k := 1; ; k++ {
				if !survives(t, k, name, tc.fail, tc.done) {
					if k < 8 {
						t.Errorf("the story has %d requests", k)
					}
					return
				}
			}
		})
	}
}

// resetConnection ends a request without an answer.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

// survives plays the story with a failure of the k-th request. It returns false if there is none.
func survives(t *testing.T, k int, name string, fail func(http.ResponseWriter, request), done bool) bool {
	t.Helper()
	r := newRig(t, rigOptions{composer: keys})
	n := 0
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if strings.HasPrefix(asked.path, "/openapi") {
			return false
		}
		exists := asked.method == http.MethodDelete || strings.HasSuffix(asked.path, "/status")
		if n++; n != k || exists && name == "404" {
			return false // What the API server does not find, it does not have.
		}
		if done {
			kind, id, subresource, _ := idIn(asked.path)
			contentType := map[string]string{http.MethodPatch: "application/apply-patch+yaml"}[asked.method]
			if subresource != "" {
				contentType = "application/merge-patch+json"
			}
			if err := r.server.change(asked, contentType, kind, id, subresource); err != nil {
				t.Errorf("request %d: %v", k, err)
			}
		}
		fail(w, asked)
		return true
	}
	until := func() {
		for range 5 {
			_, err := r.pass(t, "web")
			called := r.sync()
			if err == nil && len(called) == 0 {
				return
			}
		}
		t.Errorf("request %d failed, and there is no end of it", k)
	}
	r.newWebsite("web", map[string]any{"children": names(3), "data": "1"})
	until()
	r.setSpec("web", map[string]any{"children": []any{"a", "d"}, "data": "2"})
	r.sync()
	until()
	var have []string
	r.server.do(func(c *cluster) {
		for id, o := range c.objects {
			if id.Kind == configMapKind.GroupKind() {
				data, _ := o.tree["data"].(map[string]any)
				have = append(have, fmt.Sprintf("%s %v", id.Name, data["data"]))
			}
		}
	})
	slices.Sort(have)
	if want := []string{"web-a 2", "web-d 2"}; !slices.Equal(have, want) {
		t.Errorf("request %d failed, and in the end there is %v, want %v", k, have, want)
	}
	r.asked()
	r.mustPass(t, "web")
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("request %d failed, and the last pass makes requests: %v", k, asked)
	}
	return n >= k
}

func TestPassTakesAStaleCacheForWhatItIs(t *testing.T) {
	id := idOf(configMapKind, "team-a", "web-a")
	t.Run("a child that was made anew by another", func(t *testing.T) {
		r := newRig(t, rigOptions{composer: keys})
		r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
		r.mustPass(t, "web")
		r.sync()
		r.server.do(func(c *cluster) {
			delete(c.objects, id)
			c.edit(id, "kubectl", withData("data", "mine"))
		})
		r.setSpec("web", map[string]any{"data": "2"})
		r.server.do(func(c *cluster) { r.parents.sync(c, websiteKind.GroupKind(), "", false, nil) })
		if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), "ConfigMap team-a/web-a exists and was not made by kooperd") {
			t.Errorf("error %v", err)
		}
		r.server.do(func(c *cluster) {
			if data := object(c.objects[id].tree, "data")["data"]; data != "mine" {
				t.Errorf("the stranger has data %v", data)
			}
		})
	})
	t.Run("a child that is to go and was made anew by another", func(t *testing.T) {
		r := newRig(t, rigOptions{composer: keys})
		r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
		r.mustPass(t, "web")
		r.sync()
		r.server.do(func(c *cluster) {
			delete(c.objects, id)
			c.edit(id, "kubectl", withData("data", "mine"))
		})
		r.setSpec("web", map[string]any{"children": []any{}})
		r.server.do(func(c *cluster) { r.parents.sync(c, websiteKind.GroupKind(), "", false, nil) })
		r.mustPass(t, "web")
		r.server.do(func(c *cluster) {
			if c.objects[id] == nil {
				t.Error("the stranger was deleted")
			}
		})
	})
	t.Run("a child that is to go and was changed", func(t *testing.T) {
		r := newRig(t, rigOptions{composer: keys})
		r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
		r.mustPass(t, "web")
		r.sync()
		r.server.do(func(c *cluster) { c.edit(id, "kubectl", withData("more", "x")) })
		r.setSpec("web", map[string]any{"children": []any{}})
		r.server.do(func(c *cluster) { r.parents.sync(c, websiteKind.GroupKind(), "", false, nil) })
		r.mustPass(t, "web")
		r.server.do(func(c *cluster) {
			if c.objects[id] != nil {
				t.Error("it is still there")
			}
		})
	})
}

// TestPassMeetsManyStaleReads is for the race detector: all children turn out to be there already.
func TestPassMeetsManyStaleReads(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(20)})
	r.mustPass(t, "web")
	r.Pause() // The caches of the children have none of them.
	r.server.do(func(c *cluster) { r.parents.sync(c, websiteKind.GroupKind(), "", false, nil) })
	r.mustPass(t, "web")
	if n := r.childrenOf("web"); n != 20 {
		t.Errorf("%d children, want 20", n)
	}
}

func TestPassGivesUpADeleteThatIsNotItsOwn(t *testing.T) {
	id := idOf(configMapKind, "team-a", "web-a")
	for name, meanwhile := range map[string]func(c *cluster){
		"made anew": func(c *cluster) {
			delete(c.objects, id)
			c.edit(id, "kubectl", withData("data", "mine"))
		},
		"taken over": func(c *cluster) {
			c.edit(id, "kubectl", func(tree map[string]any) { delete(object(tree, "metadata"), "ownerReferences") })
			c.edit(id, "kubectl", labelled(ParentUIDLabel, ""))
		},
		"that of another definition": func(c *cluster) {
			o := c.objects[id]
			tree := runtime.DeepCopyJSON(o.tree)
			labelled(DefinitionLabel, "another")(tree)
			metadata := object(tree, "metadata")
			delete(metadata, "managedFields")
			delete(metadata, "resourceVersion")
			if _, err := c.apply(configMapKind, id, FieldManager, tree, true); err != nil {
				panic(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys})
			r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
			r.mustPass(t, "web")
			r.sync()
			r.setSpec("web", map[string]any{"children": []any{}})
			r.sync()
			r.server.do(meanwhile)
			r.asked()
			r.mustPass(t, "web")
			if got, want := r.asked(), []string{"DELETE " + configMapPath("web-a"), "GET " + configMapPath("web-a"), statusPath}; !slices.Equal(got, want) {
				t.Errorf("requests %v, want %v", got, want)
			}
			if n := r.childrenOf("web"); n != 1 {
				t.Error("it was deleted")
			}
			if n := len(r.events.Events); n > 0 {
				t.Errorf("there is an event: %s", <-r.events.Events)
			}
		})
	}
}

func TestPassEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the term has ended")
	r := newRig(t, rigOptions{composer: keys})
	r.server.answer = func(http.ResponseWriter, request) bool {
		cancel(cause)
		return false
	}
	parent := r.newWebsite("web", map[string]any{"children": names(3), "ordered": true})
	_, err := r.Handle(ctx, handlers.Request{Object: parent})
	if !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	for _, asked := range r.asked() {
		if strings.HasSuffix(asked, "/status") || strings.HasSuffix(asked, "web-c") {
			t.Errorf("after the end of the context: %s", asked)
		}
	}
}

func TestPassWaitsForTheCaches(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(1)})
	r.caches[configMapKind].gone = true
	if result := r.mustPass(t, "web"); result.RequeueAfter != listedInterval {
		t.Errorf("result %+v", result)
	}
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("requests %v", asked)
	}
}

// TestPassesAtOnce is for the race detector: many parents are handled while the caches change.
func TestPassesAtOnce(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	const parents, rounds = 8, 5
	for i := range parents {
		name := fmt.Sprintf("web%d", i)
		r.newWebsite(name, map[string]any{"children": names(4), "data": "0"})
		r.next(t, idOf(websiteKind, "team-a", name), annotated(AllowPruneAnnotation, time.Now().UTC().Format(time.RFC3339)))
	}
	r.sync()
	var running sync.WaitGroup
	for i := range parents {
		running.Go(func() {
			name := fmt.Sprintf("web%d", i)
			for round := range rounds {
				r.setSpec(name, map[string]any{"data": fmt.Sprint(round), "children": names(1 + (i+round)%4)})
				r.sync()
				if _, err := r.Handle(t.Context(), handlers.Request{Object: r.parent(name)}); err != nil && !apierrors.IsConflict(err) {
					t.Errorf("handling %s: %v", name, err)
				}
			}
		})
	}
	running.Wait()
	r.sync()
	for i := range parents {
		name := fmt.Sprintf("web%d", i)
		r.mustPass(t, name)
		if got, want := r.childrenOf(name), 1+(i+rounds-1)%4; got != want {
			t.Errorf("%s has %d children, want %d", name, got, want)
		}
		r.Forget(kube.Key{Namespace: "team-a", Name: name}, "")
	}
}

func (r *rig) childrenOf(name string) (n int) {
	r.server.do(func(c *cluster) {
		for id := range c.objects {
			if id.Kind == configMapKind.GroupKind() && strings.HasPrefix(id.Name, name+"-") {
				n++
			}
		}
	})
	return n
}

func TestPassRecordsARefusalOnce(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(1)})
	id := idOf(configMapKind, "team-a", "web-a")
	r.server.do(func(c *cluster) { c.edit(id, "kubectl", withData("a", "b")) })
	for range 3 {
		if _, err := r.pass(t, "web"); err == nil {
			t.Error("a refusal is no error")
		}
		r.sync()
	}
	want := corev1.EventTypeWarning + " Refused ConfigMap team-a/web-a exists and was not made by kooperd"
	if n := len(r.events.Events); n != 1 {
		t.Fatalf("%d events, want one", n)
	}
	if got := <-r.events.Events; got != want {
		t.Errorf("event %q, want %q", got, want)
	}
	var called []kube.Key
	stranger, err := r.live(id)
	if err != nil {
		t.Fatal(err)
	}
	r.onChild(stranger, nil, func(key kube.Key) { called = append(called, key) })
	if diff := cmp.Diff([]kube.Key{{Namespace: "team-a", Name: "web"}}, called); diff != "" {
		t.Errorf("the end of what is in the way calls (-want +got):\n%s", diff)
	}
}

func (r *rig) live(id ChildID) (o handlers.Object, err error) {
	r.server.do(func(c *cluster) { o, err = c.objects[id].read(false) })
	return o, err
}

func TestPassMakesNoChildrenOfChildren(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(1)})
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", func(tree map[string]any) {
			labelled(DefinitionLabel, definition)(tree)
			labelled(InstallationLabel, installation)(tree)
		})
	})
	r.sync()
	if _, err := r.pass(t, "web"); !errors.Is(err, errOwnChild) || !handlers.IsTerminal(err) {
		t.Errorf("error %v, want a terminal one", err)
	}
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("requests %v", asked)
	}
}
