package daemon

import (
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// reportTime is when all reports of tests are made.
var reportTime = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)

// before is a moment before reportTime.
func before(d time.Duration) time.Time { return reportTime.Add(-d) }

const (
	leaderName  = "kooperd-7d9c5-x2vlq_3b1f0c9e-8a44-4d0e-9a53-0f5f6f0a2c11"
	standbyName = "kooperd-7d9c5-k8s9d_5e0c8f3a-1b2c-4d5e-8f90-a1b2c3d4e5f6"
)

func website(name string) statusz.ObjectRef {
	return statusz.ObjectRef{APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Namespace: "team-a", Name: name}
}

func in(state status.State, since time.Duration, reason string) status.Status {
	return status.Status{State: state, Reason: reason, Since: before(since)}
}

// leaderReport has a definition in every state, and objects in every kind of trouble.
func leaderReport() *statusz.Report {
	return &statusz.Report{
		Version: statusz.Version, Time: reportTime,
		Process:    statusz.Process{Name: leaderName, Version: "v1.2.3", Started: before(5 * time.Hour)},
		Leadership: statusz.Leadership{Leading: true, Lease: "kooper-system/kooperd", Holder: leaderName, Since: before(3 * time.Hour)},
		Config: statusz.Config{
			From: "configmap:kooper-system/controllers",
			Running: statusz.Revision{Hash: "6f1c2d3e4f5a6b7c8d9e", Accepted: before(30 * time.Minute), Changed: []statusz.Change{
				{Definition: "website", What: "changed"}, {Definition: "old", What: "removed"},
			}},
			Refused: &statusz.Refusal{Reason: "controllers.cue:6:3: controllers.pods: unknown field", Since: before(2 * time.Minute)},
			Before:  []statusz.Revision{{Hash: "aaaa", Accepted: before(5 * time.Hour)}},
		},
		Ready:       false,
		Awaited:     []string{"pods", "an answer of the API server"},
		Definitions: everyDefinition(),
		Sources: []statusz.Source{
			{APIVersion: "v1", Kind: "ConfigMap", Content: "fields of kooperd", Status: in(status.Running, 3*time.Hour, ""), Objects: 1234, Bytes: 2_345_678,
				Definitions: []string{"hooked", "held", "queued", "website"}, Selector: "kooperd.dev/installation=abc"},
			{APIVersion: "v1", Kind: "Secret", Namespace: "payments", Content: "metadata", Status: in(status.Degraded, 4*time.Minute,
				`forbidden to list and watch secrets in namespace payments; a Role of namespace payments with this rule is missing: `+
					`{apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"]}`), Definitions: []string{"secrets"}},
			{APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Content: "whole", Status: in(status.Running, 3*time.Hour, ""), Objects: 1, Bytes: 812,
				Definitions: []string{"website"}},
		},
		Objects: statusz.Objects{
			NotReady: statusz.ObjectList{Total: 14, Items: []statusz.ObjectRow{
				{Definition: "website", Object: website("shop"), Child: "Deployment/team-a/shop", Reason: "1 of 3 replicas are available", Since: before(5 * time.Minute)},
			}},
			Failing: statusz.ObjectList{Total: 2, GivenUp: 1, Items: []statusz.ObjectRow{
				{Definition: "hooked", Object: website("wiki"), Reason: "the zone does not exist", Since: before(time.Hour), GivenUp: true},
				{Definition: "hooked", Object: website("blog"), Reason: "the hook answers 500: out of memory", Since: before(90 * time.Second)},
			}},
			Fights: statusz.ObjectList{Total: 1, Items: []statusz.ObjectRow{
				{Definition: "website", Object: website("shop"), Child: "ConfigMap/team-a/page", Reason: "argocd sets data.html back"},
			}},
			Held:    statusz.ObjectList{Total: 2},
			Refused: statusz.ObjectList{Total: 1, Items: []statusz.ObjectRow{{Definition: "website", Object: website("x"), Child: "Service/team-a/x"}}},
		},
		History: statusz.History{Enabled: true, Objects: 812, Handlings: 3021, Bytes: 1_234_567, Limit: 8_000_000},
	}
}

// everyDefinition has a definition in every state.
func everyDefinition() []statusz.Definition {
	return []statusz.Definition{
		{Name: "hooked", Plugin: "webhook", APIVersion: "demo.kooperd.dev/v1", Kind: "Website",
			Status: in(status.Degraded, 90*time.Second, "calls keep failing for 1 object(s); team-a/blog: the hook answers 500: out of memory"),
			Queue:  statusz.Queue{Waiting: 3, Oldest: 12.34, Later: 1}, Calls: statusz.Calls{Workers: 1, Busy: 1, Window: 300, Total: 40, Failed: 13, P50: 1.5, P99: 61}},
		{Name: "held", Plugin: "apply", Status: in(status.PruneHeld, time.Hour, "40 of the 50 children of the definition would be gone within 10 minutes, so none is deleted"),
			Children: map[string]int{"ready": 45, "refused": 5, "pending": 0}},
		{Name: "nodes", Plugin: "log", APIVersion: "v1", Kind: "Node", EveryReplica: true, Status: in(status.Running, 5*time.Hour, ""),
			Calls: statusz.Calls{Workers: 1, Window: 300, Total: 2, P50: 0.0004, P99: 0.0012}},
		{Name: "off", Plugin: "log", APIVersion: "v1", Kind: "Pod", Status: in(status.Paused, 3*time.Hour, "")},
		{Name: "pods", Plugin: "exec", APIVersion: "v1", Kind: "Pod", Status: in(status.Syncing, 3*time.Second, "")},
		{Name: "queued", Plugin: "exec", APIVersion: "v1", Kind: "ConfigMap", Status: in(status.ReloadPending, time.Minute, "the change of the definition waits: making the handler"),
			Queue: statusz.Queue{Waiting: 120, Oldest: 0.2, Throttled: "the API server has answered 14 writes with 429 (too many requests) in the last 5m0s"}, Calls: statusz.Calls{Workers: 4, Busy: 4, Window: 300, Total: 9000, P50: 0.012, P99: 0.25}},
		{Name: "secrets", Plugin: "log", APIVersion: "v1", Kind: "Secret", Status: in(status.Degraded, 4*time.Minute, "forbidden to list and watch secrets")},
		{Name: "website", Plugin: "apply", APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Status: in(status.Running, 30*time.Minute, ""),
			Rollout: "rollout: of 20 parents, 3 are updated and ready, 17 are held", Calls: statusz.Calls{Workers: 3, Window: 300, Total: 400, P50: 0.02, P99: 0.09}},
		{Name: "widgets", Plugin: "log", APIVersion: "example.com/v1", Kind: "Widget",
			Status: in(status.Waiting, 3*time.Hour, "the API server does not serve kind Widget of example.com/v1")},
	}
}

