package compose_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// command runs a command of the program as a person does who has a kubeconfig.
func command(t testing.TB, kubeconfig string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), composed, append(args, "--kubeconfig", kubeconfig)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (&exec.ExitError{}); errors.As(err, &exit) {
		status, err = exit.ExitCode(), nil
	}
	if err != nil {
		t.Fatalf("running %q: %v", args, err)
	}
	return out.String(), errs.String(), status
}

// orphansDocument is what kooperd orphans prints as JSON.
type orphansDocument struct {
	Installation string
	Lease        struct{ Namespace, Name string }
	Children     int
	Patches      int
	Orphans      []struct {
		Patch                                  bool
		Manager                                string
		APIVersion, Kind, Namespace, Name, UID string
		Definition, Child                      string
		Parent                                 struct{ APIVersion, Kind, Namespace, Name, UID string }
		Reasons                                []string
		Why                                    string
		Proven, Data, Deleting                 bool
		Created                                metav1.Time
		Outcome, Message                       string
	}
	Unseen []string
}

// orphans runs kooperd orphans, and returns what it finds by name, in a few words.
func (r *rig) orphans(t testing.TB, path string, status int, args ...string) (found map[string]string, stderr string) {
	t.Helper()
	stdout, stderr, got := command(t, r.kubeconfig, append([]string{"orphans", path, "-o", "json"}, args...)...)
	if got != status {
		t.Fatalf("exit status %d, want %d\n%s%s", got, status, stdout, stderr)
	}
	var document orphansDocument
	decoder := json.NewDecoder(strings.NewReader(stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		t.Fatalf("reading %s: %v", stdout, err)
	}
	if document.Lease.Namespace != r.leases || document.Lease.Name != leaseName || !strings.HasPrefix(document.Installation, "i") {
		t.Errorf("the installation is %s of %+v", document.Installation, document.Lease)
	}
	found = map[string]string{}
	for _, o := range document.Orphans {
		words := append([]string{o.Definition}, o.Reasons...)
		if o.Proven {
			words = append(words, "proven")
		}
		if o.Outcome != "" {
			words = append(words, o.Outcome)
		}
		found[o.Name] = strings.Join(words, " ")
		if o.Patch {
			found[o.Name] = "patch " + found[o.Name]
			continue
		}
		if o.UID == "" || o.Created.IsZero() || o.Parent.Kind != "Thing" || o.Parent.Namespace != r.namespace || o.Parent.UID == "" {
			t.Errorf("%s has %+v", o.Name, o)
		}
	}
	return found, stderr
}

// without returns the path of a config that has these definitions and no others.
func (r *rig) without(t testing.TB, definitions map[string]definition) string {
	t.Helper()
	other := *r
	other.path = filepath.Join(t.TempDir(), "controllers.json")
	other.defineAll(t, definitions)
	return other.path
}

// TestOrphans lists and deletes the children of a definition that is not in the file, of parents
// that are gone, and of kinds that are not owned: those that are proven, and not while a leader has
// the definition.
func TestOrphans(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	kept := definition{Config: parts.Config{Children: []parts.Child{configMap("a")}}}
	owns := []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}}
	old := definition{
		Config:   parts.Config{Owns: owns, Children: []parts.Child{configMap("b"), elsewhere(other.namespace, "far")}},
		settings: map[string]any{"status": "none"},
	}
	r.defineAll(t, map[string]definition{definitionName: kept, "old": old})
	p := r.start(t)
	for _, name := range []string{"p", "q"} {
		r.thing(t, name, "x")
		r.await(t, configMaps, "both children", func(o objects) bool { return o[name+"-a"] != nil && o[name+"-b"] != nil })
		other.await(t, configMaps, "the child elsewhere", func(o objects) bool { return o[name+"-far"] != nil })
	}
	r.ready(t, "q")
	copied := r.createObject(t, configMaps, marked(r.get(t, configMaps, "p-b"), "copy"))
	less := r.without(t, map[string]definition{definitionName: kept})

	if found, stderr := r.orphans(t, r.path, 0); len(found) > 0 || stderr != "" {
		t.Errorf("with everything in its place, there are %v, %s", found, stderr)
	}
	const gone = "old NoDefinition"
	want := map[string]string{
		"p-b": gone + " proven", "q-b": gone + " proven", "p-far": gone + " proven", "q-far": gone + " proven", "copy": gone,
	}
	found, _ := r.orphans(t, less, 0)
	if diff := gocmp.Diff(want, found); diff != "" {
		t.Errorf("without a definition (-want +got):\n%s", diff)
	}

	// The leader has it.
	child := r.get(t, configMaps, "p-b")
	stdout, stderr, status := command(t, r.kubeconfig, "orphans", less, "--delete")
	if status != 1 || !strings.Contains(stdout, "ConfigMap "+r.namespace+"/p-b: refused: definition old is active: pod-0_pod-0 leads") ||
		!strings.Contains(stdout, "ConfigMap "+r.namespace+"/copy: kept") || stderr != "" {
		t.Errorf("with a leader: exit status %d\n%s%s", status, stdout, stderr)
	}
	r.untouched(t, configMaps, child)

	// What is left of a parent that is gone stands in the way of the next one.
	orphan := metav1.DeletePropagationOrphan
	if err := shared.Dynamic().Resource(things).Namespace(r.namespace).Delete(t.Context(), "q", metav1.DeleteOptions{PropagationPolicy: &orphan}); err != nil {
		t.Fatal(err)
	}
	r.await(t, things, "the parent to go", func(o objects) bool { return o["q"] == nil })
	r.thing(t, "q", "y")
	r.awaitCondition(t, "q", "q-a", "which is gone", "kooperd orphans")
	found, _ = r.orphans(t, r.path, 0)
	if found["q-a"] != definitionName+" NoParent proven" || found["q-b"] != "old NoParent proven" || found["p-a"] != "" || found["p-b"] != "" {
		t.Errorf("after a parent is gone, there are %v", found)
	}
	// The new one might adopt it, so the leader counts. Without it, no leader matters.
	stdout, stderr, status = command(t, r.kubeconfig, "orphans", r.path, "--delete")
	if status != 1 || !strings.Contains(stdout, "ConfigMap "+r.namespace+"/q-a: refused: Thing "+r.namespace+"/q may adopt it") ||
		!strings.Contains(stdout, "pod-0_pod-0 leads") || stderr != "" {
		t.Errorf("with another object of its name: exit status %d\n%s%s", status, stdout, stderr)
	}
	r.remove(t, things, "q")
	r.await(t, things, "the second parent to go", func(o objects) bool { return o["q"] == nil })
	found, _ = r.orphans(t, r.path, 0, "--delete")
	if found["q-a"] != definitionName+" NoParent proven Deleted" {
		t.Errorf("deleted is %v", found)
	}
	r.thing(t, "q", "z")
	r.ready(t, "q")

	p.Stop(t)
	child = r.get(t, configMaps, "p-a")
	if found, _ = r.orphans(t, less, 0, "--delete"); found["p-b"] != gone+" proven Deleted" || found["copy"] != gone+" Kept" {
		t.Errorf("without a leader, deleted is %v", found)
	}
	if all := r.list(t, configMaps); all["p-b"] != nil || all["q-b"] != nil || other.list(t, configMaps)["p-far"] != nil {
		t.Errorf("there are still %v", all.names())
	}
	r.untouched(t, configMaps, child)
	r.untouched(t, configMaps, copied)
}

