package reload_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/daemon"
	"kooperd.dev/kooperd/test/reload/probe"
)

// leaseName is the name of the lease in the namespace of every rig.
const leaseName = "reload"

// quickLease is for tests that wait for the end of a lease.
const quickLease = `leaseDuration: "4s", renewDeadline: "3s", retryPeriod: "1s"`

// rig is a namespace with objects to handle, and the record of all calls for them.
type rig struct {
	namespace string
	record    *record
	lease     string // further settings of the lease
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{namespace: shared.Namespace(t), record: &record{path: filepath.Join(t.TempDir(), "calls")}}
	if err := os.WriteFile(r.record.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// create makes a ConfigMap that the definitions of a rig watch.
func (r *rig) create(t testing.TB, name, role string) {
	t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{probe.Label: role}}}
	if _, err := shared.Client().CoreV1().ConfigMaps(r.namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
}

// change changes an object and returns its new resourceVersion.
func (r *rig) change(ctx context.Context, name, value string) (string, error) {
	patch := fmt.Sprintf(`{"metadata": {"annotations": {"change": %q}}}`, value)
	object, err := shared.Client().CoreV1().ConfigMaps(r.namespace).
		Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return "", err
	}
	return object.ResourceVersion, nil
}

// definition is the text of a definition whose handler has the config in handler, and further
// settings.
func (r *rig) definition(name, handler, settings string) string {
	return fmt.Sprintf(`%s: {
	watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: %q}
	mode: "concurrent", workers: 4
	retry: {maxRetries: "unlimited", initialDelay: "200ms", maxDelay: "1s"}
	handler: probe: {%s}
	%s
}
`, name, r.namespace, probe.Label, handler, settings)
}

// revisions are the revisions of definitions, by their names.
type revisions map[string]int

// config is a config with one definition for each entry.
func (r *rig) config(all revisions) string {
	var definitions strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		definitions.WriteString(r.definition(name, fmt.Sprintf(`revision: "%d"`, all[name]), ""))
	}
	return r.configOf(definitions.String())
}

// configOf is a config with the text of its definitions.
func (r *rig) configOf(definitions string) string {
	return fmt.Sprintf("apiVersion: \"kooperd.dev/v1alpha1\"\nleaderElection: {name: %q, namespace: %q, %s}\ncontrollers: {\n%s}\n",
		leaseName, r.namespace, r.lease, definitions)
}

// options are those of a daemon of the rig.
func (r *rig) options(config string, args ...string) daemon.Options {
	return daemon.Options{
		Binary: probed, Config: config, Kubeconfig: shared.AdminKubeconfig(), Args: args,
		Env: []string{"PROBE_RECORD=" + r.record.path},
	}
}

// run starts a daemon that leads.
func (r *rig) run(t testing.TB, config string, args ...string) *follower {
	t.Helper()
	return r.runWith(t, r.options(config, args...))
}

// runWith is run with options that are not those of a rig.
func (r *rig) runWith(t testing.TB, opts daemon.Options) *follower {
	t.Helper()
	p := daemon.Start(t, opts)
	p.AwaitLog(t, "became leader")
	return &follower{Process: p}
}

// leaseOf returns what must stay the same of the lease.
func (r *rig) leaseOf(t testing.TB) coordinationv1.LeaseSpec {
	t.Helper()
	lease, err := shared.Client().CoordinationV1().Leases(r.namespace).Get(t.Context(), leaseName, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading the lease: %v", err)
	}
	lease.Spec.RenewTime = nil
	return lease.Spec
}

// replaceFile writes a file by rename, as editors do.
func replaceFile(t testing.TB, path, text string) {
	t.Helper()
	writeFile(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// writeFile writes a file in place.
func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// follower is a daemon whose config changes.
type follower struct{ *daemon.Process }

// reload asks for a reload, and waits until it is over.
func (f *follower) reload(t testing.TB) {
	t.Helper()
	before := f.reloads()
	f.Signal(t, syscall.SIGHUP)
	f.Await(t, "the end of a reload", func() bool { return f.reloads() > before })
}

// reloads returns how many reloads that were asked for are over.
func (f *follower) reloads() int { return len(f.Lines("config was read again")) }

// awaitChange waits until the config has changed n times, and returns the line that says so.
func (f *follower) awaitChange(t testing.TB, n int) daemon.Line {
	t.Helper()
	f.Await(t, fmt.Sprintf("change %d of the config", n), func() bool { return len(f.Lines("config changed")) >= n })
	return f.Lines("config changed")[n-1]
}

// awaitStatus waits until /readyz?verbose has a line with all the texts.
func (f *follower) awaitStatus(t testing.TB, texts ...string) {
	t.Helper()
	f.Await(t, fmt.Sprintf("a line of /readyz?verbose with %q", texts), func() bool { return f.hasStatus(t, texts...) })
}

func (f *follower) hasStatus(t testing.TB, texts ...string) bool {
	t.Helper()
	_, body := f.Get(t, "health", "/readyz?verbose")
	for line := range strings.Lines(body) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return true
		}
	}
	return false
}

// awaitCalls waits until the calls are as done wants them.
func (f *follower) awaitCalls(t testing.TB, r *rig, what string, done func(calls []probe.Call) bool) {
	t.Helper()
	f.Await(t, what, func() bool { return done(r.record.all(t)) })
}

// seconds is a time for people.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
