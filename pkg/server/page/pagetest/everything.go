package pagetest

import (
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// Markup is a reason that would be a script, if it were not escaped.
const Markup = `the hook answered 502: <html><body onload="alert(1)"><script>alert("kooperd")</script><h1>Bad Gateway</h1></body></html>`

// before is a moment so long before Now.
func before(d time.Duration) time.Time { return Now.Add(-d) }

func hash(digit byte) string { return strings.Repeat(string([]byte{digit, '3', '9', 'f'}), 16) }

func in(state status.State, since time.Duration, reason string) status.Status {
	return status.Status{State: state, Reason: reason, Since: before(since)}
}

func calls(workers, busy, total, failed int, p50, p99 statusz.Seconds) statusz.Calls {
	return statusz.Calls{Workers: workers, Busy: busy, Window: 300, Total: total, Failed: failed, P50: p50, P99: p99}
}

// Everything reports a leader on which everything that a report can say is so: every state of a
// definition and of a source, every kind of trouble, a refused config, and objects with every
// result of a call.
func Everything() *Reporter {
	objects := troubled()
	mistakes := []string{
		"controllers.cue:22:4: controllers.pods-payments.wokers: unknown field; did you mean \"workers\"?",
		"controllers.cue:31:9: controllers.website.handler.apply.children.page: template: missing",
	}
	r := &Reporter{Objects: knownObjects(), Whole: &statusz.Report{
		Version: statusz.Version, Time: Now,
		Process:    statusz.Process{Name: leader, Version: "v0.9.0", Started: before(76 * time.Hour)},
		Leadership: statusz.Leadership{Leading: true, Lease: "platform/kooperd", Holder: leader, Since: before(3*time.Hour + 12*time.Minute), Renewed: before(time.Second)},
		Awaited:    []string{"ingress-hosts"},
		Config: statusz.Config{
			From:    "configmap:platform/kooperd",
			Running: revisions[0], Before: revisions[1:],
			Refused: &statusz.Refusal{
				Reason: strings.Join(mistakes, "; "), Mistakes: mistakes, MistakesTotal: len(mistakes), Since: before(4 * time.Minute),
			},
		},
		Definitions: definitions(objects),
		Sources:     sources(),
		Objects:     objects,
		History:     statusz.History{Enabled: true, Objects: 1841, Handlings: 7302, Bytes: 3_412_000, Limit: 8_388_608},
	}}
	return r
}

// definitions has one in each state, and some that run.
func definitions(all statusz.Objects) []statusz.Definition {
	list := []statusz.Definition{
		{
			Name: "certificates", Plugin: "exec", APIVersion: "v1", Kind: "Secret",
			Status: in(status.Degraded, 26*time.Minute, `forbidden to list and watch secrets in namespace payments; a Role of namespace payments with this rule `+
				`is missing: {apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"]}`),
			Calls: calls(3, 0, 0, 0, 0, 0),
		},
		{
			Name: "dns-records", Plugin: "webhook", APIVersion: "v1", Kind: "Service", Status: in(status.Running, 70*time.Hour, ""),
			Queue: statusz.Queue{Waiting: 214, Oldest: 41.2, Later: 37, Throttled: "the API server answers 429 and asks to wait for 2 s"},
			Calls: calls(8, 8, 3127, 412, 0.180, 4.2),
		},
		{Name: "ingress-hosts", Plugin: "apply", APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Status: in(status.Syncing, 9*time.Second, ""), Calls: calls(4, 0, 0, 0, 0, 0)},
		{
			Name: "namespace-defaults", Plugin: "apply", APIVersion: "v1", Kind: "Namespace",
			Status:   in(status.PruneHeld, 11*time.Minute, "42 of 120 children would be deleted within ten minutes: annotate the lease with kooperd.dev/prune=namespace-defaults to let them go"),
			Calls:    calls(4, 1, 96, 0, 0.031, 0.22),
			Children: map[string]int{"ready": 120, "held": 42},
		},
		{
			Name: "postgres", Plugin: "apply", APIVersion: "db.example.com/v1", Kind: "Postgres",
			Status: in(status.ReloadPending, 4*time.Minute, "forbidden to create statefulsets in every namespace; the definition works as before until that is granted"),
			Queue:  statusz.Queue{Later: 3}, Calls: calls(4, 2, 18, 1, 0.42, 2.9), Children: map[string]int{"ready": 61, "notReady": 3},
			Rollout: "12 of 64 parents have the new revision, 2 move, 50 wait",
		},
		{Name: "secret-copy", Plugin: "apply", APIVersion: "v1", Kind: "Secret", Status: in(status.Running, 70*time.Hour, ""), Calls: calls(4, 0, 240, 0, 0.0042, 0.038), Children: map[string]int{"ready": 380}},
		{Name: "tag-nodes", Plugin: "exec", APIVersion: "v1", Kind: "Node", EveryReplica: true, Status: in(status.Running, 70*time.Hour, ""), Calls: calls(1, 0, 12, 0, 0.0008, 0.0031)},
		{Name: "team-quotas", Plugin: "apply", APIVersion: "v1", Kind: "Namespace", Status: in(status.Paused, 9*24*time.Hour, "")},
		{
			Name: "website", Plugin: "apply", APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Status: in(status.Running, 3*time.Hour, ""),
			Queue: statusz.Queue{Waiting: 2, Oldest: 0.012, Later: 5}, Calls: calls(8, 3, 964, 2, 0.0094, 0.061), Children: map[string]int{"ready": 1188, "notReady": 12},
		},
		{Name: "widgets", Plugin: "log", APIVersion: "example.com/v1", Kind: "Widget", Status: in(status.Waiting, 70*time.Hour, "the API server does not serve kind Widget of example.com/v1"), Calls: calls(1, 0, 0, 0, 0, 0)},
	}
	for i := range list {
		list[i].Objects = of(all, list[i].Name)
	}
	return list
}

// of are the objects of one definition.
func of(all statusz.Objects, definition string) statusz.Objects {
	pick := func(list statusz.ObjectList) statusz.ObjectList {
		var mine statusz.ObjectList
		for _, row := range list.Items {
			if row.Definition == definition {
				mine.Items = append(mine.Items, row)
			}
		}
		mine.Total = len(mine.Items)
		return mine
	}
	return statusz.Objects{NotReady: pick(all.NotReady), Failing: pick(all.Failing), Fights: pick(all.Fights), Held: pick(all.Held), Refused: pick(all.Refused)}
}

// sources has one in each state that a source may have.
func sources() []statusz.Source {
	return []statusz.Source{
		{APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Content: "whole", Status: in(status.Running, 3*time.Hour, ""), Objects: 300, Bytes: 412_000, Definitions: []string{"website"}},
		{APIVersion: "example.com/v1", Kind: "Widget", Content: "whole", Status: in(status.Waiting, 70*time.Hour, "the API server does not serve the kind"), Definitions: []string{"widgets"}},
		{APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Content: "whole", Status: in(status.Syncing, 9*time.Second, ""), Definitions: []string{"ingress-hosts"}},
		{APIVersion: "v1", Kind: "ConfigMap", Selector: "kooperd.dev/installation=k8f2q", Content: "metadata", Status: in(status.Running, 70*time.Hour, ""), Objects: 1660, Bytes: 1_310_000, Definitions: []string{"namespace-defaults", "website"}},
		{APIVersion: "v1", Kind: "Namespace", Content: "metadata", Status: in(status.Running, 70*time.Hour, ""), Objects: 120, Bytes: 61_000, Definitions: []string{"namespace-defaults", "secret-copy", "team-quotas"}},
		{APIVersion: "v1", Kind: "Secret", Namespace: "payments", Content: "whole", Status: in(status.Degraded, 26*time.Minute, "forbidden to list and watch secrets in namespace payments"), Definitions: []string{"certificates"}},
		{APIVersion: "v1", Kind: "Service", Selector: "dns=yes", Content: "whole", Status: in(status.Running, 70*time.Hour, ""), Objects: 21_407, Bytes: 71_300_000, Definitions: []string{"dns-records"}},
	}
}
