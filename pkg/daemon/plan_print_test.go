package daemon

import (
	"fmt"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/engine"
)

// changeOf is a change of the page of an object.
func changeOf(action planAction, object, was, is string) planChange {
	state := func(text string) map[string]any {
		return map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": object + "-page"}, "data": map[string]any{"text": text}}
	}
	c := planChange{
		Definition: "sites", Object: tryParent{Kind: "Site", Namespace: "default", Name: object}, Action: action, Reason: compose.ReasonChanged,
		Child: "page", APIVersion: "v1", Kind: "ConfigMap", Namespace: "default", Name: object + "-page",
	}
	c.Before, c.After = state(was), state(is)
	return c
}

func TestSameChangesAreShownOnce(t *testing.T) {
	var changes []planChange
	for i := range 8 {
		name := fmt.Sprintf("site%d", i)
		changes = append(changes, changeOf(planAction(tryChange), name, "old", "new of "+name))
	}
	changes = append(changes, changeOf(planAction(tryChange), "other", "old", "something else"), changeOf(planAction(tryDelete), "third", "", ""))
	report := planReport{Definitions: []planDefinition{{Name: "sites", State: engine.PlanDone, Objects: 10}}, Changes: changes}
	report.sort()
	report.count()
	for _, all := range []bool{false, true} {
		p := &planPrinter{all: all}
		p.summary(&report)
		for _, group := range groupChanges(report.Changes, all) {
			p.group(group)
		}
		text := p.out.String()
		want := map[string]int{
			"DEFINITION   STATE     OBJECTS   CHANGE   DELETE\nsites        planned   10        9        1\n": 1,
			"+  text: something else\n": 1,
			"sites: delete ConfigMap default/third-page (child page) for Site default/third\n": 1,
			"+  text: new of ": 1,
			"The same for 7 more: ConfigMap default/site1-page, ConfigMap default/site2-page, ConfigMap default/site3-page, ConfigMap default/site4-page, ConfigMap default/": 1,
		}
		if all {
			want = map[string]int{"+  text: new of ": 8, "The same": 0}
		}
		for part, n := range want {
			if got := strings.Count(text, part); got != n {
				t.Errorf("with all %t, %q stands there %d times, want %d:\n%s", all, part, got, n, text)
			}
		}
	}
}

// TestPlanStatus says what counts as a change, and what as a failure.
func TestPlanStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		action          planAction
		reason          compose.Reason
		changes, failed bool
	}{
		"change":          {planAction(tryChange), compose.ReasonChanged, true, false},
		"status":          {planObject, compose.ReasonChanged, true, false},
		"held":            {planHold, compose.ReasonPruneHeld, true, false},
		"waits":           {planAction(tryWait), compose.ReasonAfter, true, false},
		"is deleted":      {planAction(tryWait), compose.ReasonDeleting, false, false},
		"protected":       {planAction(tryRetain), compose.ReasonProtected, false, false},
		"definition gone": {planAction(tryRetain), compose.ReasonRemoved, true, false},
		"refused":         {planAction(tryRefuse), compose.ReasonForeign, false, true},
	} {
		r := planReport{Changes: []planChange{{Action: tc.action, Reason: tc.reason}}}
		if r.changes() != tc.changes || r.failed() != tc.failed {
			t.Errorf("%s: changes %t and failed %t, want %t and %t", name, r.changes(), r.failed(), tc.changes, tc.failed)
		}
	}
	if r := (planReport{}); r.changes() || r.failed() {
		t.Error("an empty plan changes something or fails")
	}
}
