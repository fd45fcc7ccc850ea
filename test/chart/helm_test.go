package chart

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// helms are the versions of Helm that the chart is for.
var helms = []string{"helm3", "helm4"}

// helm runs one version of Helm as the cluster's admin, without a home directory, and returns what
// it prints.
func helm(t *testing.T, version string, args ...string) string {
	t.Helper()
	out, err := tryHelm(t, version, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", version, strings.Join(args, " "), err, out)
	}
	return out
}

// tryHelm is helm for what may fail: it returns both streams then.
func tryHelm(t *testing.T, version string, args ...string) (string, error) {
	t.Helper()
	return tryHelmIn(t, t.Context(), version, args...)
}

// tryHelmIn is tryHelm for the end of a test, when its own context is over.
func tryHelmIn(t *testing.T, ctx context.Context, version string, args ...string) (string, error) { //nolint:revive // t first
	t.Helper()
	cmd := exec.CommandContext(ctx, binary(version), args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "KUBECONFIG="+shared.AdminKubeconfig(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home,
		"HELM_DATA_HOME="+home, "HELM_PLUGINS="+filepath.Join(home, "plugins"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// forEachHelm runs a test with each version.
func forEachHelm(t *testing.T, test func(t *testing.T, version string)) {
	for _, version := range helms {
		t.Run(version, func(t *testing.T) { test(t, version) })
	}
}

// forOneHelm runs a test whose pods run for long with the newer version, and with each version with
// -conformance. What differs between the two is in the tests of forEachHelm.
func forOneHelm(t *testing.T, test func(t *testing.T, version string)) {
	if *conformance {
		forEachHelm(t, test)
		return
	}
	test(t, helms[len(helms)-1])
}

// The examples of the chart, by the files of their values.
func examples(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("looking for the examples of the chart: have %q, %v", files, err)
	}
	byName := map[string]string{}
	for _, file := range files {
		byName[strings.TrimSuffix(filepath.Base(file), "-values.yaml")] = file
	}
	return byName
}

// manifests are the objects of a release.
type manifests []*unstructured.Unstructured

// render returns what helm template makes of the chart.
func render(t *testing.T, version, namespace string, args ...string) manifests {
	t.Helper()
	return parse(t, helm(t, version, append([]string{"template", "demo", chartDir, "--namespace", namespace}, args...)...))
}

// parse reads a text of several documents.
func parse(t *testing.T, text string) manifests {
	t.Helper()
	var all manifests
	for document := range strings.SplitSeq("\n"+text, "\n---") {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &object.Object); err != nil {
			t.Fatalf("reading a manifest: %v\n%s", err, document)
		}
		if len(object.Object) > 0 {
			all = append(all, object)
		}
	}
	return all
}

// of returns the objects of a kind.
func (m manifests) of(kind string) manifests {
	var found manifests
	for _, object := range m {
		if object.GetKind() == kind {
			found = append(found, object)
		}
	}
	return found
}

// get returns the only object of a kind.
func (m manifests) get(t *testing.T, kind string) *unstructured.Unstructured {
	t.Helper()
	found := m.of(kind)
	if len(found) != 1 {
		t.Fatalf("there are %d objects of kind %s, want one", len(found), kind)
	}
	return found[0]
}

// field returns what stands at a path of an object.
func field(t *testing.T, object *unstructured.Unstructured, path ...string) any {
	t.Helper()
	value, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
	if err != nil || !found {
		t.Fatalf("%s %s has no %s: %v", object.GetKind(), object.GetName(), strings.Join(path, "."), err)
	}
	return value
}

// writeConfig writes the config of a release as the pods would have it, and returns the paths for
// kooperd.
func (m manifests) writeConfig(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, config := range m.of("ConfigMap") {
		dir := t.TempDir()
		files, _, err := unstructured.NestedStringMap(config.Object, "data")
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		paths = append(paths, dir)
	}
	return paths
}

// kooperd runs bin/kooperd and returns what it prints; a failure ends the test.
func kooperd(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary("kooperd"), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kooperd %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// wantSame fails the test when two things differ.
func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s is not what it should be (-want +have):\n%s", what, diff)
	}
}
