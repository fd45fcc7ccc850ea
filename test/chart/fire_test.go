package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/daemon"
)

// fault is what an alert is about, staged on a real API server.
type fault struct {
	replicas int               // of the release
	also     []string          // alerts that may fire as well, because the fault is two
	labels   map[string]string // of the alert
	// stage makes the fault, and returns what ends it.
	stage func(s *scene) (mend func())
}

// alertOf is the alert of a fault. An alert may have several of them: the name of another one has a
// hyphen, and what it is about, behind that of the alert.
func alertOf(fault string) string {
	name, _, _ := strings.Cut(fault, "-")
	return name
}

// faults are those of all alerts.
var faults = map[string]fault{
	"KooperdAbsent":          {stage: nobodyScraped},
	"KooperdNoLeader":        {stage: leaseWithoutNamespace},
	"KooperdSeveralLeaders":  {stage: twoLeases},
	"KooperdReplicaMissing":  {replicas: 2, stage: oneReplica},
	"KooperdLeaderFlaps":     {replicas: 2, stage: movingLeader},
	"KooperdRestarts":        {stage: crashing},
	"KooperdMemoryNearLimit": {stage: tightMemory},
	"KooperdReloadRefused":   {stage: brokenConfig},
	"KooperdReloadPending":   {stage: changeWithoutRights, labels: ofDefinition},
	"KooperdConfigsDiffer":   {replicas: 2, stage: twoConfigs},

	"KooperdDefinitionNotStarted": {stage: kindNotServed, labels: ofDefinition},
	"KooperdDefinitionDegraded":   {stage: forbiddenWatch, labels: ofRights},
	"KooperdObjectsOutOfRetries":  {stage: failingProgram, labels: ofDefinition},
	"KooperdCallsFail":            {stage: flakyProgram, labels: ofDefinition},
	"KooperdWorkLate":             {stage: slowProgram, labels: ofDefinition},
	"KooperdThrottled":            {stage: tightRate, labels: map[string]string{"controller": "things", "limit": "rate"}},
	"KooperdPanics":               {stage: panickingPlugin, labels: ofDefinition},
	"KooperdTriggerErrors":        {stage: failingWhere, labels: ofDefinition},
	"KooperdDeletionStuck":        {stage: heldChild, labels: ofDefinition},
	"KooperdChildDeletionStuck":   {stage: prunedChild, labels: ofDefinition},
	"KooperdParentNotReady":       {stage: slowChild, labels: ofDefinition},

	"KooperdHookDown":        {stage: brokenHook, labels: map[string]string{"controller": "things", "hook": "sync"}},
	"KooperdPruneHeld":       {stage: emptyHandedHook, labels: ofDefinition},
	"KooperdRolloutStuck":    {stage: badRollout, labels: ofDefinition},
	"KooperdFight":           {stage: rival, labels: map[string]string{"controller": "things", "manager": rivalManager}},
	"KooperdChildrenRefused": {stage: foreignObject, labels: ofDefinition},
	"KooperdWritesForbidden": {stage: forbiddenWrites, labels: ofDefinition},

	"KooperdChildDeletionStuck-desired":     {stage: deletedChild, labels: ofDefinition},
	"KooperdDefinitionDegraded-writes":      {stage: missingRight, labels: ofRights},
	"KooperdDefinitionDegraded-failing":     {stage: stubbornProgram, labels: ofReason("failing")},
	"KooperdDefinitionDegraded-handler":     {stage: absentProgram, labels: ofReason("handler")},
	"KooperdDefinitionDegraded-source":      {stage: refusedSelector, labels: ofReason("source")},
	"KooperdDefinitionDegraded-unavailable": {stage: unavailableService, labels: ofReason("unavailable")},
	"KooperdDefinitionDegraded-undecidable": {stage: whereThatAlwaysFails, labels: ofReason("undecidable")},
}

// The labels of an alert about the definition of a scene, and about rights that it lacks.
var (
	ofDefinition = map[string]string{"controller": "things"}
	ofRights     = ofReason("rights")
)

// ofReason are those of an alert about the definition of a scene that is degraded for a reason.
func ofReason(reason string) map[string]string {
	return map[string]string{"controller": "things", "reason": reason}
}