// standbyReport is that of a replica that waits.
func standbyReport() *statusz.Report {
	r := leaderReport()
	r.Process.Name = standbyName
	r.Leadership = statusz.Leadership{Lease: "kooper-system/kooperd", Holder: leaderName, Since: before(3 * time.Hour), Renewed: before(time.Second)}
	r.Config = statusz.Config{From: "controllers.cue", Running: statusz.Revision{Hash: "6f1c", Accepted: before(5 * time.Hour)}}
	r.Ready, r.Awaited, r.Objects, r.Sources = true, nil, statusz.Objects{}, nil
	r.Definitions = []statusz.Definition{{Name: "website", Plugin: "apply", APIVersion: "demo.kooperd.dev/v1", Kind: "Website",
		Status: in(status.Running, 5*time.Hour, "")}}
	r.History = statusz.History{}
	return r
}

// objectReports are objects of every fate, by the name of their golden file.
func objectReports() map[string]*statusz.ObjectReport {
	report := func(name string, leading bool, definitions ...statusz.ObjectIn) *statusz.ObjectReport {
		return &statusz.ObjectReport{Version: statusz.Version, Time: reportTime, Object: website(name), Leading: leading, Definitions: definitions}
	}
	child := report("shop", true)
	child.Object = statusz.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "team-a", Name: "shop"}
	child.ChildOf = []statusz.ObjectRow{{Definition: "website", Object: website("shop"), Reason: "1 of 3 replicas are available", Since: before(5 * time.Minute)}}
	return map[string]*statusz.ObjectReport{
		"handled": report("shop", true, statusz.ObjectIn{
			Definition: "website", Cached: true, Matches: true,
			Blocked: []statusz.ObjectRow{
				{Definition: "website", Object: website("shop"), Child: "Deployment/team-a/shop", Reason: "1 of 3 replicas are available", Since: before(5 * time.Minute)},
				{Definition: "website", Object: website("shop"), Reason: "a rollout holds it"},
			},
			Handlings: []statusz.Handling{
				{Began: before(20 * time.Second), Took: 0.034, Cause: "change", Attempt: 1, Changed: []string{"spec.html", "spec.replicas"}, Result: "requeue",
					Again:       reportTime.Add(90 * time.Second),
					Writes:      []statusz.Write{{Verb: "patch", Object: "configmaps/team-a/page", Status: 200}, {Verb: "create", Object: "deployments/team-a/shop", Status: 201}},
					WritesTotal: 19},
				{Began: before(2 * time.Minute), Took: 0.004, Cause: "change", By: "Deployment/team-a/shop", Attempt: 1, Result: "requeue",
					Again: reportTime.Add(-20 * time.Second)},
				{Began: before(3 * time.Hour), Took: 61, Cause: "initial", Attempt: 2, Result: "retry", Error: "the API server answers 429",
					Writes: []statusz.Write{{Verb: "patch", Object: "services/team-a/shop", Status: 429}, {Verb: "patch", Object: "services/team-a/other"}}, WritesTotal: 2},
			},
		}),
		"failing": report("blog", true,
			statusz.ObjectIn{Definition: "hooked", Cached: true, Matches: true, Waiting: "its retry in 12s, after 3 failed calls", Failures: 3, Error: "the hook answers 500: out of memory"},
			statusz.ObjectIn{Definition: "website", Cached: true}, statusz.ObjectIn{Definition: "gone"}),
		"given-up": report("wiki", true, statusz.ObjectIn{Definition: "hooked", Cached: true, Matches: true, Waiting: "nothing", Failures: 5, Error: "the zone does not exist",
			GivenUp: true, Handlings: []statusz.Handling{
				{Began: before(time.Hour), Took: 0.2, Cause: "retry", Attempt: 5, Result: "exhausted", Error: "the zone does not exist"},
				{Began: before(2 * time.Hour), Took: 0.2, Cause: "change", Attempt: 4, Result: "retry", Error: "the zone does not exist", Again: before(time.Hour)},
			}}),
		"standby": report("shop", false, statusz.ObjectIn{Definition: "website", Cached: true, Matches: true},
			statusz.ObjectIn{Definition: "nodes", Cached: true, Matches: true}),
		"paused": report("shop", true, statusz.ObjectIn{Definition: "off", Cached: true, Matches: true}),
		"child":  child,
	}
}
