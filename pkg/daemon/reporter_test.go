package daemon

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/server"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// built is a process of a config, whose parts do not run.
func built(t *testing.T, text string, election bool) *process {
	t.Helper()
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{
		flags:   runFlags{leaderElect: election, historyLimit: defaultHistory, servingFlags: servingFlags{metricsAddress: server.Disabled, healthAddress: server.Disabled}},
		sources: configSources{paths: []string{file}}, logger: logr.Discard(), metrics: newMetrics(),
	}
	p.board = status.NewBoard(p.metrics)
	where := clusterConfig{rest: &rest.Config{Host: "https://127.0.0.1:1"}, namespace: "kooper-system"}
	if err := p.load(t.Context(), io.Discard, where, registry); err != nil {
		t.Fatal(err)
	}
	if err := p.build(t.Context(), where, serving{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, end := context.WithCancel(t.Context())
		end()
		p.engine.Run(ended)
		p.cluster.Close()
		if p.elector != nil {
			p.elector.close()
		}
	})
	return p
}

const reportedConfig = `apiVersion: kooperd.dev/v1alpha1
controllers:
  pods: {watch: {apiVersion: v1, kind: Pod}, handler: {log: {}}}
  nodes: {watch: {apiVersion: v1, kind: Node}, paused: true, handler: {log: {}}}
`

func TestReport(t *testing.T) {
	p := built(t, reportedConfig, true)
	began := time.Now()
	reporter := newReporter(p)
	p.configRefused("line one is wrong\nline two, too")
	report := reporter.Report(t.Context(), statusz.Items{Whole: 10, Each: 10})
	if report.Version != statusz.Version || report.Process.Name == "" || report.Process.Started.Before(began) || report.Process.Version != Version() {
		t.Errorf("process: %+v", report.Process)
	}
	if l := report.Leadership; l.Disabled || l.Leading || l.Lease != "kooper-system/kooperd" || l.Holder != "" || !l.Since.IsZero() || !l.Unread {
		t.Errorf("leadership: %+v", l)
	}
	c := report.Config
	if c.From != p.sources.paths[0] || c.Running.Hash != p.cfg.Hash || c.Running.Accepted.IsZero() || len(c.Before) != 0 || c.Refused == nil || c.Refused.Reason != "line one is wrong; line two, too" ||
		c.Refused.MistakesTotal != 2 || !slices.Equal(c.Refused.Mistakes, []string{"line one is wrong", "line two, too"}) {
		t.Errorf("config: %+v", c)
	}
	if len(report.Definitions) != 2 || report.Definitions[0].Name != "nodes" || report.Definitions[0].State != status.Paused || report.Definitions[1].State != status.Syncing {
		t.Errorf("definitions: %+v", report.Definitions)
	}
	if report.Ready || len(report.Awaited) == 0 || !report.History.Enabled || report.History.Limit != defaultHistory {
		t.Errorf("ready: %t, awaited: %v, history: %+v", report.Ready, report.Awaited, report.History)
	}
	if _, found := reporter.Object(t.Context(), statusz.ObjectRef{Kind: "Service", Name: "x"}); found {
		t.Error("an object of a kind that nobody watches is found")
	}
	if found, more := reporter.Search(t.Context(), "x", 10); len(found) != 0 || more {
		t.Errorf("found: %v", found)
	}
	text, err := json.Marshal(report)
	var back statusz.Report
	if err != nil || json.Unmarshal(text, &back) != nil || back.Config.Running.Hash != p.cfg.Hash {
		t.Errorf("as JSON: %v, %s", err, text)
	}
}

func TestReportWithoutElection(t *testing.T) {
	p := built(t, reportedConfig, false)
	report := newReporter(p).Report(t.Context(), statusz.Items{Whole: 10, Each: 10})
	if l := report.Leadership; !l.Disabled || !l.Leading || report.Process.Name == "" || report.Config.Refused != nil {
		t.Errorf("%+v", report)
	}
}

// TestReportWhereNothingNeedsTheLease has definitions that are paused or run on every replica.
func TestReportWhereNothingNeedsTheLease(t *testing.T) {
	for name, needed := range map[string]bool{"leaderElection: disabled, ": false, "paused: true, ": false, "": true} {
		p := built(t, strings.Replace(reportedConfig, "pods: {", "pods: {"+name, 1), true)
		report := newReporter(p).Report(t.Context(), statusz.Items{Whole: 10, Each: 10})
		if l := report.Leadership; l.Unneeded == needed || l.Leading || l.Works() == needed {
			t.Errorf("with %q: %+v", name, l)
		}
		families, err := p.metrics.Registry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		wanted := -1.0
		for _, family := range families {
			if family.GetName() == "kooperd_lease_wanted" {
				wanted = family.GetMetric()[0].GetGauge().GetValue()
			}
		}
		if (wanted == 1) != needed || wanted < 0 {
			t.Errorf("with %q, kooperd_lease_wanted is %v", name, wanted)
		}
	}
}
