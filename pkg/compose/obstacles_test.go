package compose

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestObstacles refuses children for several reasons at once. Each of them is counted for what
// stands against it, and the error of the pass says whether it is about children alone.
func TestObstacles(t *testing.T) {
	maps403 := func(text string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "x", errors.New(text))
	}
	rights := maps403(`User "kooperd" cannot patch resource "configmaps" in API group "" in the namespace "team-a"`)
	admission := maps403("ValidatingAdmissionPolicy 'p' with binding 'p' denied request: User \"x\" may not")
	quota := maps403("exceeded quota: small")
	invalid := apierrors.NewBadRequest("no")
	for name, tc := range map[string]struct {
		answers map[string]error // by the end of the path
		fail    bool             // of the composer
		want    map[string]float64
		about   bool // children alone
	}{
		"nothing":     {want: map[string]float64{}},
		"a right":     {answers: map[string]error{"web-a": rights}, want: map[string]float64{"rights": 1}, about: true},
		"a policy":    {answers: map[string]error{"web-a": admission}, want: map[string]float64{"admission": 1}, about: true},
		"others":      {answers: map[string]error{"web-a": quota, "web-b": invalid}, want: map[string]float64{"other": 2}, about: true},
		"one of each": {answers: map[string]error{"web-a": rights, "web-b": admission, "web-c": quota}, want: map[string]float64{"rights": 1, "admission": 1, "other": 1}, about: true},
		"and the status": {
			answers: map[string]error{"web-a": quota, "web/status": apierrors.NewBadRequest("no such field")}, want: map[string]float64{"other": 1},
		},
		"the status alone": {answers: map[string]error{"web/status": rights}, want: map[string]float64{}},
		"the composer":     {fail: true, want: map[string]float64{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys})
			answers := maps.Clone(tc.answers)
			r.server.answer = func(w http.ResponseWriter, asked request) bool {
				for end, err := range answers {
					if asked.method == http.MethodPatch && strings.HasSuffix(asked.path, "/"+end) {
						sendError(w, err)
						return true
					}
				}
				return false
			}
			r.newWebsite("web", map[string]any{"children": names(3), "fail": tc.fail})
			_, err := r.pass(t, "web")
			if about := IsAboutChildren(err); about != tc.about || (err == nil) != (name == "nothing") {
				t.Errorf("that it is about children alone is %t, want %t: %v", about, tc.about, err)
			}
			if status := tc.answers["web/status"]; status != nil && !strings.Contains(err.Error(), "status") && !errors.Is(err, status) {
				t.Errorf("the error does not tell of the status: %v", err)
			}
			have := func() map[string]float64 {
				counted := map[string]float64{}
				for _, by := range []string{"rights", "admission", "other"} {
					if n := metricOf(t, r, "kooperd_compose_refused_objects", by); n != 0 {
						counted[by] = n
					}
				}
				return counted
			}
			if diff := cmp.Diff(tc.want, have()); diff != "" {
				t.Errorf("what stands against children (-want +have):\n%s", diff)
			}
			r.server.do(func(*cluster) { answers = nil })
			r.setSpec("web", map[string]any{"fail": false})
			r.sync()
			r.mustPass(t, "web")
			if left := have(); len(left) > 0 {
				t.Errorf("when all is well, there is still %v", left)
			}
		})
	}
}
