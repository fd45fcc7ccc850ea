package pagetest

import (
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// Markup is a reason that would be a script, if it were not escaped.
const Markup = `POST https://dns.example.com/v2: answered 502 Bad Gateway: "<html><body onload='alert(1)'><script>alert('kooperd')</script><h1>Bad Gateway</h1></body></html>"`

// Reasons as kooperd gives them: a test compares them with the code.
const (
	notServed        = "the API server does not serve kind Widget of example.com/v1"
	forbiddenSecrets = `forbidden to list and watch secrets in namespace payments; a Role of namespace payments with this rule ` +
		`is missing: {apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"]}`
	lockedZone = `POST https://dns.example.com/v2: answered 422 Unprocessable Entity: "the zone is locked"`
	foreign    = "child copy: Secret legacy/registry exists and was not made by kooperd"
	brake      = "12 of the 60 children of the definition would be gone within 10 minutes, so none is deleted. " +
		"If they are to go, annotate the parent with kooperd.dev/allow-prune=2026-11-27T09:30:07Z, or change the definition"
	rollout = "rollout: of 6 parents, 2 are updated and ready, 3 are held; 1 are not ready, of 1 that may be: shop/orders"
	paused  = "the annotation kooperd.dev/paused is true: nothing is made, changed or deleted"
	itsTurn = "it keeps what it has until its turn in the rollout comes"
	fight   = `field manager "kube-controller-manager" sets spec.replicas of Deployment shop/landing again and again. ` +
		"It is set back less and less often, at most every 5 minutes in the end: let one of both leave the field alone"
	unavailable = "NotReady: Deployment shop/checkout: 0 of 3 availableReplicas"
	kept        = "it is being deleted and waits for finalizer snapshots.example.com/guard"
)

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
		History:     statusz.History{Enabled: true, Objects: 1841, Handlings: 7302, Bytes: 3_412_000, Limit: 4 << 20},
	}}
	return r
}

// definitions has one in each state, and some that run.
func definitions(all statusz.Objects) []statusz.Definition {
	list := []statusz.Definition{
		{
			Name: "certificates", Plugin: "exec", APIVersion: "v1", Kind: "Secret", Status: in(status.Degraded, 26*time.Minute, forbiddenSecrets),
			Calls: calls(3, 0, 0, 0, 0, 0),
		},
		{
			Name: "dns-records", Plugin: "webhook", APIVersion: "v1", Kind: "Service",
			Status: in(status.Degraded, 12*time.Minute, "calls keep failing for 12 object(s), 2 of them not retried until they change; shop/web-7: "+lockedZone),
			Queue:  statusz.Queue{Waiting: 214, Oldest: 41.2, Later: 10, Throttled: "workers wait for the rate of the definition, 10 per second"},
			Calls:  calls(8, 8, 3127, 412, 0.180, 4.2),
		},
		{Name: "ingress-hosts", Plugin: "apply", APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Status: in(status.Syncing, 9*time.Second, ""), Calls: calls(4, 0, 0, 0, 0, 0), Children: children(0, 0, 0)},
		{
			Name: "namespace-defaults", Plugin: "apply", APIVersion: "v1", Kind: "Namespace", Status: in(status.PruneHeld, 11*time.Minute, brake),
			Calls: calls(4, 1, 96, 0, 0.031, 0.22), Children: children(60, 0, 0),
		},
		{
			Name: "postgres", Plugin: "apply", APIVersion: "db.example.com/v1", Kind: "Postgres",
			Status: in(status.ReloadPending, 4*time.Minute, rollout+"; the change of the definition waits: forbidden to create, get, list, patch and watch networkpolicies in all namespaces; a ClusterRole with this rule "+
				`is missing: {apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["create", "get", "list", "patch", "watch"]}`),
			Calls: calls(4, 2, 18, 1, 0.42, 2.9), Children: children(15, 3, 0), Rollout: rollout,
		},
		{
			Name: "secret-copy", Plugin: "apply", APIVersion: "v1", Kind: "Secret",
			Status: in(status.Degraded, 6*24*time.Hour, "calls keep failing for 1 object(s); platform/registry: "+foreign),
			Queue:  statusz.Queue{Later: 1}, Calls: calls(4, 0, 240, 1, 0.0042, 0.038), Children: children(379, 0, 1),
		},
		{Name: "tag-nodes", Plugin: "exec", APIVersion: "v1", Kind: "Node", EveryReplica: true, Status: in(status.Running, 70*time.Hour, ""), Calls: calls(1, 0, 12, 0, 0.0008, 0.0031)},
		{Name: "team-quotas", Plugin: "apply", APIVersion: "v1", Kind: "Namespace", Status: in(status.Paused, 9*24*time.Hour, "")},
		{
			Name: "website", Plugin: "apply", APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Status: in(status.Running, 3*time.Hour, ""),
			Queue: statusz.Queue{Waiting: 2, Oldest: 0.012, Throttled: "the API server has answered 14 writes with 429 (too many requests) in the last 5m0s"},
			Calls: calls(8, 3, 964, 2, 0.0094, 0.061), Children: children(1188, 12, 0), Config: websiteConfig,
		},
		{Name: "widgets", Plugin: "log", APIVersion: "example.com/v1", Kind: "Widget", Status: in(status.Waiting, 70*time.Hour, notServed), Calls: calls(1, 0, 0, 0, 0, 0)},
	}
	for i := range list {
		list[i].Objects = of(all, list[i].Name)
	}
	return list
}

func children(ready, notReady, refused int) map[string]int {
	return map[string]int{"ready": ready, "notReady": notReady, "refused": refused}
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
		for _, row := range mine.Items {
			if row.GivenUp {
				mine.GivenUp++
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
		{APIVersion: "example.com/v1", Kind: "Widget", Content: "whole", Status: in(status.Waiting, 70*time.Hour, notServed), Definitions: []string{"widgets"}},
		{APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Content: "whole", Status: in(status.Syncing, 9*time.Second, ""), Definitions: []string{"ingress-hosts"}},
		{APIVersion: "v1", Kind: "ConfigMap", Selector: "kooperd.dev/installation=k8f2q", Content: "whole, fields of kooperd", Status: in(status.Running, 70*time.Hour, ""), Objects: 1660, Bytes: 1_310_000, Definitions: []string{"namespace-defaults", "website"}},
		{APIVersion: "v1", Kind: "Namespace", Content: "metadata", Status: in(status.Running, 70*time.Hour, ""), Objects: 120, Bytes: 61_000, Definitions: []string{"namespace-defaults", "secret-copy", "team-quotas"}},
		{APIVersion: "v1", Kind: "Secret", Namespace: "payments", Content: "whole", Status: in(status.Degraded, 26*time.Minute, forbiddenSecrets), Definitions: []string{"certificates"}},
		{APIVersion: "v1", Kind: "Service", Selector: "dns=yes", Content: "whole", Status: in(status.Running, 70*time.Hour, ""), Objects: 21_407, Bytes: 71_300_000, Definitions: []string{"dns-records"}},
	}
}
