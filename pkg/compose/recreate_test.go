package compose

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kooperd.dev/kooperd/pkg/handlers"
)

func withUpdate(update handlers.Update, child handlers.Child) handlers.Child {
	child.Policy.Update = update
	return child
}

// unchangeable says that the API server would make what is desired of no object there is.
func unchangeable(in *Input) {
	for _, o := range in.Observed {
		for _, d := range in.Desired {
			if d.ID == o.ID {
				o.immutable = d.hash
			}
		}
	}
}

func TestPlanOfUpdates(t *testing.T) {
	bye := configMap("page", map[string]any{"html": "bye"})
	claim := handlers.Child{Object: untyped(claimKind, "", "disk", map[string]any{"spec": map[string]any{"size": "1"}})}
	larger := withUpdate(handlers.UpdateRecreate, handlers.Child{Object: untyped(claimKind, "", "disk", map[string]any{"spec": map[string]any{"size": "2"}})})
	lossy := larger
	lossy.Policy.AllowDataLoss = true
	const onDelete = ": it is not what is desired now, and is made so when it is deleted"
	runPlans(t, map[string]planCase{
		"recreate, not refused": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateRecreate, bye)),
			want: []string{"apply Changed ConfigMap team-a/page"},
		},
		"recreate, refused": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateRecreate, bye)), input: unchangeable,
			want: []string{"recreate Immutable ConfigMap team-a/page"},
		},
		"recreate, refused, and as desired": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateRecreate, page)), input: unchangeable,
			want: []string{"skip Current ConfigMap team-a/page"},
		},
		"recreate, refused, in drift": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateRecreate, page)), input: unchangeable,
			others: func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "bye")) },
			want:   []string{"recreate Immutable ConfigMap team-a/page"},
		},
		"recreate, another change was refused": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateRecreate, bye)),
			input: func(in *Input) { in.Observed[0].immutable = "v1-another" },
			want:  []string{"apply Changed ConfigMap team-a/page"},
		},
		"in place, refused": {
			made: pages(page), desired: pages(bye), input: unchangeable,
			want: []string{"apply Changed ConfigMap team-a/page"},
		},
		"recreate, refused, not ours": {
			desired: pages(withUpdate(handlers.UpdateRecreate, bye)), input: unchangeable,
			others: func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "hello")) },
			want:   []string{"refuse Foreign ConfigMap team-a/page: ConfigMap team-a/page exists and was not made by kooperd"},
		},
		"recreate, refused, without managedFields": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateRecreate, bye)), input: unchangeable,
			others: func(c *cluster) { c.wipe(pageID) },
			want: []string{"refuse Immutable ConfigMap team-a/page: ConfigMap team-a/page cannot be changed to what is desired, " +
				"and is not provably ours to be deleted"},
		},
		"recreate a claim": {
			made: pages(claim), desired: pages(larger), input: unchangeable,
			want: []string{"refuse Immutable PersistentVolumeClaim team-a/disk: PersistentVolumeClaim team-a/disk cannot be changed " +
				"to what is desired, and a PersistentVolumeClaim is not deleted for that without AllowDataLoss"},
		},
		"recreate a claim that may be lost": {
			made: pages(claim), desired: pages(lossy), input: unchangeable,
			want: []string{"recreate Immutable PersistentVolumeClaim team-a/disk"},
		},
		"on delete": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateOnDelete, bye)),
			want: []string{"skip OnDelete ConfigMap team-a/page" + onDelete},
		},
		"on delete, in drift from what it was": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateOnDelete, bye)),
			others: func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "drift")) },
			want:   []string{"skip OnDelete ConfigMap team-a/page" + onDelete},
		},
		"on delete, in drift from what is desired": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateOnDelete, page)),
			others: func(c *cluster) { c.edit(pageID, "kubectl", withData("html", "drift")) },
			want:   []string{"apply Drift ConfigMap team-a/page: .data.html"},
		},
		"on delete, deleted": {
			made: pages(page), desired: pages(withUpdate(handlers.UpdateOnDelete, bye)),
			others: func(c *cluster) { delete(c.objects, pageID) },
			want:   []string{"create Absent ConfigMap team-a/page"},
		},
	})
}

func TestHoldsData(t *testing.T) {
	setKind := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}
	spec := func(claims ...any) map[string]any {
		return map[string]any{"spec": map[string]any{"volumeClaimTemplates": claims}}
	}
	for name, tc := range map[string]struct {
		kind  schema.GroupVersionKind
		rest  map[string]any
		part  bool
		holds bool
	}{
		"StatefulSet":                        {kind: setKind, rest: spec()},
		"StatefulSet with claims":            {kind: setKind, rest: spec(map[string]any{"metadata": map[string]any{"name": "data"}}), holds: true},
		"StatefulSet of which is known less": {kind: setKind, rest: spec(), part: true, holds: true},
		"Deployment":                         {kind: deploymentKind},
		"Namespace":                          {kind: namespaceKind, holds: true},
	} {
		o := &Observed{ID: idOf(tc.kind, "team-a", "x"), Whole: !tc.part, Tree: func() (map[string]any, error) { return tc.rest, nil }}
		if what := holdsData(o); (what != "") != tc.holds {
			t.Errorf("%s: holds data: %q, want %t", name, what, tc.holds)
		}
	}
}

