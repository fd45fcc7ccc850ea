package compose

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// listable are the resources of the tests as an API server has them.
func listable() (all []kinds.Resource) {
	for _, r := range resources {
		r.Verbs = []string{"get", "list"}
		all = append(all, r)
	}
	return append(all, kinds.Resource{Version: "v1", Name: "bindings", Kind: "Binding", Verbs: []string{"create"}})
}

// memberWords are the members of a family as a test expects them, with two spaces for each level.
func memberWords(indent string, m *Member) []string {
	text := fmt.Sprintf("%s%s %s", indent, m, m.State)
	if m.Why != "" {
		text += ": " + m.Why
	}
	for _, manager := range m.Managers {
		text += fmt.Sprintf(", %s%s %v+%d", manager.Manager, manager.Subresource, manager.Fields, manager.More)
	}
	if m.Definition != "" && !m.Proven {
		text += ", unproven"
	}
	if m.Cycle {
		text += ", cycle"
	}
	words := []string{text}
	for _, child := range m.Children {
		words = append(words, memberWords(indent+"  ", child)...)
	}
	return words
}

// newFamilyRig has a website with a child beside it, two elsewhere, a copy, and a child that has a
// child itself.
func newFamilyRig(t *testing.T) *orphanRig {
	t.Helper()
	r := newOrphanRig(t)
	secret := untyped(secretKind, "", "token", map[string]any{"data": map[string]any{"password": "aHVudGVyMg=="}})
	r.make(t, handlers.Child{Name: "far", Object: untyped(configMapKind, "space", "far", nil)},
		handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil)},
		handlers.Child{Name: "token", Object: secret}, handlers.Child{Name: "part", Object: untyped(widgetKind, "", "part", nil)})
	widget := idOf(widgetKind, "team-a", "part")
	var part Parent
	r.do(func(c *cluster) {
		part = Parent{Kind: widgetKind, Namespace: "team-a", Name: "part", UID: c.objects[widget].uid}
	})
	below := desire(t, part, configMap("below", nil))
	r.do(func(c *cluster) {
		if err := c.execute(Plan(Input{Installation: installation, Definition: definition, Parent: part, Desired: below})); err != nil {
			t.Fatal(err)
		}
		c.edit(pageID, "rival", withData("html", "theirs"))
	})
	r.copyPage("copied")
	return r
}

func (r *orphanRig) family(t *testing.T) (*Family, *Member, error) {
	t.Helper()
	f := NewFamily(r.search.Client, listable())
	m, err := f.Read(t.Context(), resources[websiteKind], "team-a", "web")
	return f, m, err
}

func TestFamily(t *testing.T) {
	r := newFamilyRig(t)
	_, m, err := r.family(t)
	if err != nil {
		t.Fatal(err)
	}
	labels := "[metadata.annotations.kooperd.dev/applied metadata.annotations.kooperd.dev/child metadata.annotations.kooperd.dev/parent]+3"
	want := []string{
		"Website team-a/web Ready",
		"  ConfigMap space/far Ready",
		"  ConfigMap team-a/copied Ready, kubectl " + labels + ", unproven",
		"  ConfigMap team-a/page Ready, rival [data.html]+0",
		"  Namespace space Progressing: its phase is \"\" and not Active",
		"  Secret team-a/token Ready",
		"  Widget team-a/part Ready",
		"    ConfigMap team-a/below Ready",
	}
	if diff := cmp.Diff(want, memberWords("", m)); diff != "" {
		t.Errorf("family (-want +got):\n%s", diff)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "aHVudGVyMg") {
		t.Errorf("the family has what is in a Secret: %s", text)
	}
	for _, asked := range r.take() {
		if asked.method != http.MethodGet && !strings.Contains(asked.query, FieldManager) {
			t.Errorf("reading sends %s", asked)
		}
		if strings.HasSuffix(asked.path, "/secrets") && !strings.Contains(asked.accept, "PartialObjectMetadataList") {
			t.Errorf("whole Secrets are asked for: %s", asked)
		}
	}
}

func TestFamilyOfAParent(t *testing.T) {
	r := newFamilyRig(t)
	r.do(func(c *cluster) {
		c.edit(siteID, "kubectl", func(tree map[string]any) {
			metadata := object(tree, "metadata")
			metadata["annotations"] = map[string]any{PausedAnnotation: "true"}
			metadata["finalizers"] = []any{"example.com/other", FinalizerOf(installation, definition)}
			tree["status"] = map[string]any{"conditions": []any{map[string]any{
				"type": "Ready", "status": "False", "reason": "NotReady", "message": "no",
			}}}
		})
	})
	_, m, err := r.family(t)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Paused || !slices.Equal(m.Finalizers, []string{FinalizerOf(installation, definition)}) ||
		!cmp.Equal(m.Ready, &ReadyCondition{Status: "False", Reason: "NotReady", Message: "no"}) || m.State != HealthProgressing {
		t.Errorf("the parent is %+v, ready %+v", m, m.Ready)
	}
}

