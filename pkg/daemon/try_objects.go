package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/manifest"
)

// readAllObjects reads the objects of files, and of the YAML and JSON files in and below folders.
func readAllObjects(paths []string) (objects []*unstructured.Unstructured, err error) {
	for _, path := range paths {
		files, err := manifest.Files(path)
		if err != nil {
			return nil, fmt.Errorf("reading objects: %w", err)
		}
		for _, file := range files {
			found, err := readObjects(file, nil)
			if err != nil {
				return nil, err
			}
			objects = append(objects, found...)
		}
	}
	return objects, nil
}

// readObjects reads the objects of one file; "-" stands for stdin.
func readObjects(path string, stdin io.Reader) ([]*unstructured.Unstructured, error) {
	name, read := path, func() ([]manifest.Document, error) { return manifest.ReadFile(path) }
	if path == "-" && stdin != nil {
		name, read = "standard input", func() ([]manifest.Document, error) { return manifest.Read(stdin) }
	}
	documents, err := read()
	if _, named := errors.AsType[*fs.PathError](err); named {
		return nil, fmt.Errorf("reading objects: %w", err)
	}
	var objects []*unstructured.Unstructured
	for i := 0; i < len(documents) && err == nil; i++ {
		var found []*unstructured.Unstructured
		found, err = parseDocument(documents[i])
		objects = append(objects, found...)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading objects: %s: %w", name, err)
	case len(objects) == 0:
		return nil, fmt.Errorf("reading objects: there is none in %s", name)
	}
	return objects, nil
}

// parseDocument returns the objects of a YAML document. A List stands for its items.
func parseDocument(document manifest.Document) ([]*unstructured.Unstructured, error) {
	text, err := document.JSON()
	if err != nil {
		return nil, err
	}
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	at := fmt.Sprintf("the document at line %d", document.Line)
	decoded, _, err := unstructured.UnstructuredJSONScheme.Decode(text, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is no object: %s", at, noObject(text))
	}
	list, isList := decoded.(*unstructured.UnstructuredList)
	if !isList {
		one, _ := decoded.(*unstructured.Unstructured)
		list = &unstructured.UnstructuredList{Items: []unstructured.Unstructured{*one}}
	}
	var objects []*unstructured.Unstructured
	for i := range list.Items {
		o := &list.Items[i]
		switch {
		case o.GetAPIVersion() == "" || o.GetKind() == "":
			return nil, fmt.Errorf("%s is no object: it has no apiVersion or no kind", at)
		case o.GetName() == "":
			return nil, fmt.Errorf("%s is a %s without a name: want metadata.name", at, o.GetKind())
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// noObject says what a document is that is no object.
func noObject(text []byte) string {
	if !bytes.HasPrefix(text, []byte("{")) {
		return "want apiVersion, kind and metadata"
	}
	return "it has no apiVersion or no kind"
}
