package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// metric is one metric as its page describes it.
type metric struct {
	name, help, kind string
	labels           []string
}

// groups are the parts of the page, by what the names begin with; a metric belongs to the first
// that fits.
var groups = []struct{ title, text, prefix string }{
	{"Definitions, as Kooper names them", "They keep the names and labels of Kooper, so its dashboards work.", "kooper_"},
	{"Definitions", "", "kooperd_controller_"},
	{"Definitions", "", "kooperd_events_"},
	{"Children", "Of definitions whose plugin makes composers.", "kooperd_compose_"},
	{"Rollouts", "Of definitions with `rollout`.", "kooperd_rollout_"},
	{"Hooks", "Of definitions with the plugin `webhook`.", "kooperd_webhook_"},
	{"Sources", "A source is one list and watch, shared by all definitions that watch the same.", "kooperd_source_"},
	{"Leadership", "", "kooperd_le"},
	{"Leadership", "", "leader_"},
	{"Leadership", "", "kooperd_gate_"},
	{"Endpoints", "What the process itself serves.", "kooperd_http_"},
	{"The process", "", "kooperd_"},
	{"Requests to the API server", "client-go's, under the names that every Kubernetes component uses.", "rest_client_"},
	{"The work queue, as client-go names it", "The same measurements under the names that dashboards for controllers know.", "workqueue_"},
}

// labelTexts say what the labels of the metrics tell.
var labelTexts = map[string]string{
	"controller":  "name of the definition",
	"requeue":     "`true` for retries and for calls that a handler asked for with `RequeueAfter`, else `false`",
	"success":     "`true` or `false`",
	"state":       "`Waiting`, `Syncing`, `Running`, `ReloadPending`, `PruneHeld`, `Degraded` or `Paused`; a source is never `ReloadPending`, `PruneHeld` or `Paused`; of children: `ready`, `notReady` or `refused`; of parents in a rollout: `updated`, `updating` or `held`",
	"kind":        "kind that is watched",
	"api_version": "API group and version of the kind",
	"namespace":   "namespace that is watched; empty for the whole cluster",
	"selector":    "label and field selector of the watch; empty for all objects",
	"content":     "`whole` objects, or their `metadata` alone; behind it the field manager whose fields are kept with them",
	"name":        "of the lease, in `leader_election_master_status`; else of the definition",
	"to":          "`standby`, `leading`, `draining`, `released` or `lost`",
	"limit":       "`rate` for that of the definition, `maxConcurrent` for the engine's",
	"reason":      "why a definition is Degraded: `source`, `handler`, `rights`, `overdue`, `unavailable`, `failing`, `outOfRetries`, `refused`, or `undecidable`; why an event is skipped: `ignore` or `where`; or a request refused: `unauthenticated`, `forbidden`, or `undecided` when the API server could not be asked; of children: why one was applied, refused or could not be written; of a Kubernetes event that was not written: `budget` when the definition or the object has had too many, `queue` when too many waited, `refused`, or `timeout`",
	"hook":        "`sync`, `finalize` or `customize`",
	"outcome":     "`ok`, `notModified`, `throttled` (429), `serverError` (500 and above), `refused` (any other status), `badAnswer` (too large, or not to be decompressed), `timeout`, `connection`, `canceled`, or `notSent` while the circuit of the hook is open or the credentials cannot be read",
	"manager":     "field manager of another party; `other` beyond 20 of them",
	"server":      "`metrics` or `health`",
	"result":      "`success` or `error`",
	"hash":        "of the contents of the config files, the imported ones included",
	"by":          "`rights` where a right is missing, `admission` where a policy, a webhook or the fence refuses, else `other`",
	"version":     "of kooperd",
	"go_version":  "version of Go it was built with",
	"code":        "HTTP status, or `<error>` when there was no answer",
	"method":      "HTTP method",
	"verb":        "HTTP method",
	"host":        "address of the API server",
}

// metricsPage describes the metrics.
func metricsPage(plugins *handlers.Registry) ([]byte, error) {
	metrics, err := gather(plugins)
	if err != nil {
		return nil, err
	}
	var sections strings.Builder
	title := ""
	used := map[string]bool{}
	for i, g := range groups {
		for _, m := range metrics {
			if groupOf(m.name) != i {
				continue
			}
			if g.title != title {
				title = g.title
				fmt.Fprintf(&sections, "## %s\n\n", title)
				if g.text != "" {
					sections.WriteString(g.text + "\n\n")
				}
				sections.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
			}
			for _, label := range m.labels {
				used[label] = true
			}
			fmt.Fprintf(&sections, "| `%s` | %s | %s | %s |\n", m.name, m.kind, code(m.labels), cell(m.help))
		}
		if i+1 == len(groups) || groups[i+1].title != title {
			sections.WriteString("\n")
		}
	}
	labels, err := labelTable(used)
	if err != nil {
		return nil, err
	}
	return page("metrics.md.tmpl", map[string]any{"Sections": strings.TrimSpace(sections.String()) + "\n", "Labels": labels})
}

