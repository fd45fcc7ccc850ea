package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// needPrometheus skips a test that needs programs of Prometheus, which take minutes to build.
func needPrometheus(t *testing.T, program string) string {
	t.Helper()
	if !*conformance {
		t.Skip("it needs " + program + ", and runs with -conformance only")
	}
	if _, err := os.Stat(binary(program)); err != nil {
		t.Fatalf("looking for %s: %v; run: make bin/%s", program, err, program)
	}
	return binary(program)
}

// writeAlerts writes alerts as a rule file of Prometheus.
func writeAlerts(t *testing.T, path string, rules alertRules) {
	t.Helper()
	text, err := yaml.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(text))
}

// Each alert fires, does not fire for what is like its fault, and resolves.
func TestAlertCases(t *testing.T) {
	promtool := needPrometheus(t, "promtool")
	dir := t.TempDir()
	writeAlerts(t, filepath.Join(dir, "alerts.yaml"), alertsOf(t, "helm4", "--set", allAlerts, "--set-string", `metrics.prometheusRule.selector=job="kooperd"`))
	cases := readFile(t, "testdata/alerts_test.yaml")
	writeFile(t, filepath.Join(dir, "alerts_test.yaml"), cases)
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Prometheus understands the queries of the dashboard, with values for what Grafana fills in.
func TestDashboardQueries(t *testing.T) {
	promtool := needPrometheus(t, "promtool")
	type recording struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []recording
	for i, target := range readDashboard(t).targets() {
		rules = append(rules, recording{fmt.Sprintf("query:%d", i), filledIn(target.expr)})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "queries.yaml")
	writeFile(t, path, string(text))
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// filledIn is a query of the dashboard with values for what Grafana fills in.
func filledIn(expr string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$controller", "pods", "$namespace", ".*", "$job", ".*").Replace(expr)
}

// There are cases of every alert: in the test with its name nothing fires, then it does, then
// nothing does again.
func TestAlertCasesAreComplete(t *testing.T) {
	var file struct {
		Tests []struct {
			Name  string `json:"name"`
			Looks []struct {
				Samples []struct{ Labels string } `json:"exp_samples"`
			} `json:"promql_expr_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "testdata/alerts_test.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	looks := map[string][]bool{} // whether the alert fires, by its name
	for _, test := range file.Tests {
		for _, look := range test.Looks {
			fires := len(look.Samples) > 0
			for _, sample := range look.Samples {
				fires = fires && strings.Contains(sample.Labels, `alertname="`+test.Name+`"`)
			}
			looks[test.Name] = append(looks[test.Name], fires)
		}
	}
	for name := range alertFile(t).byName() {
		if want := []bool{false, true, false}; !slices.Equal(looks[name], want) {
			t.Errorf("in the cases of %s, whether it fires is %v, want %v", name, looks[name], want)
		}
	}
}
