package crd

import (
	"encoding/json"
	"fmt"

	"kooperd.dev/kooperd/pkg/manifest"
)

// Read returns the CustomResourceDefinitions in a file, or in the YAML and JSON files in and below
// a folder. Other objects are passed over. It is an error if there is none.
func Read(path string) ([]Definition, error) {
	files, err := manifest.Files(path)
	if err != nil {
		return nil, fmt.Errorf("reading CustomResourceDefinitions: %w", err)
	}
	var found []Definition
	for _, file := range files {
		documents, err := manifest.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading CustomResourceDefinitions: %w", err)
		}
		for _, document := range documents {
			text, err := document.JSON()
			if err != nil {
				return nil, fmt.Errorf("reading CustomResourceDefinitions: %s: %w", file, err)
			}
			all, err := parse(text)
			if err != nil {
				return nil, fmt.Errorf("reading CustomResourceDefinitions: %s: %w", file, err)
			}
			found = append(found, all...)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("reading CustomResourceDefinitions: there is none of %s in %s", APIVersion, path)
	}
	return found, nil
}

// Parse reads one CustomResourceDefinition, as the API server has it.
func Parse(text []byte) (Definition, error) {
	var d Definition
	if err := decode(text, &d); err != nil {
		return d, fmt.Errorf("reading a CustomResourceDefinition: %w", err)
	}
	var of struct {
		Status struct {
			StoredVersions []string `json:"storedVersions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(text, &of); err != nil {
		return d, fmt.Errorf("reading the status of a CustomResourceDefinition: %w", err)
	}
	d.StoredVersions = of.Status.StoredVersions
	return d, nil
}

// parse returns the CustomResourceDefinitions that an object is, or that a List has.
func parse(text []byte) ([]Definition, error) {
	var head struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	if head.APIVersion == APIVersion && head.Kind == Kind {
		d, err := Parse(text)
		return []Definition{d}, err
	}
	var found []Definition
	for _, item := range head.Items {
		all, err := parse(item)
		if err != nil {
			return nil, err
		}
		found = append(found, all...)
	}
	return found, nil
}