func TestMakeChecksUpdate(t *testing.T) {
	for want, policy := range map[string]handlers.ChildPolicy{
		`there is no update policy "replace": want inPlace, recreate, onDelete or createOnly`: {Update: "replace"},
		"AllowDataLoss is for the update policy recreate":                                     {AllowDataLoss: true},
	} {
		child := page
		child.Policy = policy
		if _, err := makerFor(website).make(child); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %s", policy, err, want)
		}
	}
}

// composerOf makes one child of what a website's spec.data says.
func composerOf(child func(data string) handlers.Child) handlers.Composer {
	return handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		var site struct {
			Spec struct {
				Data string `json:"data"`
			} `json:"spec"`
		}
		err := req.Object.Into(&site)
		return handlers.Composition{Children: []handlers.Child{child(site.Spec.Data)}}, err
	})
}

// recreating makes one ConfigMap with the policy recreate, whose data cannot be changed.
func recreating(t *testing.T, dryRun error) *rig {
	t.Helper()
	r := newRig(t, rigOptions{composer: composerOf(func(data string) handlers.Child {
		return withUpdate(handlers.UpdateRecreate, keyChild("web", "a", data))
	})})
	r.newWebsite("web", map[string]any{"data": "1"})
	r.mustPass(t, "web")
	r.sync()
	r.setSpec("web", map[string]any{"data": "2"})
	r.sync()
	r.asked()
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		id := idOf(configMapKind, "team-a", "web-a")
		switch {
		case asked.method == http.MethodPost:
			if dryRun != nil {
				sendError(w, dryRun)
				return true
			}
			text, err := r.server.cluster.objects[id].encode()
			if err != nil {
				t.Error(err)
			}
			sendJSON(w, http.StatusCreated, text)
			return true
		case asked.method == http.MethodPatch && asked.path == configMapPath("web-a") && r.server.cluster.objects[id] != nil:
			sendError(w, invalid("data"))
			return true
		}
		return false
	}
	return r
}

func invalid(path string) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "web-a", field.ErrorList{field.Forbidden(field.NewPath(path), "field is immutable")})
}

func TestRecreate(t *testing.T) {
	for name, dryRun := range map[string]error{"accepted": nil, "but for its name": invalid("metadata.name")} {
		t.Run(name, func(t *testing.T) {
			r := recreating(t, dryRun)
			r.mustPass(t, "web")
			var got []string
			for _, asked := range r.server.take() {
				got = append(got, asked.method)
				if asked.method == http.MethodPost && (!strings.Contains(asked.query, "dryRun=All") || !strings.Contains(asked.body, `"generateName":"web-a-"`)) {
					t.Errorf("it is asked for by %s?%s with %s", asked.path, asked.query, asked.body)
				}
			}
			if want := []string{"PATCH", "GET", "POST", "DELETE", "PATCH", "PATCH"}; !slices.Equal(got, want) {
				t.Errorf("requests %v, want %v", got, want)
			}
			if said := <-r.events.Events; !strings.Contains(said, "Normal Recreated ConfigMap team-a/web-a cannot be changed") {
				t.Errorf("event %q", said)
			}
			if called := r.sync(); len(called) > 0 {
				t.Errorf("our own writes call %v", called)
			}
		})
	}
}

func TestRecreateLosesNothing(t *testing.T) {
	quota := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "x", fmt.Errorf("exceeded quota: none"))
	policy := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "x", fmt.Errorf("no"))
	policy.ErrStatus.Reason, policy.ErrStatus.Code = metav1.StatusReasonInvalid, http.StatusUnprocessableEntity
	policy.ErrStatus.Details.Causes = []metav1.StatusCause{{Message: "no"}}
	for name, dryRun := range map[string]error{
		"invalid by itself": invalid("data"), "quota": quota, "policy": policy, "unavailable": apierrors.NewInternalError(errDamaged),
	} {
		t.Run(name, func(t *testing.T) {
			r := recreating(t, dryRun)
			if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), "it is not made anew") {
				t.Errorf("error %v, want one that says that it is not made anew", err)
			}
			for _, asked := range r.server.take() {
				if asked.method == http.MethodDelete {
					t.Errorf("%s", asked)
				}
			}
			if conditions := r.text("status", "conditions"); !strings.Contains(conditions, "reason:Invalid status:True type:Degraded") {
				t.Errorf("conditions %s", conditions)
			}
		})
	}
}

// TestRefusalsThatNoNewObjectPasses does not even ask for a new object.
func TestRefusalsThatNoNewObjectPasses(t *testing.T) {
	policy := apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "web-a", nil)
	policy.ErrStatus.Details.Causes = []metav1.StatusCause{{Message: "not today"}}
	for name, refusal := range map[string]error{
		"policy": policy, "forbidden": apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "web-a", errDamaged),
		"bad request": apierrors.NewBadRequest("no"), "no cause": apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "web-a", nil),
	} {
		t.Run(name, func(t *testing.T) {
			r := recreating(t, nil)
			r.server.answer = func(w http.ResponseWriter, asked request) bool {
				if asked.method == http.MethodPatch && asked.path == configMapPath("web-a") {
					sendError(w, refusal)
					return true
				}
				return false
			}
			if _, err := r.pass(t, "web"); err == nil {
				t.Error("there is no error")
			}
			if got, want := r.asked(), []string{"PATCH " + configMapPath("web-a"), statusPath}; !slices.Equal(got, want) {
				t.Errorf("requests %v, want %v", got, want)
			}
		})
	}
}