// alertTimeout is how long an alert may take to fire or to resolve. The end of a fight is noticed
// after minutes.
const alertTimeout = 8 * time.Minute

// Durations within an alert: of its condition, and of the ranges of its expression.
var (
	minutes = regexp.MustCompile(`\b([0-9]+)m\b`)
	hours   = regexp.MustCompile(`\b([0-9]+)h\b`)
)

// scaled is an alert in which a second stands for a minute.
func scaled(a alert) alert {
	inSeconds := func(text string) string {
		return hours.ReplaceAllString(minutes.ReplaceAllString(text, "${1}s"), "${1}m")
	}
	a.For, a.Expr = inSeconds(a.For), inSeconds(a.Expr)
	switch a.Name { // Of these, the limit is a time, too.
	case "KooperdWorkLate":
		a.Expr = strings.Replace(a.Expr, "> 60", "> 1", 1)
	case "KooperdDeletionStuck", "KooperdChildDeletionStuck":
		a.Expr = strings.Replace(a.Expr, "> 1800", "> 3", 1)
	case "KooperdParentNotReady":
		a.Expr = strings.NewReplacer("> 3600", "> 6", "> 1800", "> 3").Replace(a.Expr)
	}
	return a
}

// TestAlertsFire stages the fault of each alert. The alert fires in a real Prometheus, which
// scrapes the kooperd in question, no other one does, and it resolves when the fault is mended.
func TestAlertsFire(t *testing.T) {
	needPrometheus(t, "prometheus")
	dir := t.TempDir()
	var jobs []string
	for name, f := range faults {
		rules := alertsOf(t, "helm4", "--set", allAlerts, "--set", fmt.Sprintf("replicas=%d", max(f.replicas, 1)),
			"--set-string", fmt.Sprintf(`metrics.prometheusRule.selector=job=%q\, namespace=%q`, name, targetNamespace))
		for _, group := range rules.Groups {
			for i := range group.Rules {
				group.Rules[i] = scaled(group.Rules[i])
			}
		}
		writeAlerts(t, filepath.Join(dir, name+"-alerts.yaml"), rules)
		jobs = append(jobs, name)
	}
	for name := range alertFile(t).byName() {
		if _, ok := faults[name]; !ok {
			t.Errorf("%s has no fault", name)
		}
	}
	p := startPrometheus(t, dir, jobs)
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule := alertOf(name)
			if _, ok := alertFile(t).byName()[rule]; !ok {
				t.Fatal("there is no such alert")
			}
			s := &scene{T: t, prometheus: p, job: name, namespace: shared.Namespace(t), dir: t.TempDir()}
			mend := f.stage(s)
			s.awaitAlerts("the alert fires", func(active []activeAlert) bool {
				return slices.ContainsFunc(active, func(a activeAlert) bool { return a.Labels["alertname"] == rule && a.State == firing })
			})
			s.check(f)
			s.logStatus()
			mend()
			s.awaitAlerts("no alert fires or is pending", func(active []activeAlert) bool { return len(active) == 0 })
		})
	}
}

// check looks at the alerts that fire.
func (s *scene) check(f fault) {
	s.Helper()
	for _, a := range s.prometheus.active(s.T, s.job) {
		name := a.Labels["alertname"]
		if a.State != firing {
			continue
		}
		if name != alertOf(s.job) {
			if !slices.Contains(f.also, name) {
				s.Errorf("%s fires as well: %s", name, a.Annotations["summary"])
			}
			continue
		}
		s.Logf("%s %s", a.Annotations["summary"], a.Annotations["description"])
		for label, value := range f.labels {
			if a.Labels[label] != value {
				s.Errorf("the label %s is %q, want %q", label, a.Labels[label], value)
			}
		}
		for _, annotation := range []string{"summary", "description", "runbook"} {
			text := a.Annotations[annotation]
			if text == "" || strings.Contains(text, "<") || strings.Contains(text, "{{") {
				s.Errorf("the %s is %q", annotation, text)
			}
			if annotation != "runbook" && !strings.Contains(text, f.labels["controller"]) {
				s.Errorf("the %s does not name the definition: %s", annotation, text)
			}
		}
		if want := targetNamespace + "/" + s.job; !strings.Contains(a.Annotations["summary"], want) {
			s.Errorf("the summary does not name %s: %s", want, a.Annotations["summary"])
		}
	}
}

