package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/test/daemon"
)

// alert is one alert of a PrometheusRule.
type alert struct {
	Name        string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// alertRules is the spec of a PrometheusRule, and a rule file of Prometheus.
type alertRules struct {
	Groups []struct {
		Name  string  `json:"name"`
		Rules []alert `json:"rules"`
	} `json:"groups"`
}

// alertsOf renders the alerts of a release. Arguments are further ones of helm.
func alertsOf(t *testing.T, version string, args ...string) alertRules {
	t.Helper()
	args = append([]string{"--values", examples(t)["one-namespace"], "--set", "metrics.prometheusRule.enabled=true"}, args...)
	return decodeAlerts(t, render(t, version, "platform", args...).get(t, "PrometheusRule"))
}

// allAlerts are the values that switch on the alerts that are off by default.
const allAlerts = "metrics.prometheusRule.alerts.KooperdParentNotReady.enabled=true"

func decodeAlerts(t *testing.T, object *unstructured.Unstructured) (rules alertRules) {
	t.Helper()
	text, err := json.Marshal(field(t, object, "spec"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	return rules
}

// byName are the alerts of all groups.
func (r alertRules) byName() map[string]alert {
	all := map[string]alert{}
	for _, group := range r.Groups {
		for _, rule := range group.Rules {
			all[rule.Name] = rule
		}
	}
	return all
}

// alertFile are the alerts as the chart has them, before it makes them those of a release.
func alertFile(t *testing.T) (rules alertRules) {
	t.Helper()
	text := readFile(t, filepath.Join(chartDir, "files", "alerts.yaml"))
	if err := yaml.UnmarshalStrict([]byte(text), &rules); err != nil {
		t.Fatalf("reading the alerts: %v", err)
	}
	return rules
}

// The alerts of a release are those of the file, about the metrics of the release.
func TestAlertsOfRelease(t *testing.T) {
	forEachHelm(t, func(t *testing.T, version string) {
		if _, ok := alertsOf(t, version).byName()["KooperdParentNotReady"]; ok {
			t.Error("KooperdParentNotReady is there, though nobody has switched it on")
		}
		got := alertsOf(t, version, "--set", allAlerts).byName()
		for name, want := range alertFile(t).byName() {
			want.Expr = strings.ReplaceAll(want.Expr, `job="kooperd"`, `job="demo-kooperd-metrics", namespace="platform"`)
			wantSame(t, name, got[name], want)
		}
	})
}

// What the values say of alerts is done.
func TestAlertValues(t *testing.T) {
	all := alertsOf(t, "helm4", "--set", "replicas=3,metrics.prometheusRule.selector=job=~\"a|b\"",
		"--set", "metrics.prometheusRule.runbookURL=https://wiki.example/kooperd,metrics.prometheusRule.alertLabels.team=platform",
		"--set", "metrics.prometheusRule.alerts.KooperdFight.enabled=false",
		"--set", "metrics.prometheusRule.alerts.KooperdNoLeader.for=90s,metrics.prometheusRule.alerts.KooperdNoLeader.severity=page").byName()
	wantSame(t, "an alert", all["KooperdNoLeader"], alert{
		Name: "KooperdNoLeader", Expr: strings.ReplaceAll(alertFile(t).byName()["KooperdNoLeader"].Expr, `job="kooperd"`, `job=~"a|b"`), For: "90s",
		Labels: map[string]string{"severity": "page", "team": "platform"},
		Annotations: map[string]string{
			"summary":     alertFile(t).byName()["KooperdNoLeader"].Annotations["summary"],
			"description": alertFile(t).byName()["KooperdNoLeader"].Annotations["description"],
			"runbook_url": "https://wiki.example/kooperd#kooperdnoleader",
		},
	})
	if expr := all["KooperdReplicaMissing"].Expr; !strings.HasSuffix(expr, "< 3") {
		t.Errorf("with 3 replicas, KooperdReplicaMissing is %s", expr)
	}
	if _, ok := all["KooperdFight"]; ok {
		t.Error("KooperdFight is there, and was switched off")
	}
	if _, ok := alertsOf(t, "helm3", "--set", "replicas=1").byName()["KooperdReplicaMissing"]; ok {
		t.Error("KooperdReplicaMissing is there with one replica")
	}
	for _, value := range []string{"KooperdNone.enabled=false", "KooperdFight.for=soon", "KooperdFight.threshold=1"} {
		out, err := tryHelm(t, "helm4", "template", "demo", chartDir, "--values", examples(t)["one-namespace"],
			"--set", "metrics.prometheusRule.alerts."+value)
		if err == nil {
			t.Errorf("%s is taken for good:\n%.300s", value, out)
		}
	}
}

// Every alert of the chart has values.
func TestValuesOfEachAlert(t *testing.T) {
	set := []string{allAlerts}
	names := slices.Sorted(maps.Keys(alertFile(t).byName()))
	for _, name := range names {
		set = append(set, "metrics.prometheusRule.alerts."+name+".for=7m")
	}
	all := alertsOf(t, "helm4", "--set", strings.Join(set, ",")).byName()
	for _, name := range names {
		if all[name].For != "7m" {
			t.Errorf("%s has for: %s, and was given 7m", name, all[name].For)
		}
	}
}

// Each alert says what it is about, how bad it is, and where its runbook is; and each runbook is
// that of an alert.
func TestRunbooks(t *testing.T) {
	page := readFile(t, filepath.Join(repository, "docs", "runbooks.md"))
	var sections []string
	for line := range strings.Lines(page) {
		if name, ok := strings.CutPrefix(line, "### Kooperd"); ok {
			sections = append(sections, "Kooperd"+strings.TrimSpace(name))
		}
	}
	alerts := alertFile(t).byName()
	wantSame(t, "the sections of docs/runbooks.md", slices.Sorted(slices.Values(sections)), slices.Sorted(maps.Keys(alerts)))
	for name, a := range alerts {
		if want := "docs/runbooks.md#" + strings.ToLower(name); a.Annotations["runbook"] != want || a.Annotations["runbook_url"] != "" {
			t.Errorf("%s: the runbook is %q and at %q, want %q and no address", name, a.Annotations["runbook"], a.Annotations["runbook_url"], want)
		}
		if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has the severity %q", name, severity)
		}
		about := []string{"$labels.namespace", "$labels.job"}
		if slices.Contains(parseQuery(t, a.Expr).labels, "controller") {
			about = append(about, "$labels.controller")
		}
		for _, label := range about {
			if !strings.Contains(a.Annotations["summary"], label) {
				t.Errorf("%s: the summary does not have %s", name, label)
			}
		}
		heading, row := "### "+name+"\n", fmt.Sprintf("| [%s](#%s) | %s | %s |", name, strings.ToLower(name), a.Labels["severity"], a.For)
		if !strings.Contains(page, heading) || !strings.Contains(page, row) {
			t.Errorf("docs/runbooks.md has no heading %q, or no row %q", heading, row)
		}
	}
}

// targetLabels are those that Prometheus gives to all that it scrapes from one target.
var targetLabels = []string{"namespace", "job", "instance"}

// TestMetricsExist looks for every metric, label and value of a label that an alert or the
// dashboard names, in what a kooperd answers that has all plugins and has met no error.
func TestMetricsExist(t *testing.T) {
	config := readFile(t, "testdata/all-plugins.cue")
	p := daemon.Start(t, daemon.Options{Config: config, Kubeconfig: shared.AdminKubeconfig()})
	p.AwaitLog(t, "became leader")
	p.Await(t, "the metrics of all definitions", func() bool {
		_, body := p.Get(t, "metrics", "/metrics")
		return strings.Contains(body, `kooperd_webhook_circuit_open{controller="hooked"`) &&
			strings.Contains(body, `kooperd_compose_patches{controller="made"`) &&
			strings.Contains(body, `kooperd_rollout_parents{controller="made"`) &&
			strings.Contains(body, `kooperd_compose_refused_objects{by="other",controller="asked"`)
	})
	_, body := p.Get(t, "metrics", "/metrics")
	scraped := parseScrape(t, body)
	checkKooperMetrics(t, scraped)
	exprs := map[string]string{}
	for name, a := range alertFile(t).byName() {
		exprs[name] = a.Expr
	}
	for _, target := range readDashboard(t).targets() {
		exprs[target.where] = target.expr
	}
	for where, expr := range exprs {
		for _, problem := range missing(parseQuery(t, expr), scraped) {
			t.Errorf("%s: %s, in %s", where, problem, expr)
		}
	}
}

// missing says what a query names that is not in a scrape.
func missing(q query, scraped map[string]series) (problems []string) {
	known := func(label string) bool { return slices.Contains(targetLabels, label) }
	for _, s := range q.selectors {
		found := scraped[s.metric]
		if s.metric == "up" { // Prometheus makes it.
			continue
		}
		if len(found) == 0 {
			problems = append(problems, "there is no metric "+s.metric)
			continue
		}
		for _, m := range s.matchers {
			if !known(m.label) && !found.has(m.label) {
				problems = append(problems, fmt.Sprintf("%s has no label %s", s.metric, m.label))
				continue
			}
			for _, value := range m.words() {
				if !known(m.label) && !found.hasValue(m.label, value) {
					problems = append(problems, fmt.Sprintf("no series of %s has %s=%q", s.metric, m.label, value))
				}
			}
		}
	}
	for _, label := range q.labels {
		of := func(s selector) bool { return scraped[s.metric].has(label) }
		if !known(label) && !slices.ContainsFunc(q.selectors, of) {
			problems = append(problems, "none of the metrics has the label "+label)
		}
	}
	return problems
}

// The check finds a metric, a label and a value that are not there.
func TestMissing(t *testing.T) {
	scraped := map[string]series{"a_total": {{"state": "Running"}}}
	for expr, want := range map[string]string{
		`sum by (job, state) (rate(a_total{state=~"Running|Gone"}[5m]))`: `no series of a_total has state="Gone"`,
		`b_total > 1`:                        "there is no metric b_total",
		`a_total{reason="x", job="$job"}`:    "a_total has no label reason",
		`max by (controller) (a_total) == 1`: "none of the metrics has the label controller",
		`a_total{state!="Running"} unless on (state) a_total or vector(0)`: "",
	} {
		wantSame(t, expr, strings.Join(missing(parseQuery(t, expr), scraped), "; "), want)
	}
}
