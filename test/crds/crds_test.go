package crds_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/kinds/crd"
	"kooperd.dev/kooperd/test/daemon"
)

// load returns the kinds of config files.
func load(t *testing.T, paths ...string) []crd.Definition {
	t.Helper()
	registry, err := handlers.NewRegistry(builtin.Plugins()...)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(t.Context(), paths, config.Options{Registry: registry})
	if err != nil {
		t.Fatalf("loading %q:\n%v", paths, err)
	}
	return cfg.Kinds
}

// create gives a CustomResourceDefinition to the API server and returns what that has stored.
func create(t *testing.T, d crd.Definition, options metav1.CreateOptions) (crd.Definition, error) {
	t.Helper()
	object, err := d.Object()
	if err != nil {
		t.Fatal(err)
	}
	options.FieldValidation = metav1.FieldValidationStrict
	stored, err := shared.Dynamic().Resource(crd.Resource).Create(t.Context(), &unstructured.Unstructured{Object: object}, options)
	if err != nil {
		return crd.Definition{}, err
	}
	text, err := stored.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	back, err := crd.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, condition := range conditions(stored) {
		if condition == "NonStructuralSchema=True" {
			t.Errorf("%s is not structural", d.Metadata.Name)
		}
	}
	return back, nil
}

func conditions(object *unstructured.Unstructured) (all []string) {
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range list {
		c, _ := entry.(map[string]any)
		all = append(all, fmt.Sprintf("%v=%v", c["type"], c["status"]))
	}
	return all
}

// TestRoundTrip gives the kinds of all examples, and those with every construct of CUE, to the API
// server: it takes them without a warning, and gives back the same.
func TestRoundTrip(t *testing.T) {
	var files []string
	for _, pattern := range []string{"pkg/config/testdata/kinds/*.cue", "examples/*/controllers.cue"} {
		found, err := filepath.Glob(filepath.Join(daemon.Root(t), filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	all := 0
	for _, file := range files {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "\nkinds: ") {
			continue
		}
		for _, d := range load(t, file) {
			all++
			back, err := create(t, d, metav1.CreateOptions{})
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			back.Metadata.Annotations, back.Metadata.Labels, back.StoredVersions = d.Metadata.Annotations, d.Metadata.Labels, nil
			if diff := cmp.Diff(d, back); diff != "" {
				t.Errorf("%s: what comes back (-sent +back):\n%s", file, diff)
			}
			if changes := crd.Compare([]crd.Definition{back}, []crd.Definition{d}); len(changes) > 0 {
				t.Errorf("%s: what is deployed is said to be different: %v", file, changes)
			}
		}
	}
	if all < 32 {
		t.Errorf("%d kinds, want 32", all)
	}
}

// stricter are schemas that the API server takes, although no object can be right then, or a part
// of them means nothing.
var stricter = []string{"Defaults.i", "Junctors.b", "Types.itemsOfObject", "Types.required"}

// TestRefused gives the API server each field of the schemas that kooperd refuses, in a schema of
// its own: it refuses just those, too.
func TestRefused(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(daemon.Root(t), "pkg", "config", "testdata", "bad", "kinds-openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Kinds map[string]struct {
			Versions map[string]struct {
				OpenAPIV3Schema json.RawMessage `json:"openAPIV3Schema"`
			} `json:"versions"`
		} `json:"kinds"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	number := 0
	for _, kind := range slices.Sorted(maps.Keys(file.Kinds)) {
		schema, err := crd.Decode(file.Kinds[kind].Versions["v1"].OpenAPIV3Schema)
		if err != nil {
			t.Fatal(err)
		}
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			one := map[string]any{"type": "object", "properties": map[string]any{name: properties[name]}}
			number++
			here := kind + "." + name
			problems := crd.CheckSchema(one)
			if len(problems) == 0 {
				if problems, err = crd.CheckRules(k8sschema.GroupVersionKind{Group: "refused.kooperd.dev", Version: "v1", Kind: kind}, one); err != nil {
					t.Fatal(err)
				}
			}
			_, err := create(t, crd.New(crd.Spec{
				Group: "refused.kooperd.dev", Names: crd.Names{Kind: fmt.Sprintf("Kind%d", number)},
				Versions: []crd.Version{{Name: "v1", Served: true, Storage: true, Schema: crd.Schema{OpenAPIV3Schema: one}}},
			}), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			switch status := apierrors.APIStatus(nil); {
			case err != nil && !errors.As(err, &status):
				t.Fatal(err)
			case err != nil && len(problems) == 0:
				t.Errorf("%s: kooperd accepts it, and the API server says: %v", here, err)
			case err == nil && len(problems) > 0 && !slices.Contains(stricter, here):
				t.Errorf("%s: the API server accepts it, and kooperd says: %+v", here, problems)
			}
		}
	}
	if number < 39 {
		t.Errorf("%d schemas, want 39", number)
	}
}

// TestStoredVersions lets a version go in which objects may be stored: crds --live says so, and the
// API server refuses it. When nothing is stored in it any more, both have no objection.
func TestStoredVersions(t *testing.T) {
	const group = "stored.kooperd.dev"
	file := func(versions string) string {
		path := filepath.Join(t.TempDir(), "kinds.cue")
		text := "apiVersion: \"kooperd.dev/v1alpha1\"\ncontrollers: {}\nkinds: Aging: {group: \"" + group + "\", versions: {" + versions + "}}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const schema = "schema: spec: text?: string"
	first := file("v1: {storage: true, " + schema + "}, v2: {storage: false, " + schema + "}")
	second := file("v1: {storage: false, served: false, " + schema + "}, v2: {storage: true, " + schema + "}")
	third := file("v2: {" + schema + "}")
	name := "agings." + group
	apply := func(path string) error {
		object, err := load(t, path)[0].Object()
		if err != nil {
			t.Fatal(err)
		}
		_, err = shared.Dynamic().Resource(crd.Resource).Apply(t.Context(), name, &unstructured.Unstructured{Object: object},
			metav1.ApplyOptions{FieldManager: "test", Force: true})
		return err
	}
	compare := func(path string) (string, bool) {
		cmd := exec.CommandContext(t.Context(), daemon.Binary(t), "crds", path, "--live", "--kubeconfig", shared.AdminKubeconfig())
		out, err := cmd.CombinedOutput()
		return string(out), err == nil
	}
	for _, path := range []string{first, second} {
		if err := apply(path); err != nil {
			t.Fatal(err)
		}
	}
	said, ok := compare(third)
	if ok || !strings.Contains(said, "narrower: "+name+" v1: the version is in status.storedVersions") {
		t.Errorf("crds --live says of the version that goes:\n%s", said)
	}
	if err := apply(third); err == nil || !strings.Contains(err.Error(), "status.storedVersions") {
		t.Errorf("the API server says of it: %v", err)
	}
	migrated := []byte(`{"status": {"storedVersions": ["v2"]}}`)
	if _, err := shared.Dynamic().Resource(crd.Resource).Patch(t.Context(), name, types.MergePatchType, migrated, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	if said, ok := compare(third); !ok || strings.Contains(said, "storedVersions") {
		t.Errorf("when nothing is stored in it any more, crds --live says:\n%s", said)
	}
	if err := apply(third); err != nil {
		t.Errorf("the API server says of it then: %v", err)
	}
}
