package pagetest

import (
	"fmt"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// listed is how many objects a list of a large report has at most, which is the most that is asked
// for.
const listed = 100

// changed is how many definitions each revision of a large report changes.
const changed = 30

// Large reports a cluster in which so many definitions have so many objects, and all of them are in
// every kind of trouble, with reasons as long as they can be.
func Large(definitions, objects int) *Reporter {
	r := &Reporter{Whole: &statusz.Report{
		Version: statusz.Version, Time: Now, Ready: true,
		Process:    statusz.Process{Name: "kooperd-7d9f8b6c5-x2x4q", Version: "v0.9.0", Started: before(72 * time.Hour)},
		Leadership: statusz.Leadership{Leading: true, Lease: "platform/kooperd", Holder: "kooperd-7d9f8b6c5-x2x4q", Since: before(70 * time.Hour)},
		Config:     statusz.Config{From: "configmap:platform/kooperd", Running: statusz.Revision{Hash: hash('a'), Accepted: before(time.Hour)}},
		History:    statusz.History{Enabled: true, Objects: objects, Handlings: 4 * objects, Bytes: 9 << 20, Limit: 10 << 20},
	}}
	reason := "calling the hook: Post \"https://hooks.team.example/sync\": " + fmt.Sprintf("%0500d", 0)
	each := objects / max(definitions, 1)
	mine, diff := fill("definition-with-a-long-name-of-a-team-0000", reason, each), longDiff()
	for i := range definitions {
		name := fmt.Sprintf("definition-with-a-long-name-of-a-team-%04d", i)
		d := statusz.Definition{
			Name: name, Plugin: "webhook", APIVersion: "shop.example.com/v1alpha1", Kind: "Deployment",
			Status: status.Status{State: status.Degraded, Reason: reason, Since: before(time.Minute)},
			Queue:  statusz.Queue{Waiting: each, Oldest: 12.5, Later: each, Throttled: "the API server answers 429"},
			Calls:  statusz.Calls{Workers: 16, Busy: 16, Window: 300, Total: 12345, Failed: 12000, P50: 0.012, P99: 3.4},
		}
		d.Objects = mine // The same objects, since making others takes long.
		r.Whole.Definitions = append(r.Whole.Definitions, d)
		if i < changed {
			r.Whole.Config.Running.Changed = append(r.Whole.Config.Running.Changed, statusz.Change{Definition: name, What: "changed", Diff: diff})
		}
		r.Whole.Sources = append(r.Whole.Sources, statusz.Source{
			APIVersion: "shop.example.com/v1alpha1", Kind: "Deployment", Namespace: fmt.Sprintf("team-%04d", i), Selector: "app=web", Content: "whole",
			Status: status.Status{State: status.Degraded, Reason: reason, Since: before(time.Minute)}, Objects: each, Bytes: int64(each) * 3400,
			Definitions: []string{name},
		})
	}
	r.Whole.Objects = fill("definition-with-a-long-name-of-a-team-0000", reason, objects)
	r.Whole.Config.Before = []statusz.Revision{r.Whole.Config.Running, r.Whole.Config.Running, r.Whole.Config.Running, r.Whole.Config.Running}
	return r
}

// fill puts objects into every list.
func fill(definition, reason string, n int) statusz.Objects {
	list := statusz.ObjectList{Total: n}
	for i := range min(n, listed) {
		list.Items = append(list.Items, statusz.ObjectRow{
			Definition: definition, Reason: reason, Since: before(time.Hour),
			Object: statusz.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "a-namespace-of-a-team", Name: fmt.Sprintf("a-deployment-with-a-long-name-%06d", i)},
			Child:  fmt.Sprintf("ConfigMap/a-namespace-of-a-team/a-config-map-with-a-long-name-%06d", i),
		})
	}
	return statusz.Objects{NotReady: list, Failing: list, Fights: list, Held: list, Refused: list}
}

func longDiff() string {
	var diff strings.Builder
	for i := range 400 {
		fmt.Fprintf(&diff, "- a line of the definition that was there, number %d\n+ a line that is there now, number %d\n", i, i)
	}
	return diff.String()
}