// withSecret is a definition with a ConfigMap and a Secret for each parent.
func withSecret(t testing.TB) definition {
	t.Helper()
	secret := parts.Child{Name: "s", Object: object(t, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{name}-s"}}`)}
	return definition{Config: parts.Config{
		Owns:     []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "Secret"}},
		Children: []parts.Child{configMap("a"), secret},
	}}
}

// TestOrphansOfKind lists children of a kind that the definition does not own any more, after a
// leader was killed: its lease has to expire before any of them goes.
func TestOrphansOfKind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.short = true
	r.defineAll(t, map[string]definition{definitionName: withSecret(t)})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	less := r.without(t, map[string]definition{definitionName: {Config: parts.Config{Children: []parts.Child{configMap("a")}}}})
	p.kill9(t)
	if found, _ := r.orphans(t, less, 0); len(found) != 1 || found["p-s"] != definitionName+" KindNotOwned proven" {
		t.Errorf("there are %v", found)
	}
	p.Await(t, "the lease to expire", func() bool {
		_, _, status := command(t, r.kubeconfig, "orphans", less, "--delete")
		return status == 0
	})
	if all := r.list(t, secrets); all["p-s"] != nil || r.list(t, configMaps)["p-a"] == nil {
		t.Errorf("there are %v, and the other child is there: %t", all.names(), r.list(t, configMaps)["p-a"] != nil)
	}
}

