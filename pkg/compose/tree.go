package compose

import (
	apijson "k8s.io/apimachinery/pkg/util/json"
)

// decodeTree decodes a JSON object as the API server's own clients do: whole numbers are int64.
func decodeTree(text []byte) (map[string]any, error) {
	var tree map[string]any
	if err := apijson.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	return tree, nil
}
