// Package examples_test runs every example of the repository on a real API server and looks for
// what its README says.
//
// -conformance goes through the lives of the examples with every fault after every write.
package examples_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

var (
	shared      *cluster.Cluster
	conformance bool
)

func TestMain(m *testing.M) {
	flag.BoolVar(&conformance, "conformance", false, "every fault after every write of every example")
	flag.Parse()
	os.Exit(cluster.Main(m, cluster.Options{Audit: true}, &shared))
}

// checks are what each example must show, by its folder, but for those that have a life. A folder
// that has neither fails the test.
var checks = map[string]func(t *testing.T, p *daemon.Process){
	"quickstart":            checkQuickstart,
	"echo-pods":             checkEchoPods,
	"custom-configuration":  checkCustomConfiguration,
	"sequential-concurrent": checkSequentialConcurrent,
	"multi-resource":        checkMultiResource,
	"metrics":               checkMetrics,
	"leader-election":       checkLeaderElection,
	"custom-build":          checkCustomBuild,
	"triggers":              checkTriggers,
	"team-namespaces":       checkTeamNamespaces,
	"chaos-operator":        checkChaosOperator,
	"webhook-python":        checkWebhookPython,
	"webhook-node":          checkWebhookNode,
}

func TestExamples(t *testing.T) {
	root := filepath.Join(daemon.Root(t), "examples")
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for name := range lives {
		applyKinds(t, filepath.Join(root, name)) // The garbage collector looks for new kinds every 30 s.
	}
	for _, entry := range entries {
		name := entry.Name()
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(root, name)
			if !exists(filepath.Join(dir, "README.md")) {
				t.Errorf("every example has a README.md, and examples/%s has none", name)
			}
			if life, ok := lives[name]; ok {
				t.Parallel() // beside the other lives, after all other examples
				live(t, name, life)
				return
			}
			check, ok := checks[name]
			if !ok {
				t.Fatalf("examples/%s is not tested: add it to lives, or to checks", name)
			}
			applyKinds(t, dir)
			if objects, err := os.ReadFile(filepath.Join(dir, "objects.yaml")); err == nil {
				shared.Apply(t, string(objects))
			}
			check(t, start(t, dir))
		})
	}
}

// applyKinds applies the kinds of an example: those that its config declares, and its crd.yaml.
func applyKinds(t *testing.T, dir string) {
	t.Helper()
	config := exampleConfig(t, dir)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "\nkinds:") {
		shared.Apply(t, run(t, daemon.Binary(t), "crds", config))
	}
	if crd, err := os.ReadFile(filepath.Join(dir, "crd.yaml")); err == nil {
		shared.Apply(t, string(crd))
	}
}

// start runs an example's config, by its own binary when it is a custom build.
func start(t *testing.T, dir string) *daemon.Process {
	t.Helper()
	opts := daemon.Options{Config: exampleConfig(t, dir), Kubeconfig: shared.AdminKubeconfig()}
	if filepath.Base(dir) == "sequential-concurrent" {
		opts.Args = []string{"-v=1"} // for a line about each call
	}
	if exists(filepath.Join(dir, "main.go")) {
		opts.Binary = daemon.Build(t, dir)
	}
	return daemon.Start(t, opts)
}

// exampleConfig returns the path of an example's config.
func exampleConfig(t *testing.T, dir string) string {
	t.Helper()
	configs, err := filepath.Glob(filepath.Join(dir, "controllers.*"))
	if err != nil || len(configs) != 1 {
		t.Fatalf("want one controllers file in %s, have %q, %v", dir, configs, err)
	}
	return configs[0]
}

func checkQuickstart(t *testing.T, p *daemon.Process) {
	p.AwaitLog(t, "web pod", "controller", "pods-payments", "name", "checkout", "image", "registry.example/checkout:1.4.2")
	p.AwaitLog(t, "web pod", "controller", "pods-search", "name", "frontend")
	p.Await(t, "the output of the program", func() bool { return strings.Contains(p.Tail(1000), "hello from the quickstart") })
	if got := p.Lines("web pod", "name", "ledger"); len(got) > 0 {
		t.Errorf("the pod of another label was handled: %v", got)
	}
	shared.Kubectl(t, "-n", "search", "label", "pod", "frontend", "release=canary")
	p.Await(t, "a second line for the changed pod", func() bool { return len(p.Lines("web pod", "name", "frontend")) >= 2 })
	shared.Kubectl(t, "create", "configmap", "goodbye", "--from-literal=text=bye")
	shared.Kubectl(t, "label", "configmap", "goodbye", "example=greeting")
	p.Await(t, "the output for the new greeting", func() bool { return strings.Contains(p.Tail(1000), "bye") })
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}

