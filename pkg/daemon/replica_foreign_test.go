package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kooperd.dev/kooperd/pkg/statusz"
)

// TestForeignTextInErrors has control characters in answers, in reasons, and in the names of
// leaders.
func TestForeignTextInErrors(t *testing.T) {
	broken := leaderReport()
	for i := range broken.Definitions {
		broken.Definitions[i].Reason = foreignText
	}
	for name, args := range map[string][]string{
		"an answer that is no report": {"status", "--address", serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, foreignText, http.StatusServiceUnavailable)
		}))},
		"the reason of a definition": {"explain", "secret/team-b/x", "--address", serve(t, &fakeReplica{report: broken})},
	} {
		_, stderr, status := runCommand(t, args...)
		if status != ExitFailure || !strings.Contains(stderr, "31m c d e") {
			t.Errorf("%s: exit status %d, standard error %q", name, status, stderr)
		}
		if strings.ContainsFunc(strings.TrimSuffix(stderr, "\n"), unprintable) {
			t.Errorf("%s: control characters get to the terminal: %q", name, stderr)
		}
	}
	var errs bytes.Buffer
	(&statusRun{stderr: &errs}).note(foreignText)
	(&explainRun{stderr: &errs}).note(foreignText)
	(&orphansRun{stderr: &errs}).note(foreignText)
	for text := range strings.SplitSeq(strings.TrimSuffix(errs.String(), "\n"), "\n") {
		if strings.ContainsFunc(text, unprintable) || !strings.HasPrefix(text, "kooperd: a ]0;b") {
			t.Errorf("a note is %q", text)
		}
	}
}

// TestExplainVersions has definitions that watch one kind in two versions, and a source of a third.
func TestExplainVersions(t *testing.T) {
	report := leaderReport()
	const kind = "HorizontalPodAutoscaler"
	report.Definitions = []statusz.Definition{
		{Name: "zeta", APIVersion: "autoscaling/v1", Kind: kind}, {Name: "alpha", APIVersion: "autoscaling/v2", Kind: kind},
	}
	report.Sources = []statusz.Source{{APIVersion: "autoscaling/v2beta2", Kind: kind}, {APIVersion: "autoscaling/v1", Kind: kind}}
	replica := versionedReplica{report: report, answers: map[string]*statusz.ObjectReport{}}
	row := statusz.ObjectRow{Definition: "parents", Object: statusz.ObjectRef{Kind: "Website", Namespace: "a", Name: "p"}}
	for version, names := range map[string][]string{"v1": {"zeta"}, "v2": {"alpha"}, "v2beta2": nil} {
		answer := &statusz.ObjectReport{
			Version: statusz.Version, Object: statusz.ObjectRef{APIVersion: "autoscaling/" + version, Kind: kind, Namespace: "a", Name: "x"},
			ChildOf: []statusz.ObjectRow{row},
		}
		for _, name := range names {
			answer.Definitions = append(answer.Definitions, statusz.ObjectIn{Definition: name, Cached: true, Matches: true})
		}
		replica.answers["autoscaling/"+version] = answer
	}
	address := serve(t, replica)
	explained := func() *statusz.ObjectReport {
		t.Helper()
		stdout, stderr, status := runCommand(t, "explain", "hpa/a/x", "--address", address, "-o", "json")
		got := new(statusz.ObjectReport)
		if err := json.Unmarshal([]byte(stdout), got); err != nil || status != ExitOK || stderr != "" {
			t.Fatalf("exit status %d, %v, standard error %q", status, err, stderr)
		}
		return got
	}
	got := explained()
	var names []string
	for i := range got.Definitions {
		names = append(names, got.Definitions[i].Definition)
	}
	if diff := cmp.Diff([]string{"alpha", "zeta"}, names); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]statusz.ObjectRow{row}, got.ChildOf); diff != "" {
		t.Errorf("parents (-want +got):\n%s", diff)
	}
	delete(replica.answers, "autoscaling/v2")
	delete(replica.answers, "autoscaling/v2beta2")
	if got := explained(); len(got.Definitions) != 1 || got.Definitions[0].Definition != "zeta" || got.Object.APIVersion != "autoscaling/v1" {
		t.Errorf("with one definition left: %+v", got)
	}
}

// versionedReplica has a report on one object in each of its API versions.
type versionedReplica struct {
	report  *statusz.Report
	answers map[string]*statusz.ObjectReport
}

func (v versionedReplica) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any = v.report
	if r.URL.Path != "/statusz" {
		report := v.answers[r.URL.Query().Get("apiVersion")]
		if report == nil {
			http.Error(w, "no definition watches the kind", http.StatusNotFound)
			return
		}
		answer = report
	}
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(text) // The client has gone if this fails.
}

// TestPluginThatHangs has a question that obeys no context, as a credential plugin.
func TestPluginThatHangs(t *testing.T) {
	flags := replicaFlags{address: "127.0.0.1:1", authenticate: true, cluster: clusterFlags{timeout: defaultTimeout}}
	plugin := clusterConfig{rest: &rest.Config{ExecProvider: &clientcmdapi.ExecConfig{Command: "/opt/login"}}}
	hangs := make(chan struct{})
	defer close(hangs)
	question := func(context.Context) error {
		<-hangs
		return nil
	}
	ctx, end := context.WithCancelCause(t.Context())
	why := errors.New("enough of it")
	end(why)
	err := (&replicaFinder{flags: flags, where: plugin}).within(ctx, &bytes.Buffer{}, question)
	if !errors.Is(err, why) {
		t.Errorf("when it is ended: %v", err)
	}
	flags.cluster.timeout = 1
	err = (&replicaFinder{flags: flags, where: plugin}).within(t.Context(), &bytes.Buffer{}, question)
	if want := `no answer from 127.0.0.1:1 within 1ns; the credential plugin "login" of the kubeconfig may hang`; err == nil || err.Error() != want {
		t.Errorf("after the timeout: %v, want %s", err, want)
	}
}
