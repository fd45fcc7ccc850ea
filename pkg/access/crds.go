package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// maxManifest bounds a file with CustomResourceDefinitions, in bytes; the largest that are about have some hundred KiB each.
const maxManifest = 64 << 20

// customResourceDefinition is what matters here of an apiextensions.k8s.io CustomResourceDefinition.
type customResourceDefinition struct {
	metav1.TypeMeta `json:",inline"`
	Items           []customResourceDefinition `json:"items"` // of a List, as kubectl prints many
	Spec            struct {
		Group string `json:"group"`
		Scope string `json:"scope"`
		Names struct {
			Kind   string `json:"kind"`
			Plural string `json:"plural"`
		} `json:"names"`
	} `json:"spec"`
}

// AddCRDs adds the kinds of the CustomResourceDefinitions in a file, or in the YAML and JSON files in and below a folder, to the
// table. Other objects in them are passed over; a path without any CustomResourceDefinition is an error.
func (t *Table) AddCRDs(path string) error {
	files, err := manifests(path)
	if err != nil {
		return fmt.Errorf("reading CustomResourceDefinitions: %w", err)
	}
	found := 0
	for _, file := range files {
		n, err := t.addFile(file)
		if err != nil {
			return fmt.Errorf("reading CustomResourceDefinitions: %s: %w", file, err)
		}
		found += n
	}
	if found == 0 {
		return fmt.Errorf("reading CustomResourceDefinitions: there is none in %s", path)
	}
	return nil
}

// manifests returns path itself, or the files of a folder that may hold manifests.
func manifests(path string) ([]string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var files []string
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) {
			files = append(files, file)
		}
		return err
	})
	return files, err
}

func (t *Table) addFile(file string) (found int, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	if info.Size() > maxManifest {
		return 0, fmt.Errorf("%d bytes are more than %d", info.Size(), maxManifest)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var crd customResourceDefinition
		if err := documents.Decode(&crd); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return found, err
		}
		for _, one := range append(crd.Items, crd) {
			if one.Kind != "CustomResourceDefinition" || !strings.HasPrefix(one.APIVersion, "apiextensions.k8s.io/") {
				continue
			}
			if err := t.addCRD(one); err != nil {
				return found, err
			}
			found++
		}
	}
}

func (t *Table) addCRD(crd customResourceDefinition) error {
	spec := crd.Spec
	if spec.Group == "" || spec.Names.Kind == "" || spec.Names.Plural == "" {
		return errors.New("a CustomResourceDefinition lacks spec.group, spec.names.kind or spec.names.plural")
	}
	t.add(schema.GroupKind{Group: spec.Group, Kind: spec.Names.Kind}, Resource{Name: spec.Names.Plural, Namespaced: spec.Scope != "Cluster"})
	return nil
}
