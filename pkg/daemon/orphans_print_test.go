package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/compose"
)

func TestOrphanRows(t *testing.T) {
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	page := compose.Orphan{
		ObjectRef: compose.ObjectRef{APIVersion: "v1", Kind: "ConfigMap", Namespace: "team-a", Name: "page"}, Definition: "sites",
		Parent: compose.ObjectRef{APIVersion: "example.com/v1", Kind: "Website", Namespace: "team-a", Name: "shop"}, Proven: true,
		Created: metav1.NewTime(now.Add(-50 * time.Hour)), Why: "its parent is gone",
	}
	space := compose.Orphan{
		ObjectRef: compose.ObjectRef{APIVersion: "v1", Kind: "Namespace", Name: "space"}, Definition: "old",
		Parent: compose.ObjectRef{Namespace: "team-a", Name: "shop"}, Why: `no definition has the id "old"`,
	}
	patch := compose.Orphan{
		ObjectRef: compose.ObjectRef{APIVersion: "v1", Kind: "ConfigMap", Namespace: "team-a", Name: "shared"}, Patch: true, Definition: "sites",
		Parent: compose.ObjectRef{UID: "1234"}, Proven: true, Created: metav1.NewTime(now.Add(-time.Hour)), Why: "its parent is gone",
	}
	var out strings.Builder
	if err := writeTable(&out, orphanRows([]compose.Orphan{page, space, patch}, now)); err != nil {
		t.Fatal(err)
	}
	want := `KIND                NAMESPACE   NAME     DEFINITION   PARENT                PROVEN   AGE         WHY
ConfigMap           team-a      page     sites        Website team-a/shop   yes      2d2h        its parent is gone
Namespace                       space    old          team-a/shop           no       <unknown>   no definition has the id "old"
ConfigMap (patch)   team-a      shared   sites        1234                  yes      60m         its parent is gone
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	for want, found := range map[string][]compose.Orphan{
		"1 of 7 children are orphans, 1 of them provably kooperd's; --delete deletes those":                    {page},
		"1 of 3 patches are orphans, 1 of them provably kooperd's; --delete deletes those":                     {patch},
		"2 of 7 children and 1 of 3 patches are orphans, 2 of them provably kooperd's; --delete deletes those": {page, space, patch},
	} {
		if got := summary(&compose.Orphans{Found: found, Children: 7, Patches: 3}); got != want {
			t.Errorf("the summary is %q, want %q", got, want)
		}
	}
}
