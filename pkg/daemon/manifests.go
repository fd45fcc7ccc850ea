package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// writeManifests writes objects so that kubectl can read them: YAML documents, or one List in JSON,
// which has no place for the notes.
func writeManifests(w io.Writer, format string, notes []string, objects ...runtime.Object) error {
	manifests := make([]map[string]any, 0, len(objects))
	for _, object := range objects {
		m, err := manifestOf(object)
		if err != nil {
			return err
		}
		manifests = append(manifests, m)
	}
	text := new(bytes.Buffer)
	write := encodeDocuments
	if format == "json" {
		write = encodeList
	}
	if err := write(text, notes, manifests); err != nil {
		return err
	}
	_, err := text.WriteTo(w)
	return err
}

// manifestOf is an object as a user would write it, without the status that only the API server
// fills in.
func manifestOf(object runtime.Object) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	delete(fields, "status")
	return fields, nil
}

func encodeList(w io.Writer, _ []string, objects []map[string]any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
}

func encodeDocuments(w io.Writer, notes []string, objects []map[string]any) error {
	for _, note := range notes {
		if _, err := fmt.Fprintf(w, "# Note: %s.\n", note); err != nil {
			return err
		}
	}
	for _, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}