// scene is where one fault is staged: a namespace, and a job of Prometheus.
type scene struct {
	*testing.T
	prometheus *prometheus
	job        string
	namespace  string
	dir        string // for the config, and for what programs read
	processes  []*daemon.Process
}

// logStatus logs what `kooperd status` says while the alert fires: what its runbook relies on.
func (s *scene) logStatus() {
	s.Helper()
	for _, p := range s.processes {
		if p.Exited() {
			continue
		}
		address := p.AwaitLog(s.T, "serving", "server", "health").Field("address")
		out, err := exec.CommandContext(s.Context(), binary("kooperd"), "status", "--address", address).CombinedOutput()
		_, ready := p.Get(s.T, "health", "/readyz?verbose")
		s.Logf("kooperd status, %v:\n%s\n/readyz?verbose:\n%s", err, out, ready)
	}
}

// awaitAlerts waits until the alerts that fire or are pending are as wanted.
func (s *scene) awaitAlerts(what string, wanted func(active []activeAlert) bool) {
	s.Helper()
	var active []activeAlert
	s.await(what, func() bool {
		active = s.prometheus.active(s.T, s.job)
		return wanted(active)
	}, func() string { return fmt.Sprint("active are ", active) })
}

// await asks again and again until done returns true.
func (s *scene) await(what string, done func() bool, otherwise func() string) {
	s.Helper()
	for deadline := time.Now().Add(alertTimeout); !done(); {
		if time.Now().After(deadline) {
			s.Fatalf("after %s it is not so that %s: %s", alertTimeout, what, otherwise())
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-s.Context().Done():
			s.Fatal(s.Context().Err())
		}
	}
}

// awaitValue waits until a query about the job has the value. In it, JOB stands for what selects
// the job.
func (s *scene) awaitValue(query, want string) {
	s.Helper()
	query = strings.ReplaceAll(query, "JOB", fmt.Sprintf("job=%q", s.job))
	got := ""
	s.await(query+" is "+want, func() bool {
		got = s.prometheus.value(s.T, query)
		return got == want
	}, func() string { return "it is " + got })
}

// things is the text of the definition of most scenes, whose watch is about the labelled ConfigMaps
// of the namespace.
func (s *scene) things(settings string) string {
	return fmt.Sprintf("things: {\nwatch: {apiVersion: \"v1\", kind: \"ConfigMap\", namespaces: [%q], labelSelector: \"thing\"}\n%s\n}\n",
		s.namespace, settings)
}

// write writes the config, with these definitions, and returns its path.
func (s *scene) write(definitions string) string {
	s.Helper()
	return s.writeAs("a", s.lease("kooperd", s.namespace), definitions)
}

// lease is the setting of a lease, long enough for a machine on which eight scenes run at a time.
func (s *scene) lease(name, namespace string) string {
	return fmt.Sprintf("{name: %q, namespace: %q}", name, namespace)
}

// writeAs writes the config of one of several replicas.
func (s *scene) writeAs(replica, leaderElection, definitions string) string {
	s.Helper()
	path := filepath.Join(s.dir, replica, "controllers.cue")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.Fatal(err)
	}
	writeFile(s.T, path+".new", fmt.Sprintf("apiVersion: \"kooperd.dev/v1alpha1\"\nleaderElection: %s\ncontrollers: {\n%s}\n", leaderElection, definitions))
	if err := os.Rename(path+".new", path); err != nil {
		s.Fatal(err)
	}
	return path
}

// start starts a kooperd, which is all that the job scrapes from then on, beside others.
func (s *scene) start(opts daemon.Options, others ...*daemon.Process) *daemon.Process {
	s.Helper()
	if opts.Kubeconfig == "" {
		opts.Kubeconfig = shared.AdminKubeconfig()
	}
	p := daemon.Start(s.T, opts)
	s.processes = append(slices.Clone(others), p)
	s.prometheus.scrape(s.T, s.job, append(slices.Clone(others), p))
	return p
}

// run starts a kooperd with definitions.
func (s *scene) run(definitions string) *daemon.Process {
	s.Helper()
	return s.start(daemon.Options{Config: s.write(definitions)})
}
