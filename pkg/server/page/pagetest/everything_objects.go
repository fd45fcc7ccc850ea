package pagetest

import (
	"fmt"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

func ref(apiVersion, kind, namespace, name string) statusz.ObjectRef {
	return statusz.ObjectRef{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name}
}

func website(name string) statusz.ObjectRef {
	return ref("demo.kooperd.dev/v1", "Website", "shop", name)
}

// revisions are the last five.
var revisions = []statusz.Revision{
	{Hash: hash('a'), Accepted: before(12 * time.Minute), Changed: []statusz.Change{
		{Definition: "postgres", What: "changed", Diff: "  handler:\n    apply:\n      children:\n        server:\n          template:\n            spec:\n" +
			"-             image: \"postgres:17.1\"\n+             image: \"postgres:17.2\"\n+ rollout:\n+   maxUnavailable: 2\n"},
		{Definition: "ingress-hosts", What: "added"},
	}},
	{Hash: hash('b'), Accepted: before(5 * time.Hour), Changed: []statusz.Change{
		{Definition: "website", What: "changed", Diff: "- workers: 4\n+ workers: 8\n"},
	}},
	{Hash: hash('c'), Accepted: before(26 * time.Hour), Changed: []statusz.Change{{Definition: "legacy-labels", What: "removed"}}},
	{Hash: hash('d'), Accepted: before(4 * 24 * time.Hour), Changed: []statusz.Change{
		{Definition: "certificates", What: "changed", Diff: "- watch:\n-   namespaces: [\"shop\"]\n+ watch:\n+   namespaces: [\"shop\", \"payments\"]\n"},
		{Definition: "dns-records", What: "changed", Diff: "  handler:\n    webhook:\n-     url: \"https://dns.example/v1\"\n+     url: \"https://dns.example/v2\"\n"},
		{Definition: "secret-copy", What: "changed", Diff: "- resync: \"1h\"\n+ resync: \"off\"\n"},
		{Definition: "tag-nodes", What: "added"}, {Definition: "team-quotas", What: "added"},
	}},
	{Hash: hash('e'), Accepted: before(9 * 24 * time.Hour)},
}

// troubled has objects in every kind of trouble, and more of some than a page lists.
func troubled() statusz.Objects {
	o := statusz.Objects{
		NotReady: statusz.ObjectList{Total: 3, Items: []statusz.ObjectRow{
			{Definition: "website", Object: website("checkout"), Child: "Deployment/shop/checkout", Reason: "0 of 3 replicas are available", Since: before(14 * time.Minute)},
			{Definition: "website", Object: website("catalog"), Child: "Service/shop/catalog", Reason: "waits for Deployment/shop/catalog: Invalid: spec.template.spec.containers[0].image: Required value", Since: before(2 * time.Hour)},
			{Definition: "postgres", Object: ref("db.example.com/v1", "Postgres", "shop", "orders"), Child: "StatefulSet/shop/orders", Reason: "1 of 3 replicas is updated", Since: before(3 * time.Minute)},
		}},
		Fights: statusz.ObjectList{Total: 1, Items: []statusz.ObjectRow{
			{Definition: "website", Object: website("landing"), Child: "Deployment/shop/landing", Reason: "spec.replicas is set back by manager kube-controller-manager: 14 times; next try in 4m", Since: before(38 * time.Minute)},
		}},
		Held: statusz.ObjectList{Total: 2, Items: []statusz.ObjectRow{
			{Definition: "website", Object: website("promo"), Reason: "paused by the annotation kooperd.dev/paused", Since: before(50 * time.Hour)},
			{Definition: "postgres", Object: ref("db.example.com/v1", "Postgres", "shop", "users"), Reason: "held by the rollout: 2 of 2 parents that may be unavailable are moving", Since: before(4 * time.Minute)},
		}},
		Refused: statusz.ObjectList{Total: 1, Items: []statusz.ObjectRow{
			{Definition: "secret-copy", Object: ref("v1", "Secret", "platform", "registry"), Child: "Secret/legacy/registry", Reason: "exists, and was not made by kooperd; adopt: \"never\"", Since: before(6 * 24 * time.Hour)},
		}},
	}
	for i := range 12 {
		row := statusz.ObjectRow{
			Definition: "dns-records", Object: ref("v1", "Service", "shop", fmt.Sprintf("web-%d", i)), Reason: "calling the hook: status 503: the zone is locked",
			Since: before(time.Duration(i+1) * time.Minute),
		}
		if i == 0 {
			row.Reason = Markup
		}
		o.Failing.Items = append(o.Failing.Items, row)
	}
	o.Failing.Total = len(o.Failing.Items)
	return o
}

// knownObjects have every result, one that waits, one that nobody has handled, and a child.
func knownObjects() []*statusz.ObjectReport {
	report := func(o statusz.ObjectRef, in ...statusz.ObjectIn) *statusz.ObjectReport {
		return &statusz.ObjectReport{Version: statusz.Version, Time: Now, Object: o, Leading: true, Definitions: in}
	}
	list := []*statusz.ObjectReport{
		report(website("checkout"), statusz.ObjectIn{
			Definition: "website", Cached: true, Matches: true, Waiting: "a change of its children",
			Blocked: []statusz.ObjectRow{{
				Definition: "website", Object: website("checkout"), Child: "Deployment/shop/checkout",
				Reason: "0 of 3 replicas are available", Since: before(14 * time.Minute),
			}},
			Handlings: websiteHandlings(),
		}),
		report(ref("v1", "Service", "shop", "web-0"), statusz.ObjectIn{
			Definition: "dns-records", Cached: true, Matches: true, Waiting: "a retry in 41s", Failures: 7, Error: Markup,
			Handlings: []statusz.Handling{
				{Began: before(19 * time.Second), Took: 4.2, Cause: "retry", Attempt: 7, Result: "retry", Error: Markup, Again: Now.Add(41 * time.Second)},
				{Began: before(2 * time.Minute), Took: 0.0031, Cause: "resync", Attempt: 6, Result: "panic", Error: "panic: runtime error: index out of range [3] with length 3"},
				{Began: before(9 * time.Minute), Took: 60, Cause: "requeue", Attempt: 5, Result: "cancelled", Error: "context deadline exceeded"},
				{Began: before(12 * time.Minute), Took: 0.2, Cause: "change", Attempt: 1, Changed: []string{"spec.ports[0].port"}, Result: "terminal", Error: "the zone example.org does not exist"},
			},
		}),
		report(website("landing"), statusz.ObjectIn{Definition: "website", Cached: true, Matches: true}),
		report(ref("v1", "Namespace", "", "shop"),
			statusz.ObjectIn{Definition: "namespace-defaults", Cached: true, Matches: true},
			statusz.ObjectIn{Definition: "team-quotas", Cached: true}),
	}
	child := report(ref("apps/v1", "Deployment", "shop", "checkout"))
	child.ChildOf = []statusz.ObjectRow{{Definition: "website", Object: website("checkout"), Reason: "0 of 3 replicas are available"}}
	list = append(list, child)
	for i := range 60 {
		list = append(list, report(ref("v1", "Service", "shop", fmt.Sprintf("backend-%02d", i)), statusz.ObjectIn{Definition: "dns-records", Cached: true, Matches: true}))
	}
	return list
}

func websiteHandlings() []statusz.Handling {
	return []statusz.Handling{
		{
			Began: before(14*time.Minute + 3*time.Second), Took: 0.0113, Cause: "change", By: "Deployment/shop/checkout", Attempt: 1,
			Changed: []string{"status.availableReplicas", "status.conditions"},
			Writes:  []statusz.Write{{Verb: "patch", Object: "websites/shop/checkout", Status: 200}}, WritesTotal: 1, Result: "done",
		},
		{
			Began: before(14*time.Minute + 4*time.Second), Took: 0.048, Cause: "change", Attempt: 1, Changed: []string{"spec.html", "spec.replicas"},
			Writes: []statusz.Write{
				{Verb: "patch", Object: "configmaps/shop/checkout-page", Status: 200}, {Verb: "patch", Object: "deployments/shop/checkout", Status: 200},
				{Verb: "create", Object: "services/shop/checkout", Status: 409},
			}, WritesTotal: 3, Result: "requeue", Again: Now.Add(5 * time.Minute),
		},
		{Began: before(3 * time.Hour), Took: 0.0042, Cause: "initial", Attempt: 1, Result: "done"},
	}
}
