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

// troubled has objects in every kind of trouble, and more of some than a page lists: what was given
// up first, and then what began first.
func troubled() statusz.Objects {
	postgres := func(name string) statusz.ObjectRef { return ref("db.example.com/v1", "Postgres", "shop", name) }
	o := statusz.Objects{
		NotReady: statusz.ObjectList{Items: []statusz.ObjectRow{
			{Definition: "secret-copy", Object: ref("v1", "Secret", "platform", "registry"), Reason: "Foreign: " + foreign, Since: before(6 * 24 * time.Hour)},
			{Definition: "website", Object: website("catalog"), Reason: pending, Since: before(2 * time.Hour)},
			{Definition: "website", Object: website("landing"), Reason: "Fight: " + fight, Since: before(38 * time.Minute)},
			{Definition: "website", Object: website("checkout"), Reason: unavailable, Since: before(14 * time.Minute)},
			{Definition: "postgres", Object: postgres("orders"), Reason: "NotReady: StatefulSet shop/orders: 1 of 3 updatedReplicas", Since: before(3 * time.Minute)},
		}},
		Fights: statusz.ObjectList{Items: []statusz.ObjectRow{
			{Definition: "website", Object: website("landing"), Child: "Deployment/shop/landing", Reason: fight, Since: before(38 * time.Minute)},
		}},
		Held: statusz.ObjectList{Items: []statusz.ObjectRow{
			{Definition: "website", Object: website("promo"), Reason: paused, Since: before(50 * time.Hour)},
			{Definition: "website", Object: website("archive"), Child: "PersistentVolumeClaim/shop/archive-cache", Reason: kept, Since: before(49 * time.Minute)},
		}},
		Refused: statusz.ObjectList{Items: []statusz.ObjectRow{
			{Definition: "secret-copy", Object: ref("v1", "Secret", "platform", "registry"), Child: "Secret/legacy/registry", Reason: "Secret legacy/registry exists and was not made by kooperd", Since: before(6 * 24 * time.Hour)},
		}},
	}
	for i := range 12 {
		name := fmt.Sprintf("team-%02d", i)
		o.Held.Items = append(o.Held.Items, statusz.ObjectRow{
			Definition: "namespace-defaults", Object: ref("v1", "Namespace", "", name), Child: "LimitRange/" + name + "/defaults", Reason: "it is not desired any more: " + brake,
			Since: before(11 * time.Minute),
		})
	}
	for _, name := range []string{"accounts", "events", "users"} {
		o.Held.Items = append(o.Held.Items, statusz.ObjectRow{Definition: "postgres", Object: postgres(name), Reason: itsTurn, Since: before(4 * time.Minute)})
	}
	failing := func(name, reason string, minutes int, givenUp bool) {
		o.Failing.Items = append(o.Failing.Items, statusz.ObjectRow{
			Definition: "dns-records", Object: ref("v1", "Service", "shop", name), Reason: reason, Since: before(time.Duration(minutes) * time.Minute), GivenUp: givenUp,
		})
	}
	failing("legacy-api", noZone, 9, true)
	failing("legacy-www", noZone, 7, true)
	o.Failing.Items = append(o.Failing.Items, statusz.ObjectRow{
		Definition: "secret-copy", Object: ref("v1", "Secret", "platform", "registry"), Reason: foreign, Since: before(6 * 24 * time.Hour),
	})
	failing("web-0", Markup, 12, false)
	for i := range 9 {
		failing(fmt.Sprintf("web-%d", i+1), lockedZone, 11-i, false)
	}
	o.Failing.GivenUp = 2
	for _, list := range []*statusz.ObjectList{&o.NotReady, &o.Failing, &o.Fights, &o.Held, &o.Refused} {
		list.Total = len(list.Items)
	}
	return o
}

// pending is why a parent is not ready that waits for one of its children.
const pending = "Pending: child service is waiting for child deployment: it is not ready"

// noZone is an error of a hook.
const noZone = `POST https://dns.example.com/v2: answered 404 Not Found: "the zone legacy.example.com does not exist"`