// TestOrphansOfSomebody is a person who may look at one namespace, and at less than is asked for.
func TestOrphansOfSomebody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: withSecret(t)})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	p.Stop(t)
	may := func(name string, rights ...cluster.RBAC) string {
		rights = append(rights, cluster.InNamespace(r.leases, cluster.Allow("get", "", "configmaps")))
		return cluster.WriteKubeconfig(t, shared.ServiceAccount(t, r.leases, name, rights...), r.leases)
	}
	less := r.without(t, map[string]definition{"another": {settings: map[string]any{"status": "none"}}})
	somebody := may("somebody", cluster.InNamespace(r.namespace, cluster.Allow("list", "", "configmaps"), cluster.Allow("list", "demo.kooperd.dev", "things")))
	stdout, stderr, status := command(t, somebody, "orphans", less)
	if status != 0 || !strings.Contains(stdout, "p-a") || strings.Contains(stdout, "p-s") ||
		!strings.Contains(stderr, "Secret cannot be looked at: ") || !strings.Contains(stderr, "ConfigMap cannot be looked at but in "+r.namespace) {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
	stdout, stderr, status = command(t, somebody, "orphans", less, "--delete")
	if status != 1 || !strings.Contains(stdout, "p-a: failed: ") {
		t.Errorf("without the right to see the lease: exit status %d\n%s%s", status, stdout, stderr)
	}
	stdout, stderr, status = command(t, may("nobody"), "orphans", less)
	if status != 0 || !strings.HasPrefix(stdout, "no object carries the mark") || strings.Count(stderr, "cannot be looked at") != 2 {
		t.Errorf("without rights: exit status %d\n%s%s", status, stdout, stderr)
	}
}

// TestOrphansBadUsage is what nothing is asked for.
func TestOrphansBadUsage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no file":        {nil, "requires at least 1 arg"},
		"no such file":   {[]string{"/nowhere.cue"}, "/nowhere.cue"},
		"no such format": {[]string{r.path, "-o", "yaml"}, `unknown format "yaml", want one of: text, json`},
		"data alone":     {[]string{r.path, "--include-data"}, "--include-data is for --delete"},
		"two namespaces": {[]string{r.path, "-n", "elsewhere"}, `--namespace is "elsewhere", but the config says leaderElection.namespace`},
	} {
		stdout, stderr, status := command(t, r.kubeconfig, append([]string{"orphans"}, tc.args...)...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: exit status %d, want 2 and %q\n%s%s", name, status, tc.want, stdout, stderr)
		}
	}
	if stdout, stderr, status := command(t, "/nowhere", "orphans", r.path); status != 2 {
		t.Errorf("without a kubeconfig: exit status %d\n%s%s", status, stdout, stderr)
	}
}
