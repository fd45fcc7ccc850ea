package crds_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
			back.Metadata.Annotations, back.Metadata.Labels = d.Metadata.Annotations, d.Metadata.Labels
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
	if number < 28 {
		t.Errorf("%d schemas, want 28", number)
	}
}
