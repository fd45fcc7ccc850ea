package chart

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// The config of a release is what the values say, numbers included.
func TestConfigIsTheValues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "values.yaml")
	writeFile(t, file, `
image: a
config:
  apiVersion: kooperd.dev/v1alpha1
  controllers:
    a:
      watch: {apiVersion: v1, kind: Pod}
      handler:
        exec: {command: ["true", "1", "yes", "{{ .Values }}"], maxOutput: 16777216, env: {CODE: "007"}}
leaderElection: {name: "123", leaseDuration: 20s, lock: configMap}
`)
	var have struct {
		LeaderElection map[string]any
		Controllers    map[string]struct{ Handler struct{ Exec map[string]any } }
	}
	args := append([]string{"print", "--format", "json"}, render(t, "helm3", "demo", "--values", file).writeConfig(t)...)
	if err := json.Unmarshal([]byte(kooperd(t, args...)), &have); err != nil {
		t.Fatal(err)
	}
	exec := have.Controllers["a"].Handler.Exec
	wantSame(t, "the command", exec["command"], []any{"true", "1", "yes", "{{ .Values }}"})
	wantSame(t, "the number", exec["maxOutput"], float64(16777216))
	wantSame(t, "the variable", exec["env"], map[string]any{"CODE": "007"})
	wantSame(t, "the lease", have.LeaderElection["name"], "123")
	wantSame(t, "the lock", have.LeaderElection["lock"], "configMap")
}

// A pod starts anew when the config or the lease changes, and only then.
func TestChecksum(t *testing.T) {
	file := examples(t)["one-namespace"]
	checksum := func(args ...string) any {
		all := render(t, "helm4", "demo", append([]string{"--values", file}, args...)...)
		return field(t, all.get(t, "Deployment"), "spec", "template", "metadata", "annotations", "kooperd.dev/config-checksum")
	}
	before := checksum()
	if got := checksum("--set", "replicas=3,commonLabels.a=b"); got != before {
		t.Error("the checksum depends on more than the config")
	}
	for _, change := range []string{"configFiles.more\\.yaml=a", "leaderElection.retryPeriod=1s", "leaderElection.name=other"} {
		if got := checksum("--set", change); got == before {
			t.Errorf("%s: the checksum does not change", change)
		}
	}
}

// kooperd reads its memory limit from its cgroup, unless the user knows better.
func TestMemoryLimit(t *testing.T) {
	file := examples(t)["one-namespace"]
	tests := map[string]struct {
		set  string
		want []string
	}{
		"default": {want: nil},
		"own":     {set: "env[0].name=GOMEMLIMIT,env[0].value=1GiB", want: []string{"GOMEMLIMIT=1GiB"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			all := render(t, "helm4", "demo", "--values", file, "--set", tc.set)
			var have []string
			for _, env := range podOf(t, all.get(t, "Deployment"), "spec", "template", "spec").Containers[0].Env {
				switch {
				case strings.HasPrefix(env.Name, "POD_"):
				case env.Value != "":
					have = append(have, env.Name+"="+env.Value)
				default:
					have = append(have, env.Name)
				}
			}
			wantSame(t, "the environment", have, tc.want)
		})
	}
}

// podOf decodes a pod's spec that stands at a path of an object.
func podOf(t *testing.T, object *unstructured.Unstructured, path ...string) corev1.PodSpec {
	t.Helper()
	var spec corev1.PodSpec
	fields, ok := field(t, object, path...).(map[string]any)
	if !ok {
		t.Fatalf("%s is no object", strings.Join(path, "."))
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// values.yaml is in values.schema.json, and the other way round.
func TestSchemaAndValuesAgree(t *testing.T) {
	var schema, values map[string]any
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(chartDir, "values.schema.json"))), &schema); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(readFile(t, filepath.Join(chartDir, "values.yaml"))), &values); err != nil {
		t.Fatal(err)
	}
	values["global"] = map[string]any{} // What Helm gives to every chart.
	agree(t, "", schema, values)
}