func checkEchoPods(t *testing.T, p *daemon.Process) {
	p.AwaitLog(t, "pod changed", "controller", "echo-pods", "name", "echo")
}

func checkCustomConfiguration(t *testing.T, p *daemon.Process) {
	p.AwaitLog(t, "tuned", "name", "tuned")
	p.AwaitLog(t, "handling object failed, out of retries until it changes", "controller", "failing", "object", "default/tuned", "attempt", "4")
	if got := p.Lines("handling object failed", "controller", "failing"); len(got) != 3 {
		t.Errorf("have %d failed calls before the last, want 3", len(got))
	}
	p.AwaitLog(t, "definition changed state", "controller", "failing", "state", "Degraded")
	for series, want := range map[string]string{
		`kooperd_controller_objects_out_of_retries{controller="failing"}`:                                "1",
		`kooperd_controller_retries_total{controller="failing"}`:                                         "3",
		`kooper_controller_processed_event_duration_seconds_count{controller="failing",success="false"}`: "4",
		`kooper_controller_processed_event_duration_seconds_count{controller="failing",success="true"}`:  "0",
		`kooper_controller_queued_events_total{controller="failing",requeue="true"}`:                     "3",
		`kooperd_controller_state{controller="later",state="Paused"}`:                                    "1",
		`kooperd_controller_state{controller="tuned",state="Running"}`:                                   "1",
	} {
		p.Await(t, fmt.Sprintf("%s being %s", series, want), func() bool { // It may be counted a moment after it is logged.
			got, _ := p.Metric(t, series)
			return got == want
		})
	}
	// A change gives the object a full set of retries again, and every object is resynced within a
	// minute.
	shared.Kubectl(t, "label", "configmap", "tuned", "changed=yes")
	p.Await(t, "three more failed calls", func() bool { return len(p.Lines("handling object failed", "controller", "failing")) >= 6 })
}

// checkSequentialConcurrent looks at how many calls are under way at a time. It goes by the log,
// whose lines have the times of the process, whatever the test's own machine does meanwhile.
func checkSequentialConcurrent(t *testing.T, p *daemon.Process) {
	most, last := map[string]int{}, map[string]time.Time{}
	for _, name := range []string{"sequential", "concurrent"} {
		p.Await(t, "five calls of "+name, func() bool {
			return len(p.Lines("handled object", "controller", name, "success", "true")) >= 5
		})
		now := 0
		for _, line := range p.Log() {
			switch {
			case line.Field("controller") != name:
			case line.Message == "handling object":
				now++
				most[name] = max(most[name], now)
			case line.Message == "handled object":
				now--
				last[name] = line.Time
			}
		}
	}
	if most["sequential"] != 1 || most["concurrent"] < 2 || most["concurrent"] > 5 {
		t.Errorf("calls at a time: %v, want one and up to five", most)
	}
	if !last["concurrent"].Before(last["sequential"]) {
		t.Errorf("the concurrent calls ended at %s, the sequential ones at %s", last["concurrent"], last["sequential"])
	}
}

func checkMultiResource(t *testing.T, p *daemon.Process) {
	for definition, kind := range map[string]string{"services": "Service", "deployments": "Deployment", "nodes": "Node"} {
		p.AwaitLog(t, "seen", "controller", definition, "kind", kind, "name", "multi")
	}
}

func checkMetrics(t *testing.T, p *daemon.Process) {
	p.AwaitReady(t)
	p.Await(t, "handled objects in the metrics", func() bool {
		got, _ := p.Metric(t, `kooper_controller_processed_event_duration_seconds_count{controller="measured",success="true"}`)
		return got != "" && got != "0"
	})
	_, body := p.Get(t, "metrics", "/metrics")
	for _, name := range []string{
		"kooper_controller_queued_events_total", "kooper_controller_event_in_queue_duration_seconds_bucket",
		"kooper_controller_event_queue_length", "kooperd_controller_state", "rest_client_requests_total", "workqueue_adds_total",
	} {
		if !strings.Contains(body, "\n"+name+"{") {
			t.Errorf("/metrics has no %s", name)
		}
	}
}

