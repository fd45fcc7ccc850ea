package compose_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// treeDocument is what kooperd tree prints as JSON.
type treeDocument struct {
	treeMember
	Unlisted, UnlistedElsewhere []string
}

type treeMember struct {
	APIVersion, Kind, Namespace, Name, UID  string
	State, Why                              string
	Child, Definition, Installation, Parent string
	Proven, Paused, Cycle, Unfollowed       bool
	Finalizers                              []string
	Ready                                   *struct{ Status, Reason, Message string }
	Managers                                []struct {
		Manager, Subresource string
		Fields               []string
		More                 int
	}
	Children []treeMember
	Patches  []struct {
		APIVersion, Kind, Namespace, Name, UID string
		State, Why, Definition, Installation   string
		Fields                                 []string
		Managers                               []struct {
			Manager, Subresource string
			Fields               []string
			More                 int
		}
	}
}

// find returns the member of that name, or an empty one.
func (m treeMember) find(name string) treeMember {
	if m.Name == name {
		return m
	}
	for _, child := range m.Children {
		if found := child.find(name); found.Name != "" {
			return found
		}
	}
	return treeMember{}
}

// tree runs kooperd tree.
func tree(t testing.TB, kubeconfig, parent string) treeDocument {
	t.Helper()
	stdout, stderr, status := command(t, kubeconfig, "tree", parent, "-o", "json")
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, stderr)
	}
	var document treeDocument
	decoder := json.NewDecoder(strings.NewReader(stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		t.Fatalf("reading %s: %v", stdout, err)
	}
	return document
}