// agree compares the keys of an object of values.yaml with its properties, if the schema is closed
// there.
func agree(t *testing.T, path string, schema, values map[string]any) {
	t.Helper()
	properties, ok := schema["properties"].(map[string]any)
	if closed, isBool := schema["additionalProperties"].(bool); !ok || !isBool || closed || schema["patternProperties"] != nil {
		return
	}
	if path == ".resources" || path == ".affinity" {
		return // What is not set there has no key.
	}
	wantSame(t, "the keys of "+path, sortedKeys(values), sortedKeys(properties))
	for key, value := range values {
		below, _ := properties[key].(map[string]any)
		if object, ok := value.(map[string]any); ok {
			agree(t, path+"."+key, below, object)
		}
	}
}

func sortedKeys(object map[string]any) []string {
	var keys []string
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// What Helm prints after an installation says how to look at the release, and warns of rights that
// are not there.
func TestNotes(t *testing.T) {
	file := examples(t)["one-namespace"]
	tests := map[string]struct {
		set           string
		want, without string
	}{
		"usual": {want: "kooperd status --namespace platform --lease demo-kooperd\n", without: "WARNING"},
		"no rights": {
			set:     "rbac.rules.namespaces=null",
			want:    "WARNING: rbac.rules is empty, so no definition may watch anything.",
			without: "--reuse-values -f",
		},
		"the rights again": {set: "rbac.rules.namespaces=null", want: "-f rbac.yaml\n\nand with all your other values again."},
		"own rights":       {set: "rbac.create=false", want: "this release has granted nothing to the service account", without: "WARNING"},
		"fence":            {set: "fence.enabled=true", want: "The fence stays when this release is uninstalled"},
		"who may read":     {set: "metrics.authenticate=true", want: "--lease demo-kooperd --authenticate\n"},
		"anybody may read": {set: "metrics.enabled=false", want: "The same in a browser, at http://127.0.0.1:8081/, while this runs:", without: "/statusz"},
		"no lease":         {set: "leaderElection.enabled=false,replicas=1", want: "kooperd status --pod platform/$pod\n", without: "get lease"},
		"a lease elsewhere": {
			set:  "leaderElection.namespace=leases",
			want: "pod=$(kubectl --namespace leases get lease demo-kooperd --output 'jsonpath={.spec.holderIdentity}'); pod=${pod%%_*}\n  kooperd status --pod platform/$pod\n",
		},
		"the older lock": {set: "leaderElection.lock=configMap", want: "  pod=NAME\n  kubectl --namespace platform port-forward", without: "get lease"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			forEachHelm(t, func(t *testing.T, version string) {
				out := helm(t, version, "install", "demo", chartDir, "--namespace", "platform", "--dry-run=client", "--values", file, "--set", tc.set)
				_, notes, _ := strings.Cut(out, "NOTES:\n")
				if !strings.Contains(notes, tc.want) || tc.without != "" && strings.Contains(notes, tc.without) {
					t.Errorf("the notes are\n%s\nwant %q in them and not %q", notes, tc.want, tc.without)
				}
			})
		})
	}
}

// TestReviewRights: the status page asks about tokens also when there are no metrics.
func TestReviewRights(t *testing.T) {
	for set, want := range map[string]bool{
		"metrics.authenticate=false": false, "metrics.authenticate=true": true,
		"metrics.authenticate=true,metrics.enabled=false": true, "metrics.authenticate=true,rbac.create=false": false,
	} {
		out := helm(t, "helm3", "template", "demo", chartDir, "--values", examples(t)["one-namespace"], "--set", set)
		if got := strings.Contains(out, "tokenreviews"); got != want {
			t.Errorf("with %s the rights to review tokens are there: %t, want %t", set, got, want)
		}
	}
}
