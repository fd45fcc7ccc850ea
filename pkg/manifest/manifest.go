// Package manifest reads files with Kubernetes objects as far as their text: which files a path
// stands for, and the YAML documents in each. JSON is YAML, too.
package manifest

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

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// maxSize bounds a file, in bytes. The largest CustomResourceDefinitions in use have some hundred
// KiB each.
const maxSize = 64 << 20

// Files returns path itself, or the YAML and JSON files in and below a folder. path may be a
// symbolic link. It is an error when the folder has no such file.
func Files(path string) ([]string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(resolved)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var files []string
	err = filepath.WalkDir(resolved, func(file string, entry fs.DirEntry, err error) error {
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

// Document is one YAML document.
type Document struct {
	// Text is what the document has.
	Text []byte
	// Line is where it begins, counted from 1.
	Line int
}

// ReadFile returns the documents of a file.
func ReadFile(path string) ([]Document, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // It was only read.
	return Read(file)
}

// Read returns the documents of a text. It is an error when that has more than 64 MiB.
func Read(in io.Reader) ([]Document, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxSize:
		return nil, fmt.Errorf("it has more than %d bytes", maxSize)
	}
	var all []Document
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for line := 1; ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Document{Text: document, Line: line})
		line += bytes.Count(document, []byte("\n")) + 1 // and the separator
	}
}

// JSON returns the document as JSON; "null" for one without content. Lines in an error are those of
// the file.
func (d Document) JSON() ([]byte, error) {
	padding := bytes.Repeat([]byte("\n"), d.Line-1) // so that the parser counts the lines of the file
	text, err := yaml.YAMLToJSON(append(padding, d.Text...))
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")), " "))
	}
	return bytes.TrimSpace(text), nil
}