func checkLeaderElection(t *testing.T, p *daemon.Process) {
	p.AwaitLog(t, "became leader")
	p.AwaitLog(t, "config map, on the leader", "name", "leader-election")
	standby := start(t, filepath.Join(daemon.Root(t), "examples", "leader-election"))
	standby.AwaitLog(t, "node, on every replica", "name", "leader-election")
	standby.AwaitReady(t)
	if code, _ := standby.Get(t, "health", "/leaderz"); code != 503 {
		t.Errorf("/leaderz of the standby is %d, want 503", code)
	}
	if got := standby.Lines("config map, on the leader"); len(got) > 0 {
		t.Errorf("the standby has handled %d objects of the leader", len(got))
	}
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
	standby.AwaitLog(t, "config map, on the leader", "name", "leader-election")
}

func checkCustomBuild(t *testing.T, p *daemon.Process) {
	owner := func(name string) string {
		return shared.Kubectl(t, "get", "configmap", name, "-o", `jsonpath={.metadata.annotations.example\.com/owner}`)
	}
	p.Await(t, "the annotation on default/owned", func() bool { return owner("owned") == "platform" })
	shared.Kubectl(t, "annotate", "configmap", "owned", "example.com/owner-")
	p.Await(t, "the annotation being back", func() bool { return owner("owned") == "platform" })
	if got := owner("free"); got != "" {
		t.Errorf("the config map without the label has the annotation %q", got)
	}
}

func checkTriggers(t *testing.T, p *daemon.Process) {
	names := []string{"everything", "not-the-status", "scaled-up", "large"}
	lines := func(definition string) int {
		text := map[string]string{
			"everything": "changed somewhere", "not-the-status": "changed, and not in its status alone", "scaled-up": "new or scaled up", "large": "large",
		}[definition]
		return len(p.Lines(text, "controller", definition, "name", "triggers"))
	}
	// step makes a change and waits for the calls it leads to; without others "everything" says
	// when it has arrived.
	step := func(what string, want map[string]int, kubectl ...string) {
		t.Helper()
		before := map[string]int{}
		for _, name := range names {
			before[name] = lines(name)
		}
		if len(kubectl) > 0 {
			shared.Kubectl(t, kubectl...)
		}
		p.Await(t, what, func() bool {
			for name, n := range want {
				if lines(name) < before[name]+n {
					return false
				}
			}
			return true
		})
		for _, name := range names {
			if n := lines(name) - before[name]; n != want[name] {
				t.Errorf("%s: %s was called %d times, want %d", what, name, n, want[name])
			}
		}
	}
	for _, name := range names[:3] {
		p.Await(t, "the first call of "+name, func() bool { return lines(name) == 1 })
	}
	scale := func(n int) []string {
		return []string{"scale", "deployment", "triggers", fmt.Sprintf("--replicas=%d", n)}
	}
	step("more replicas", map[string]int{"everything": 1, "not-the-status": 1, "scaled-up": 1}, scale(3)...)
	step("many replicas", map[string]int{"everything": 1, "not-the-status": 1, "scaled-up": 1, "large": 1}, scale(12)...)
	step("fewer replicas", map[string]int{"everything": 1, "not-the-status": 1}, scale(2)...)
	step("the annotation", map[string]int{"everything": 1}, "annotate", "deployment", "triggers", "example.com/seen=now")
	step("the status", map[string]int{"everything": 1}, "patch", "deployment", "triggers", "--subresource=status", "-p", `{"status":{"observedGeneration":1}}`)
	step("a label", map[string]int{"everything": 1, "not-the-status": 1}, "label", "deployment", "triggers", "more=yes")
	for name, want := range map[string]int{"everything": 7, "not-the-status": 5, "scaled-up": 3, "large": 1} {
		if got := lines(name); got != want {
			t.Errorf("%s was called %d times in all, want %d", name, got, want)
		}
	}
	for series, want := range map[string]string{
		`kooperd_controller_skipped_events_total{controller="not-the-status",reason="ignore"}`: "2",
		`kooperd_controller_skipped_events_total{controller="everything",reason="ignore"}`:     "0",
		`kooperd_controller_trigger_errors_total{controller="scaled-up"}`:                      "0",
	} {
		if got, _ := p.Metric(t, series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
}