// TestTree shows a parent with children beside it and elsewhere, one of which another manager
// changes and another one is stuck, and what was made for a child.
func TestTree(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	space := &rig{namespace: shared.Namespace(t)}
	secret := parts.Child{Name: "s", Object: object(t, `{
		"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{name}-s"}, "stringData": {"password": "hunter2hunter2"}
	}`)}
	claim := parts.Child{Name: "c", Object: object(t, `{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "{name}-c"},
		"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
	}`)}
	job := parts.Child{Name: "j", Object: object(t, `{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "{name}-j"}, "spec": {"template": {"spec": {
			"restartPolicy": "Never", "containers": [{"name": "c", "image": "none"}]
		}}}
	}`)}
	first := definition{Config: parts.Config{
		Owns: []parts.Owns{
			{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}, {APIVersion: "v1", Kind: "Secret"},
			{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, {APIVersion: "batch/v1", Kind: "Job"},
		},
		Children: []parts.Child{configMap("a"), elsewhere(space.namespace, "far"), secret, claim, job},
	}}
	second := definition{
		Config: parts.Config{Children: []parts.Child{configMap("below")}},
		settings: map[string]any{"watch": map[string]any{
			"apiVersion": "v1", "kind": "Secret", "namespaces": []string{r.namespace}, "labelSelector": definitionLabel,
		}},
	}
	delete(second.Children[0].Object, "data")
	r.defineAll(t, map[string]definition{definitionName: first, "second": second})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.await(t, configMaps, "the child of a child", func(o objects) bool { return o["p-s-below"] != nil })
	r.awaitCondition(t, "p", "p-c")
	p.settle(t, "p")
	p.Stop(t)
	r.patch(t, things, "p", `{"metadata": {"annotations": {"kooperd.dev/paused": "true"}}}`)
	r.patch(t, configMaps, "p-a", `{"data": {"theirs": "1"}}`)
	space.patch(t, configMaps, "p-far", `{"metadata": {"finalizers": ["example.com/wait"]}}`)
	space.remove(t, configMaps, "p-far")
	r.createObject(t, configMaps, marked(r.get(t, configMaps, "p-a"), "copy"))

	found := tree(t, r.kubeconfig, "thing/"+r.namespace+"/p")
	if len(found.Finalizers) != 1 || !found.Paused || found.Ready == nil || found.Ready.Status != "False" || found.State != "Progressing" ||
		!strings.Contains(found.Why, "p-c") || found.Definition != "" || len(found.Unlisted) > 0 || len(found.UnlistedElsewhere) > 0 {
		t.Errorf("the parent is %+v, ready %+v", found.treeMember, found.Ready)
	}
	var names []string
	for _, child := range found.Children {
		names = append(names, child.Kind+" "+child.Name)
	}
	slices.Sort(names)
	if want := "ConfigMap copy, ConfigMap p-a, ConfigMap p-far, Job p-j, PersistentVolumeClaim p-c, Secret p-s"; strings.Join(names, ", ") != want {
		t.Errorf("the children are %q, want %s", names, want)
	}
	for name, want := range map[string]string{
		"p-a": "Ready", "p-s": "Ready", "p-far": "Deleting", "p-c": "Progressing", "p-j": "Progressing", "p-s-below": "Ready", "copy": "Ready",
	} {
		m := found.find(name)
		definition := definitionName
		if name == "p-s-below" {
			definition = "second"
		}
		if m.State != want || m.Definition != definition || m.Installation != found.find("p-a").Installation || m.Proven != (name != "copy") ||
			m.UID == "" || m.APIVersion == "" || (want == "Ready") != (m.Why == "") {
			t.Errorf("%s is %+v, want it %s", name, m, want)
		}
	}
	if far := found.find("p-far"); far.Namespace != space.namespace || !strings.Contains(far.Why, "example.com/wait") {
		t.Errorf("the child elsewhere is %+v", far)
	}
	if m := found.find("p-a").Managers; len(m) != 1 || m[0].Manager != other || !slices.Equal(m[0].Fields, []string{"data.theirs"}) {
		t.Errorf("the other managers are %+v", m)
	}
	if below := found.find("p-s").Children; len(below) != 1 || below[0].Name != "p-s-below" {
		t.Errorf("below the child is %+v", below)
	}

	space.patch(t, configMaps, "p-far", `{"metadata": {"finalizers": null}}`)
	space.await(t, configMaps, "the child elsewhere to go", func(o objects) bool { return o["p-far"] == nil })
	stdout, stderr, status := command(t, r.kubeconfig, "tree", "Things.demo.kooperd.dev/"+r.namespace+"/p")
	for _, text := range []string{"Ready: False", "Finalizer: i", "Paused: ", "└─ Secret " + r.namespace + "/p-s", "   └─ ConfigMap " + r.namespace + "/p-s-below"} {
		if !strings.Contains(stdout, text) {
			t.Errorf("the tree has no %q", text)
		}
	}
	if status != 0 || stderr != "" || strings.Contains(stdout, "hunter2") {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
}

// TestTreeOfSomebody is what a person gets who may see less, or asks for what is not there.
func TestTreeOfSomebody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	space := &rig{namespace: shared.Namespace(t)}
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Owns:     []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true}},
		Children: []parts.Child{configMap("a"), elsewhere(space.namespace, "far")},
	}}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	p.Stop(t)
	somebody := cluster.WriteKubeconfig(t, shared.ServiceAccount(t, r.leases, "somebody", cluster.InNamespace(r.namespace,
		cluster.Allow("get", "demo.kooperd.dev", "things"), cluster.Allow("list", "", "configmaps"))), r.leases)
	found := tree(t, somebody, "things/"+r.namespace+"/p")
	if found.find("p-a").State != "Ready" || found.find("p-far").Name != "" || !slices.Contains(found.Unlisted, "secrets") ||
		!slices.Equal(found.UnlistedElsewhere, []string{"configmaps"}) {
		t.Errorf("with few rights, the tree is %+v", found)
	}
	_, stderr, _ := command(t, somebody, "tree", "things/"+r.namespace+"/p")
	if strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, "could not be listed") {
		t.Errorf("standard error is %q, want one line for what could not be listed, and one for where", stderr)
	}
	for name, tc := range map[string]struct {
		kubeconfig, parent string
		status             int
		want               string
	}{
		"no object":       {r.kubeconfig, "things", 2, "want KIND/NAMESPACE/NAME"},
		"no such kind":    {r.kubeconfig, "gadgets/a/b", 1, `serves no such kind: "gadgets"`},
		"no such group":   {r.kubeconfig, "things.example.com/a/b", 1, `did you mean "things.demo.kooperd.dev"?`},
		"no such parent":  {r.kubeconfig, "thing/" + r.namespace + "/q", 1, `things.demo.kooperd.dev "q" not found`},
		"no namespace":    {r.kubeconfig, "thing/p", 1, "a Thing is in a namespace: want thing/NAMESPACE/p"},
		"a namespace":     {r.kubeconfig, "ns/a/b", 1, "a Namespace is in no namespace: want ns/b"},
		"not allowed":     {somebody, "configmap/" + r.namespace + "/p-a", 1, "forbidden"},
		"no kubeconfig":   {"/nowhere", "thing/a/b", 2, "/nowhere"},
		"no such cluster": {cluster.WriteKubeconfig(t, &rest.Config{Host: "https://127.0.0.1:1"}, ""), "thing/a/b", 1, "refused"},
	} {
		stdout, stderr, status := command(t, tc.kubeconfig, "tree", tc.parent)
		if status != tc.status || stdout != "" || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: exit status %d, want %d and %q\n%s%s", name, status, tc.status, tc.want, stdout, stderr)
		}
	}
}