// knownObjects have every result, one that waits, one that was given up, one that nobody has
// handled, and a child.
func knownObjects() []*statusz.ObjectReport {
	report := func(o statusz.ObjectRef, in ...statusz.ObjectIn) *statusz.ObjectReport {
		return &statusz.ObjectReport{Version: statusz.Version, Time: Now, Object: o, Leading: true, Definitions: in}
	}
	idle := func(definition string) statusz.ObjectIn {
		return statusz.ObjectIn{Definition: definition, Cached: true, Matches: true, Waiting: "nothing"}
	}
	landing := idle("website")
	landing.Blocked = []statusz.ObjectRow{
		{Definition: "website", Object: website("landing"), Reason: "Fight: " + fight, Since: before(38 * time.Minute)},
		{Definition: "website", Object: website("landing"), Child: "Deployment/shop/landing", Reason: fight, Since: before(38 * time.Minute)},
	}
	list := []*statusz.ObjectReport{
		report(website("checkout"), statusz.ObjectIn{
			Definition: "website", Cached: true, Matches: true, Waiting: "its next call in 4m46s",
			Blocked:   []statusz.ObjectRow{{Definition: "website", Object: website("checkout"), Reason: unavailable, Since: before(14 * time.Minute)}},
			Handlings: websiteHandlings(),
		}),
		report(ref("v1", "Service", "shop", "web-0"), statusz.ObjectIn{
			Definition: "dns-records", Cached: true, Matches: true, Waiting: "its retry in 41s, after 4 failed calls", Failures: 4, Error: Markup,
			Handlings: []statusz.Handling{
				{Began: before(19 * time.Second), Took: 4.2, Cause: "retry", Attempt: 4, Result: "retry", Error: Markup, Again: Now.Add(41 * time.Second)},
				{Began: before(2 * time.Minute), Took: 0.0031, Cause: "retry", Attempt: 3, Result: "panic", Error: "panic: runtime error: index out of range [3] with length 3", Again: before(19 * time.Second)},
				{Began: before(9 * time.Minute), Took: 60, Cause: "change", Attempt: 2, Changed: []string{"metadata.labels"}, Result: "retry", Error: "after the timeout of 1m0s: POST https://dns.example.com/v2: no answer: context deadline exceeded", Again: before(2 * time.Minute)},
				{Began: before(12 * time.Minute), Took: 0.2, Cause: "change", Attempt: 1, Changed: []string{"spec.ports"}, Result: "terminal", Error: noZone},
				{Began: before(3*time.Hour + 12*time.Minute), Took: 0.2, Cause: "initial", Attempt: 1, Result: "cancelled", Error: "the term is over"},
			},
		}),
		report(ref("v1", "Service", "shop", "legacy-api"), statusz.ObjectIn{
			Definition: "dns-records", Cached: true, Matches: true, Waiting: "nothing", Failures: 1, Error: noZone, GivenUp: true,
			Handlings: []statusz.Handling{{Began: before(9 * time.Minute), Took: 0.2, Cause: "change", Attempt: 1, Changed: []string{"metadata.annotations"}, Result: "terminal", Error: noZone}},
		}),
		report(website("landing"), landing),
		report(ref("v1", "Namespace", "", "shop"), idle("namespace-defaults"), statusz.ObjectIn{Definition: "team-quotas", Cached: true, Waiting: "nothing"}),
	}
	child := report(ref("apps/v1", "Deployment", "shop", "checkout"))
	child.ChildOf = []statusz.ObjectRow{{Definition: "website", Object: website("checkout"), Child: "Deployment/shop/checkout", Reason: unavailable, Since: before(14 * time.Minute)}}
	page := report(ref("v1", "ConfigMap", "shop", "checkout-page"))
	page.ChildOf = []statusz.ObjectRow{{Definition: "website", Object: website("checkout"), Child: "ConfigMap/shop/checkout-page"}}
	list = append(list, child, page)
	for i := range 60 {
		list = append(list, report(ref("v1", "Service", "shop", fmt.Sprintf("backend-%02d", i)), idle("dns-records")))
	}
	return list
}

func websiteHandlings() []statusz.Handling {
	return []statusz.Handling{
		{
			Began: before(14 * time.Second), Took: 0.0113, Cause: "change", By: "Deployment/shop/checkout", Attempt: 1,
			Writes: []statusz.Write{{Verb: "patch", Object: "websites/shop/checkout", Kind: "Website", Subresource: "status", Status: 200}}, WritesTotal: 1, Result: "requeue",
			Again: Now.Add(4*time.Minute + 46*time.Second),
		},
		{
			Began: before(14*time.Minute + 3*time.Second), Took: 0.048, Cause: "retry", Attempt: 2,
			Writes: []statusz.Write{
				{Verb: "patch", Object: "deployments/shop/checkout", Kind: "Deployment", Status: 200},
				{Verb: "patch", Object: "websites/shop/checkout", Kind: "Website", Subresource: "status", Status: 200},
			}, WritesTotal: 2, Result: "requeue", Again: before(9 * time.Minute),
		},
		{
			Began: before(14*time.Minute + 4*time.Second), Took: 0.031, Cause: "change", Attempt: 1, Changed: []string{"spec.html", "spec.replicas"},
			Writes: []statusz.Write{
				{Verb: "patch", Object: "configmaps/shop/checkout-page", Kind: "ConfigMap", Status: 200}, {Verb: "patch", Object: "deployments/shop/checkout", Kind: "Deployment", Status: 429},
			}, WritesTotal: 2, Result: "retry", Error: "patching Deployment shop/checkout: the server has received too many requests and has asked us to try again later",
			Again: before(14*time.Minute + 3*time.Second),
		},
		{Began: before(3*time.Hour + 12*time.Minute), Took: 0.0042, Cause: "initial", Attempt: 1, Result: "done"},
	}
}
