package daemon

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// maxObjects bounds a file with objects, in bytes.
const maxObjects = 64 << 20

// readAllObjects reads the objects of files, and of the YAML and JSON files in and below folders.
func readAllObjects(paths []string) (objects []*unstructured.Unstructured, err error) {
	for _, path := range paths {
		files, err := objectFiles(path)
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

// objectFiles returns path itself, or the files of a folder that may have objects.
func objectFiles(path string) ([]string, error) {
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
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no YAML or JSON file in %s", path)
	}
	return files, err
}

// readObjects reads the objects of one file; "-" stands for stdin.
func readObjects(path string, stdin io.Reader) ([]*unstructured.Unstructured, error) {
	name, in := path, stdin
	if path == "-" && stdin != nil {
		name = "standard input"
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading objects: %w", err)
		}
		defer func() { _ = file.Close() }() // It was only read.
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxObjects+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading objects: %w", err)
	case len(text) > maxObjects:
		return nil, fmt.Errorf("reading objects: %s has more than %d bytes", name, maxObjects)
	}
	objects, err := parseObjects(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading objects: %s: %w", name, err)
	case len(objects) == 0:
		return nil, fmt.Errorf("reading objects: there is none in %s", name)
	}
	return objects, nil
}

// parseObjects reads YAML documents; JSON is YAML, too. A List stands for its items.
func parseObjects(text []byte) (objects []*unstructured.Unstructured, err error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for line := 0; ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		found, err := parseDocument(document, line)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
		line += bytes.Count(document, []byte("\n")) + 1 // and the separator
	}
}

// parseDocument reads one document, which begins after that many lines.
func parseDocument(document []byte, line int) ([]*unstructured.Unstructured, error) {
	padding := bytes.Repeat([]byte("\n"), line) // so that the parser counts the lines of the file
	text, err := yaml.YAMLToJSON(append(padding, document...))
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")), " "))
	}
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || bytes.Equal(trimmed, []byte("null")) {
		return nil, nil
	}
	at := fmt.Sprintf("the document at line %d", line+1)
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
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return "want apiVersion, kind and metadata"
	}
	return "it has no apiVersion or no kind"
}
