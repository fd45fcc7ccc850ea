package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

var updateTry = flag.Bool("update-try", false, "write what try prints to testdata/try")

// website is the example, from the folder of this package.
const website = "../../examples/website/"

// runTry runs the command with a config file of the given text, or a file of that name. DIR stands
// for the folder of the config in what is returned.
func runTry(t *testing.T, config string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	dir := t.TempDir()
	if strings.Contains(config, "\n") {
		path := filepath.Join(dir, "controllers.yaml")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		config = path
	}
	var out, errs bytes.Buffer
	status = daemon.Run(t.Context(), daemon.Options{
		Args: append([]string{"try", config}, args...), Stdout: &out, Stderr: &errs, Plugins: append(builtin.Plugins(), secretary, leaky),
	})
	return strings.ReplaceAll(out.String(), dir, "DIR"), strings.ReplaceAll(errs.String(), dir, "DIR"), status
}

// file writes a file for a test.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "try", name)
	if *updateTry {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("it prints something else (-want +got):\n%s", diff)
	}
}

// secretaryConfig is that of a plugin with one child of each sort.
type secretaryConfig struct{}

// secretary makes, for a ConfigMap, a Secret, a Pod, a ConfigMap that comes after that, and labels
// a Namespace.
var secretary = handlers.Plugin[secretaryConfig]{
	Name: "secretary", Summary: "for tests", Schema: "#Config: {}",
	Owns: func(secretaryConfig) []handlers.OwnedKind {
		return []handlers.OwnedKind{{APIVersion: "v1", Kind: "Secret"}, {APIVersion: "v1", Kind: "Pod"}, {APIVersion: "v1", Kind: "ConfigMap"}}
	},
	Reads: func(secretaryConfig) []handlers.Related {
		return []handlers.Related{{Name: "token", APIVersion: "v1", Kind: "Secret", ObjectName: "token", SameNamespace: true}}
	},
	Patches: func(secretaryConfig) []handlers.PatchedKind {
		return []handlers.PatchedKind{{APIVersion: "v1", Kind: "Namespace", MetadataOnly: true}}
	},
	NewComposer: func(context.Context, handlers.Env, secretaryConfig) (handlers.Composer, error) {
		return handlers.ComposerFunc(composeSecretary), nil
	},
}

func composeSecretary(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	var out handlers.Composition
	var parent corev1.ConfigMap
	if err := req.Object.Into(&parent); err != nil {
		return out, err
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	if parent.Data["panic"] != "" {
		panic("no " + parent.Data["panic"])
	}
	if len(req.Related["token"]) == 0 {
		return out, handlers.Pending{On: "Secret token", Why: "it is not there"}
	}
	var token corev1.Secret
	if err := req.Related["token"][0].Into(&token); err != nil {
		return out, err
	}
	text := string(token.Data["token"])
	out.Children = []handlers.Child{
		{Name: "copy", Object: &corev1.Secret{ObjectMeta: meta("copy"), Data: map[string][]byte{"token": []byte(text), "kept": []byte("the same")}}},
		{Name: "pod", Object: &corev1.Pod{ObjectMeta: meta("pod"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}},
		{Name: "late", Object: &corev1.ConfigMap{ObjectMeta: meta("late"), Data: map[string]string{"line": "token=" + text}}, After: []string{"pod"}},
	}
	out.Patches = []handlers.Patch{{Name: "namespace", Object: &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: req.Object.Namespace(), Labels: map[string]string{"secretary": "yes"}},
	}}}
	return out, nil
}

const (
	secretaryFile = `apiVersion: kooperd.dev/v1alpha1
leaderElection: {namespace: default}
controllers:
  office:
    watch: {apiVersion: v1, kind: ConfigMap, labelSelector: office=open}
    where: object.metadata.name != "not-me"
    handler: {secretary: {}}
  pods: {watch: {apiVersion: v1, kind: Pod}, handler: {log: {}}}
`
	office      = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: a, labels: {office: open}}, data: {x: text}}\n"
	officeToken = `apiVersion: v1
kind: Secret
metadata: {name: token, namespace: a}
stringData: {ignored: by-files}
data: {token: dmVyeS1zZWNyZXQ=}
---
apiVersion: v1
kind: Namespace
metadata: {name: a}
`
	officeMade = `apiVersion: v1
kind: Secret
metadata: {name: copy, namespace: a}
data: {token: b2xkLXNlY3JldA==, kept: dGhlIHNhbWU=}
`
)