func TestFamilyWithACycle(t *testing.T) {
	r := newFamilyRig(t)
	r.do(func(c *cluster) {
		part := c.objects[idOf(widgetKind, "team-a", "part")].uid
		c.edit(siteID, "kubectl", func(tree map[string]any) {
			object(object(tree, "metadata"), "labels")[ParentUIDLabel] = string(part)
		})
	})
	_, m, err := r.family(t)
	if err != nil {
		t.Fatal(err)
	}
	words := memberWords("", m)
	if last := words[len(words)-1]; !strings.HasPrefix(last, "    Website team-a/web Ready") || !strings.HasSuffix(last, ", cycle") {
		t.Errorf("the family is %q, want the website at its end", words)
	}
}

func TestFamilyThatMayNotBeListed(t *testing.T) {
	r := newFamilyRig(t)
	r.refuse("/api/v1/configmaps", "/api/v1/namespaces", "/api/v1/secrets", "/api/v1/namespaces/team-a/secrets")
	f, m, err := r.family(t)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(memberWords("", m), "\n")
	for text, want := range map[string]bool{"team-a/page": true, "team-a/below": true, "space/far": false, "Namespace space": false, "token": false} {
		if strings.Contains(words, text) != want {
			t.Errorf("%s is in the family: %t\n%s", text, !want, words)
		}
	}
	nowhere, elsewhere := f.Unlisted()
	if !slices.Equal(nowhere, []string{"namespaces", "secrets"}) || !slices.Equal(elsewhere, []string{"configmaps"}) {
		t.Errorf("not listed are %q, and in one namespace alone %q", nowhere, elsewhere)
	}
	counted := map[string]int{}
	for _, asked := range r.take() {
		counted[asked.path]++
	}
	if n := counted["/api/v1/configmaps"]; n != 1 {
		t.Errorf("what is forbidden is asked for %d times, want once", n)
	}
}

func TestFamilyNeedsAnAnswer(t *testing.T) {
	r := newFamilyRig(t)
	r.refuse(websitesPath + "namespaces/team-a/websites/web")
	if _, m, err := r.family(t); !apierrors.IsForbidden(err) {
		t.Errorf("the family of an object that is forbidden is %v, %v", m, err)
	}
	r.answer = nil
	r.removeParent()
	if _, m, err := r.family(t); !apierrors.IsNotFound(err) {
		t.Errorf("the family of an object that is gone is %v, %v", m, err)
	}
}

func TestHealthOf(t *testing.T) {
	condition := func(name, status, reason, message string) map[string]any {
		return map[string]any{"type": name, "status": status, "reason": reason, "message": message}
	}
	with := func(phase string, conditions ...any) map[string]any {
		return map[string]any{"status": map[string]any{"phase": phase, "conditions": conditions}}
	}
	for name, tc := range map[string]struct {
		kind schema.GroupVersionKind
		tree map[string]any
		want Health
		why  string
	}{
		"no status": {configMapKind, map[string]any{}, HealthReady, ""},
		"not ready": {websiteKind, with("", condition("Ready", "False", "", "soon")), HealthProgressing, "its condition Ready is False: soon"},
		"degraded":  {websiteKind, with("", condition("Ready", "True", "", ""), condition("Degraded", "True", "", "bad")), HealthDegraded, "its condition Degraded is True: bad"},
		"a rollout that hangs": {
			deploymentKind, with("", condition("Progressing", "False", "ProgressDeadlineExceeded", "too late")), HealthDegraded,
			"its rollout makes no progress: too late",
		},
		"a failed pod":                  {podKind, with("Failed"), HealthDegraded, "it has failed"},
		"a phase that means nothing":    {websiteKind, with("Failed"), HealthReady, ""},
		"a claim that is not bound yet": {claimKind, with("Pending"), HealthProgressing, `its phase is "Pending" and not Bound`},
		"deleted": {
			websiteKind, map[string]any{"metadata": map[string]any{"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": []any{"example.com/guard"}}},
			HealthDeleting, "it is being deleted and waits for finalizer example.com/guard",
		},
	} {
		if got, why := healthOf(tc.kind.GroupKind(), tc.tree); got != tc.want || why != tc.why {
			t.Errorf("%s: %s, %q, want %s, %q", name, got, why, tc.want, tc.why)
		}
	}
}
