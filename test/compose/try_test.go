package compose_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// tryLive runs kooperd try --live for a thing, and returns what would be done with each child.
func (r *rig) tryLive(t testing.TB, kubeconfig, object string, status int) (actions map[string]string, stdout string) {
	t.Helper()
	stdout, stderr, got := command(t, kubeconfig, "try", r.path, "--live", "--object", object, "-o", "json")
	if got != status {
		t.Fatalf("exit status is %d, want %d\n%s%s", got, status, stdout, stderr)
	}
	var report struct {
		Tried []struct {
			Children []struct{ ObjectName, Action string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Tried) != 1 {
		t.Fatalf("reading %s: %v", stdout, err)
	}
	actions = map[string]string{}
	for _, child := range report.Tried[0].Children {
		actions[child.ObjectName] = child.Action
	}
	return actions, stdout
}

// TestTryLive tries a parent before its children are made, when they are there, when another party
// has changed one, and with a file that is refused. Nothing of that is written.
func TestTryLive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := parts.Child{Name: "s", Object: object(t, `{
		"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{name}-s"}, "stringData": {"password": "hunter2hunter2"}
	}`)}
	define := func(children ...parts.Child) {
		t.Helper()
		owns := []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "Secret"}}
		r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{Children: children, Owns: owns}}})
	}
	define(configMap("a"), configMap("b"), secret)
	everything := rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}
	kubeconfig := cluster.WriteKubeconfig(t, shared.ServiceAccount(t, r.leases, "person", cluster.ClusterWide(everything)), r.leases)
	check := func(object string, status int, want map[string]string) string {
		t.Helper()
		actions, stdout := r.tryLive(t, kubeconfig, object, status)
		if diff := gocmp.Diff(want, actions); diff != "" {
			t.Errorf("would be done (-want +got):\n%s", diff)
		}
		if strings.Contains(stdout, "hunter2") {
			t.Error("it shows a secret")
		}
		return stdout
	}
	name := "thing/" + r.namespace + "/p"
	r.thing(t, "p", "x")
	mark := shared.AuditMark(t)
	check(name, 0, map[string]string{"p-a": "create", "p-b": "create", "p-s": "create"})
	if made := shared.Kubectl(t, "-n", r.namespace, "get", "configmaps,secrets", "-o", "name"); strings.Contains(made, "p-") {
		t.Errorf("it has made %s", made)
	}

	p := r.start(t)
	r.ready(t, "p")
	p.settle(t, "p")
	p.Stop(t)
	before := r.get(t, things, "p")
	check(name, 0, map[string]string{"p-a": "unchanged", "p-b": "unchanged", "p-s": "unchanged"})
	r.patch(t, configMaps, "p-a", `{"data": {"text": "theirs"}}`)
	version := r.get(t, configMaps, "p-a").GetResourceVersion()
	define(configMap("a"), secret)
	stdout := check(name, 0, map[string]string{"p-a": "change", "p-b": "delete", "p-s": "unchanged"})
	if !strings.Contains(stdout, `"text": "theirs"`) {
		t.Errorf("what was there before is not in it:\n%s", stdout)
	}
	if now := r.get(t, configMaps, "p-a").GetResourceVersion(); now != version {
		t.Error("it has changed the child")
	}
	r.get(t, configMaps, "p-b")
	if after := r.get(t, things, "p"); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Error("it has changed the parent")
	}

	invalid := configMap("a")
	invalid.Object["data"] = map[string]any{"no key": "{text}"}
	define(invalid, configMap("b"), secret)
	file := writeTemp(t, []byte(`{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "metadata": {"name": "p", "namespace": "`+r.namespace+`"}, "spec": {"text": "y"}}`))
	stdout = check(file, 1, map[string]string{"p-a": "refuse", "p-b": "change", "p-s": "unchanged"})
	if !strings.Contains(stdout, "no key") {
		t.Errorf("what the API server says is not in it:\n%s", stdout)
	}
	r.onlyDryRuns(t, mark, "person", "delete configmaps p-b", "patch configmaps p-a", "patch things/status p")
}

// onlyDryRuns fails the test if a user has sent a write since mark that is no dry run, or has not
// sent all of these. A DELETE has to say so in its body: the API server does not look at the query
// of one that has a body.
func (r *rig) onlyDryRuns(t testing.TB, mark cluster.AuditMark, account string, want ...string) {
	t.Helper()
	var sent []string
	for _, e := range shared.AuditSince(t, mark) {
		if !e.IsWrite() || e.User.Username != "system:serviceaccount:"+r.leases+":"+account {
			continue
		}
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		sent = append(sent, e.Verb+" "+resource+" "+e.ObjectRef.Name)
		var options struct{ DryRun []string }
		if e.Verb == "delete" && len(e.RequestObject) > 0 {
			if err := json.Unmarshal(e.RequestObject, &options); err != nil || !slices.Equal(options.DryRun, []string{"All"}) {
				t.Errorf("%s %s is no dry run: %s", e.Verb, e.RequestURI, e.RequestObject)
			}
		}
		if !strings.Contains(e.RequestURI, "dryRun=All") {
			t.Errorf("%s %s is no dry run: %s", e.Verb, e.RequestURI, e.RequestObject)
		}
	}
	for _, one := range want {
		if !slices.Contains(sent, one) {
			t.Errorf("there is no %s, only %q", one, sent)
		}
	}
}

// TestTryLiveOfSomebody is what a person gets who may not read the children, or names what is not
// there.
func TestTryLiveOfSomebody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	r.thing(t, "p", "x")
	somebody := cluster.WriteKubeconfig(t, shared.ServiceAccount(t, r.leases, "somebody",
		cluster.InNamespace(r.namespace, cluster.Allow("get", "demo.kooperd.dev", "things"))), r.leases)
	name := "thing/" + r.namespace + "/"
	for object, want := range map[string]string{
		name + "p":                           `cannot list resource "configmaps"`,
		name + "q":                           `"q" not found`,
		"gadget/" + r.namespace + "/p":       "the API server serves no such kind",
		"configmap/" + r.namespace + "/p":    "no definition fits ConfigMap p of v1",
		"thing/" + r.namespace + "/p/status": "want KIND/NAMESPACE/NAME",
	} {
		_, stderr, status := command(t, somebody, "try", r.path, "--live", "--object", object)
		if status == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit status is %d, and it says %q, want %q", object, status, stderr, want)
		}
	}
}
