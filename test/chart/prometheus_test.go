package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/daemon"
)

// targetNamespace is the label "namespace" that all metrics have in Prometheus, as its operator
// sees to it.
const targetNamespace = "platform"

// prometheus is a running Prometheus. It has a job, with targets and alerts of its own, for each
// fault.
type prometheus struct{ dir, address string }

// startPrometheus starts one for jobs, and the alerts that are written before.
func startPrometheus(t *testing.T, dir string, jobs []string) *prometheus {
	t.Helper()
	program := needPrometheus(t, "prometheus")
	p := &prometheus{dir: dir, address: freeAddress(t)}
	var scrapes []any
	for _, job := range jobs {
		scrapes = append(scrapes, map[string]any{
			"job_name": job, "file_sd_configs": []any{map[string]any{"files": []string{p.targets(job)}, "refresh_interval": "1s"}},
		})
	}
	config, err := json.Marshal(map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{filepath.Join(dir, "*-alerts.yaml")}, "scrape_configs": scrapes,
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "prometheus.yml"), string(config)) // JSON is YAML.
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+p.address)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Prometheus: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("log of Prometheus:\n%s", text[max(0, len(text)-4000):])
		}
		_ = log.Close()
	})
	eventually(t, "Prometheus is ready", func() bool { return p.get(t.Context(), "/-/ready", nil) == nil })
	return p
}

// freeAddress returns one that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// targets is the file with the targets of a job.
func (p *prometheus) targets(job string) string { return filepath.Join(p.dir, job+"-targets.json") }

// scrape makes these processes the targets of a job.
func (p *prometheus) scrape(t *testing.T, job string, processes []*daemon.Process) {
	t.Helper()
	addresses := []string{}
	for _, process := range processes {
		addresses = append(addresses, process.AwaitLog(t, "serving", "server", "metrics").Field("address"))
	}
	text, err := json.Marshal([]any{map[string]any{"targets": addresses, "labels": map[string]string{"namespace": targetNamespace}}})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.targets(job)+".new", string(text))
	if err := os.Rename(p.targets(job)+".new", p.targets(job)); err != nil {
		t.Fatal(err)
	}
}

// get asks the API, and decodes what is in "data" of the answer.
func (p *prometheus) get(ctx context.Context, path string, data any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking for %s: status %d, %w: %s", path, response.StatusCode, err, text)
	}
	if data == nil {
		return nil
	}
	return json.Unmarshal(text, &struct{ Data any }{data})
}

// firing is the state of an alert whose condition has held for as long as it should; before, it is
// pending.
const firing = "firing"

// activeAlert is an alert that is pending or firing.
type activeAlert struct {
	Labels, Annotations map[string]string
	State               string
}

// active are the alerts of a job that are pending or firing.
func (p *prometheus) active(t *testing.T, job string) (found []activeAlert) {
	t.Helper()
	var all struct{ Alerts []activeAlert }
	if err := p.get(t.Context(), "/api/v1/alerts", &all); err != nil {
		t.Fatal(err)
	}
	for _, a := range all.Alerts {
		if a.Labels["job"] == job {
			found = append(found, a)
		}
	}
	return found
}

// value is that of the only series that a query has, empty if there is none now.
func (p *prometheus) value(t *testing.T, query string) string {
	t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := p.get(t.Context(), "/api/v1/query?query="+url.QueryEscape(query), &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(data.Result[0].Value[1])
}

// TestQueriesAreRead compares what parseQuery finds in each query with what Prometheus does.
func TestQueriesAreRead(t *testing.T) {
	p := startPrometheus(t, t.TempDir(), nil)
	exprs := []string{}
	for _, a := range alertFile(t).byName() {
		exprs = append(exprs, a.Expr)
	}
	for _, target := range readDashboard(t).targets() {
		exprs = append(exprs, filledIn(target.expr))
	}
	for _, expr := range exprs {
		var tree any
		if err := p.get(t.Context(), "/api/v1/parse_query?query="+url.QueryEscape(expr), &tree); err != nil {
			t.Fatal(err)
		}
		var found query
		collect(&found, tree)
		wantSame(t, "the metrics of "+expr, parseQuery(t, expr).String(), found.String())
	}
}

// collect adds what a tree of Prometheus names.
func collect(q *query, tree any) {
	switch tree := tree.(type) {
	case []any:
		for _, below := range tree {
			collect(q, below)
		}
	case map[string]any:
		if name, _ := tree["name"].(string); tree["type"] == "vectorSelector" || tree["type"] == "matrixSelector" {
			s := selector{metric: name}
			matchers, _ := tree["matchers"].([]any)
			for _, m := range matchers {
				if m, ok := m.(map[string]any); ok && m["name"] != "__name__" {
					s.matchers = append(s.matchers, matcher{fmt.Sprint(m["name"]), fmt.Sprint(m["type"]), fmt.Sprint(m["value"])})
				}
			}
			q.selectors = append(q.selectors, s)
		}
		for _, key := range []string{"grouping", "labels", "include"} {
			labels, _ := tree[key].([]any)
			for _, label := range labels {
				q.labels = append(q.labels, fmt.Sprint(label))
			}
		}
		for _, key := range []string{"expr", "args", "lhs", "rhs", "matching", "param"} {
			collect(q, tree[key])
		}
	}
}

// String is the same for two queries that name the same.
func (q query) String() string {
	var all []string
	for _, s := range q.selectors {
		conditions := []string{}
		for _, m := range s.matchers {
			conditions = append(conditions, m.label+m.operator+m.value)
		}
		all = append(all, s.metric+"{"+strings.Join(slices.Sorted(slices.Values(conditions)), ",")+"}")
	}
	return strings.Join(slices.Sorted(slices.Values(all)), "\n") + "\n" + strings.Join(slices.Sorted(slices.Values(q.labels)), ",")
}