// labelTable describes the labels, all of which must be known.
func labelTable(used map[string]bool) (string, error) {
	var b strings.Builder
	var names []string
	for name := range used {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text, ok := labelTexts[name]
		if !ok {
			return "", fmt.Errorf("describing label %q: say in labelTexts what it tells", name)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, text)
	}
	return b.String(), nil
}

func groupOf(name string) int {
	for i, g := range groups {
		if strings.HasPrefix(name, g.prefix) {
			return i
		}
	}
	return -1
}

func code(names []string) string {
	var quoted []string
	for _, n := range names {
		quoted = append(quoted, "`"+n+"`")
	}
	return strings.Join(quoted, ", ")
}

// gather makes one series of every metric, in a registry of its own, and looks at them: only a
// series tells its type.
func gather(plugins *handlers.Registry) ([]metric, error) {
	registry := prometheus.NewRegistry()
	m := telemetry.NewMetrics(registry)
	exercise(m)
	if err := exercisePlugins(plugins, registry); err != nil {
		return nil, err
	}
	described := descriptions(registry)
	families, err := registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gathering the metrics: %w", err)
	}
	var all []metric
	for _, f := range families {
		delete(described, f.GetName())
		found := metric{name: f.GetName(), help: f.GetHelp(), kind: strings.ToLower(f.GetType().String())}
		for _, pair := range f.GetMetric()[0].GetLabel() {
			found.labels = append(found.labels, pair.GetName())
		}
		if groupOf(found.name) < 0 {
			return nil, fmt.Errorf("describing metric %s: it belongs to none of the groups", found.name)
		}
		all = append(all, found)
	}
	for name := range described {
		return nil, fmt.Errorf("describing metric %s: exercise makes no series of it", name)
	}
	return all, nil
}

// exercise makes a series of every metric.
func exercise(m *telemetry.Metrics) {
	m.CollectClientGo()
	exerciseClientGo()
	m.SetConfig("hash")
	m.SetBuild("version", "go")
	m.ObserveRenewal(0, errors.New("one"))
	m.ObserveLeadership("lease", func() bool { return false }, func() time.Duration { return 0 })
	m.ObserveLeaseWanted(func() bool { return false })
	m.ObserveLeaseWatch(func() time.Duration { return 0 })
	m.ObserveLog(func() uint64 { return 0 })
	m.ObservePending(func() int { return 0 })
	c := m.Controller("definition")
	c.Compose().DeclarePatches()
	c.ObserveParents(func() (notReady, childDeletion time.Duration) { return 0, 0 })
	c.Rollout().Declare()
	c.ObserveRunning(func() (sum, longest time.Duration) { return 0, 0 })
	c.ObserveDeletions(func() (objects int, longest time.Duration) { return 0, 0 })
	for _, limit := range []string{telemetry.LimitRate, telemetry.LimitMaxConcurrent} {
		c.ObserveThrottled(limit, func() time.Duration { return 0 })
	}
	m.Source(telemetry.SourceLabels{Kind: "Pod", APIVersion: "v1"}).SetState(status.Running)
	status.NewBoard(m).Set("definition", status.Running, "")
}

// exercisePlugins makes what has metrics of its own, as the engine does.
func exercisePlugins(plugins *handlers.Registry, registry prometheus.Registerer) error {
	bound, problems, err := plugins.Bind("webhook", []byte(`{"sync": {"url": "http://hook"}}`))
	if err != nil || len(problems) > 0 {
		return fmt.Errorf("binding the plugin webhook: %v: %w", problems, err)
	}
	_, err = bound.NewComposer(context.Background(), handlers.Env{
		Definition: "definition", Logger: logr.Discard(),
		Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"controller": "definition"}, registry),
	})
	return err
}

var descName = regexp.MustCompile(`fqName: "([^"]*)"`)

// descriptions are the names of all registered metrics.
func descriptions(c prometheus.Collector) map[string]bool {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	names := map[string]bool{}
	for d := range descs {
		if match := descName.FindStringSubmatch(d.String()); match != nil {
			names[match[1]] = true
		}
	}
	return names
}