func TestTry(t *testing.T) {
	foreign := "{apiVersion: v1, kind: ConfigMap, metadata: {name: home-page, namespace: default}, data: {a: b}}\n"
	crd := []string{"--object", website + "objects.yaml"}
	objects := file(t, office)
	with := func(more ...string) []string { return append([]string{"--object", objects}, more...) }
	token, made := file(t, officeToken), file(t, officeMade)
	cases := map[string]struct {
		config string
		args   []string
		status int
		golden string
	}{
		"nothing is there":         {website + "controllers.cue", crd, daemon.ExitOK, "create.txt"},
		"as JSON":                  {website + "controllers.cue", append(crd, "-o", "json"), daemon.ExitOK, "create.json"},
		"children were there":      {website + "controllers.cue", append(crd, "--children", "testdata/try/made.yaml"), daemon.ExitOK, "change.txt"},
		"somebody else's is there": {website + "controllers.cue", append(crd, "--related", file(t, foreign)), daemon.ExitFailure, "refuse.txt"},
		"related are missing":      {secretaryFile, with(), daemon.ExitOK, "pending.txt"},
		"secrets":                  {secretaryFile, with("--related", token, "--children", made), daemon.ExitOK, "secrets.txt"},
		"secrets, shown":           {secretaryFile, with("--related", token, "--children", made, "--show-secrets", "--show-marks"), daemon.ExitOK, "shown.txt"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runTry(t, tc.config, tc.args...)
			if status != tc.status || stderr != "" {
				t.Errorf("exit status is %d and standard error %q, want %d and none", status, stderr, tc.status)
			}
			golden(t, tc.golden, stdout)
			if strings.Contains(stdout, "secret") && tc.golden == "secrets.txt" && strings.Contains(stdout, "very-secret") {
				t.Error("it shows a secret")
			}
		})
	}
}

