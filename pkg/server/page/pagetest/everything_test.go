package pagetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/statusz"
)

// TestReasons compares the reasons with the code that makes them: people learn from the pictures of
// the documentation what they will read.
func TestReasons(t *testing.T) {
	for reason, parts := range map[string]map[string][]string{
		notServed:        {"kinds/errors.go": {"the API server does not serve "}},
		forbiddenSecrets: {"kube/forbidden.go": {"forbidden to ", " with this rule is missing: ", "a Role of namespace "}},
		foreign:          {"compose/proof.go": {" exists and was not made by kooperd"}, "compose/conditions.go": {"child "}},
		brake: {"compose/brake.go": {
			" children of the definition would be gone within ", " minutes, so none is deleted. ", "If they are to go, annotate the parent with ", ", or change the definition", "kooperd.dev/allow-prune",
		}},
		rollout:     {"compose/rollout.go": {"rollout: of ", " are updated and ready, ", " are held"}, "compose/rollout_decision.go": {" are not ready, of ", " that may be"}},
		paused:      {"compose/paused.go": {"the annotation ", " is true: nothing is made, changed or deleted"}},
		pending:     {"compose/conditions.go": {"Pending"}, "handlers/composer.go": {"child ", " is waiting for "}},
		itsTurn:     {"compose/attention.go": {itsTurn}},
		kept:        {"compose/plan.go": {"it is being deleted", " and waits for finalizer "}},
		fight:       {"compose/fights.go": {"field manager ", " sets ", " again and again. It ", "is set back less and less often, at most every 5 minutes in the end", ": let one of both leave the field alone"}},
		unavailable: {"compose/conditions.go": {"NotReady"}, "compose/ready.go": {"availableReplicas"}},
		lockedZone:  {"handlers/webhook/client.go": {"POST ", "answered "}},
		"workers wait for the rate of the definition, 10 per second":                                 {"engine/reporter.go": {"workers wait for the rate of the definition, "}},
		"the API server has answered 14 writes with 429 (too many requests) in the last 5m0s":        {"engine/reporter.go": {"the API server has answered ", " writes with 429 (too many requests) in the last "}},
		"calls keep failing for 12 object(s), 2 of them not retried until they change; shop/web-7: ": {"engine/failures.go": {"calls keep failing for ", " object(s)", " of them not retried until they change"}},
		"the change of the definition waits: ":                                                       {"engine/status.go": {"the change of the definition waits: "}},
		"its retry in 41s, after 4 failed calls":                                                     {"engine/reporter_object.go": {"its retry ", " failed calls"}},
		"its next call in 4m46s":                                                                     {"engine/reporter_object.go": {"its next call "}},
		"this replica: it does not work on the definition":                                           {"engine/reporter_object.go": {"this replica: it does not work on the definition"}},
	} {
		for file, texts := range parts {
			source, err := os.ReadFile(filepath.Join("..", "..", "..", filepath.FromSlash(file)))
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range texts {
				if !strings.Contains(reason, text) || !strings.Contains(string(source), text) {
					t.Errorf("%q is not both in %s and in the reason %q", text, file, reason)
				}
			}
		}
	}
}

// TestCombinations: what a report never says of one object or call is in none.
func TestCombinations(t *testing.T) {
	r := Everything()
	for i, known := range r.Objects {
		for _, in := range known.Definitions {
			for at, h := range in.Handlings {
				switch {
				case h.By != "" && len(h.Changed) > 0:
					t.Errorf("%d: a call for an event of %s has changes of the object", i, h.By)
				case h.Again.IsZero() != (h.Result == "done" || h.Result == "terminal" || h.Result == "exhausted" || h.Result == "cancelled"):
					t.Errorf("%d: after %s it is called again: %t", i, h.Result, !h.Again.IsZero())
				case (h.Cause == "retry") != (h.Attempt > 1) && h.Cause != "change":
					t.Errorf("%d: attempt %d because of %s", i, h.Attempt, h.Cause)
				case at > 0 && h.Began.After(in.Handlings[at-1].Began):
					t.Errorf("%d: the calls are not in order", i)
				}
			}
			if in.Waiting == "" || (in.Error == "") != (in.Failures == 0) {
				t.Errorf("%d: %+v", i, in)
			}
		}
	}
	for i := range r.Whole.Definitions {
		d := &r.Whole.Definitions[i]
		if d.Objects.Failing.GivenUp > 0 && !strings.Contains(d.Reason, "not retried until they change") {
			t.Errorf("%s has objects that were given up, and its reason is %q", d.Name, d.Reason)
		}
		if d.Plugin != "apply" && d.Children != nil || d.Rollout != "" && !strings.Contains(d.Reason, d.Rollout) {
			t.Errorf("%s: %+v", d.Name, d)
		}
	}
	for name, list := range map[string]statusz.ObjectList{"not ready": r.Whole.Objects.NotReady, "failing": r.Whole.Objects.Failing} {
		for i, row := range list.Items {
			if row.Child != "" {
				t.Errorf("%s has a child", name)
			}
			if i > 0 && !row.GivenUp && !list.Items[i-1].GivenUp && row.Since.Before(list.Items[i-1].Since) {
				t.Errorf("%s are not in order", name)
			}
		}
	}
}