func TestTryIsSteady(t *testing.T) {
	first, _, _ := runTry(t, secretaryFile, "--object", file(t, office), "--related", file(t, officeToken), "-o", "json", "--show-secrets", "--show-marks")
	var report struct {
		Tried []struct {
			Children []struct {
				Action string
				Object json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(first), &report); err != nil || len(report.Tried) != 1 {
		t.Fatalf("it prints %s, %v", first, err)
	}
	var made []string
	for _, child := range report.Tried[0].Children {
		if child.Action == "create" {
			made = append(made, string(child.Object))
		}
	}
	again, _, status := runTry(t, secretaryFile, "--object", file(t, office), "--related", file(t, officeToken), "--children", file(t, strings.Join(made, "\n---\n")))
	if status != daemon.ExitOK || strings.Count(again, "unchanged") != len(made) || len(made) != 2 {
		t.Errorf("with the %d children it made, it exits with status %d and prints\n%s", len(made), status, again)
	}
}

func TestTryFails(t *testing.T) {
	text, err := os.ReadFile(website + "controllers.cue")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "wrong.cue")
	text = bytes.ReplaceAll(text, []byte("object.spec.html"), []byte("object.spec.htlm"))
	text = bytes.ReplaceAll(text, []byte("\nkinds: "), []byte("\n_kinds: ")) // else the fields are known
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _, status := runTry(t, config, "--object", website+"objects.yaml")
	want := config + `:42:25: Website default/home: definition website fails: composing: child page: evaluating data["index.html"]: ` +
		"object.spec.htlm at 1:12: no such key: htlm\n"
	if status != daemon.ExitFailure || !strings.HasPrefix(stdout, want) {
		t.Errorf("exit status is %d, and it prints\n%s", status, stdout)
	}
	stdout, _, status = runTry(t, secretaryFile, "--object", file(t, strings.Replace(office, "x: text", "panic: way", 1)))
	if want := "ConfigMap a/one: definition office fails: the plugin has panicked: no way\n"; status != daemon.ExitFailure || !strings.HasPrefix(stdout, want) {
		t.Errorf("exit status is %d, and it prints\n%s", status, stdout)
	}
}

func TestTryExcluded(t *testing.T) {
	for text, want := range map[string]string{
		strings.Replace(office, "one", "not-me", 1): `the definition's where is not true for it (object.metadata.name != "not-me")`,
		strings.Replace(office, "open", "shut", 1):  "its labels are not those that watch.labelSelector selects (office=open)",
	} {
		stdout, stderr, status := runTry(t, secretaryFile, "--object", file(t, text))
		if status != daemon.ExitOK || stderr != "" || !strings.Contains(stdout, "nothing would be made, as definition office does not handle it: "+want+"\n") ||
			!strings.Contains(stdout, "its children would be deleted now") {
			t.Errorf("exit status is %d, standard error %q, and it prints\n%s", status, stderr, stdout)
		}
	}
	const inNamespace = "apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n" +
		"  office: {watch: {apiVersion: v1, kind: ConfigMap, namespaces: [b]}, handler: {secretary: {}}, %s}\n"
	stdout, _, _ := runTry(t, strings.Replace(inNamespace, ", %s", "", 1), "--object", file(t, office))
	if !strings.Contains(stdout, `its namespace "a" is not among watch.namespaces (b)`) || strings.Contains(stdout, "deleted") {
		t.Errorf("in another namespace, it prints\n%s", stdout)
	}
	stdout, _, _ = runTry(t, strings.Replace(inNamespace, "%s", "paused: true", 1), "--object", file(t, office))
	if !strings.Contains(stdout, "the definition is paused") {
		t.Errorf("of a paused definition, it prints\n%s", stdout)
	}
}

// TestTryLeaving shows what is deleted when a parent leaves the selection, and what is not: what
// has no marks, and the children of others.
func TestTryLeaving(t *testing.T) {
	made := func(name, parentUID, parent string) string {
		marks := fmt.Sprintf("labels: {%s: %q, %s: office, %s: %q}, annotations: {%s: %s, %s: copy}", compose.InstallationLabel,
			compose.Installation("default", "kooperd"), compose.DefinitionLabel, compose.ParentUIDLabel, parentUID, compose.ParentAnnotation, parent, compose.ChildAnnotation)
		return "---\n{apiVersion: v1, kind: Secret, metadata: {name: " + name + ", namespace: a, uid: " + name + ", " + marks + "}}\n"
	}
	children := file(t, made("mine", "one", "a/one")+made("another", "two", "a/two")+officeMade)
	parent := file(t, strings.Replace(strings.Replace(office, "open", "shut", 1), "name: one", "name: one, uid: one", 1))
	stdout, stderr, status := runTry(t, secretaryFile, "--object", parent, "--children", children, "-o", "json")
	var report struct {
		Tried []struct {
			Excluded string
			Children []struct{ ObjectName, Action string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || status != daemon.ExitOK || stderr != "" || len(report.Tried) != 1 {
		t.Fatalf("exit status is %d, standard error %q, and it prints\n%s\n%v", status, stderr, stdout, err)
	}
	if have := fmt.Sprint(report.Tried[0].Children); have != "[{mine delete}]" || report.Tried[0].Excluded == "" {
		t.Errorf("excluded %q, and of the children: %s, want the deletion of one", report.Tried[0].Excluded, have)
	}
	stdout, _, _ = runTry(t, secretaryFile, "--object", parent, "--children", children)
	golden(t, "leaving.txt", stdout)
}

func TestTryRefusesBadInput(t *testing.T) {
	good := file(t, office)
	cases := map[string]struct {
		args []string
		want string
	}{
		"no object":             {nil, "kooperd: no object: use --object FILE, or - for standard input\n"},
		"no such definition":    {[]string{"--object", good, "--definition", "offices"}, "kooperd: there is no definition \"offices\"; there are: office, pods\n"},
		"a handler":             {[]string{"--object", good, "--definition", "pods"}, "kooperd: definition pods cannot be tried: its plugin log is no function that says what should exist, as apply is\n"},
		"another kind":          {[]string{"--object", file(t, "{apiVersion: v1, kind: Node, metadata: {name: node}}")}, "kooperd: no definition fits Node node of v1; definitions watch: ConfigMap of v1 (office)\n"},
		"no name":               {[]string{"--object", file(t, "\n---\n\napiVersion: v1\nkind: ConfigMap\nmetadata: {}\n")}, "kooperd: reading objects: FILE: the document at line 3 is a ConfigMap without a name: want metadata.name\n"},
		"no YAML":               {[]string{"--object", file(t, "a: b: c\n")}, "kooperd: reading objects: FILE: yaml: mapping values are not allowed in this context\n"},
		"no object in the file": {[]string{"--object", file(t, "just text\n")}, "kooperd: reading objects: FILE: the document at line 1 is no object: want apiVersion, kind and metadata\n"},
		"an empty file":         {[]string{"--object", file(t, "\n")}, "kooperd: reading objects: there is none in FILE\n"},
		"flags of --live":       {[]string{"--object", good, "--timeout", "1s"}, "kooperd: --timeout is for --live\n"},
		"files and --live":      {[]string{"--object", good, "--live", "--related", good}, "kooperd: --children, --related and --crds are for a trial without a cluster: with --live, it is asked for them\n"},
		"a format":              {[]string{"--object", good, "-o", "xml"}, "kooperd: unknown format \"xml\", want one of: text, json, yaml\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runTry(t, secretaryFile, tc.args...)
			for _, arg := range tc.args {
				if filepath.IsAbs(arg) {
					stderr = strings.ReplaceAll(stderr, arg, "FILE")
				}
			}
			if status != daemon.ExitUsage || stdout != "" || stderr != tc.want {
				t.Errorf("exit status is %d, standard output %q, standard error %q, want %q", status, stdout, stderr, tc.want)
			}
		})
	}
	const absent = "apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n  shops: {watch: {apiVersion: demo.kooperd.dev/v2, kind: Website}, handler: {secretary: {}}}\n"
	crds, _, _ := runArgs(t, "crds", website+"controllers.cue")
	_, stderr, status := runTry(t, absent, "--crds", file(t, crds), "--object", file(t, "{apiVersion: demo.kooperd.dev/v2, kind: Website, metadata: {name: x}}"))
	if status != daemon.ExitUsage || !strings.Contains(stderr, "its versions are: v1") {
		t.Errorf("of a version that is not served, it says %q and exits with %d", stderr, status)
	}
}
